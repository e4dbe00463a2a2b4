"""Abstract base class of the engines, which store the state of many cells and simulate them.

An engine holds cells 0 … ``n_cells`` - 1 of an array, whose global numbers start at ``first_cell``.
Array arguments and results belong to ``Engine.library`` (its Array API namespace and device).
``cells`` are unique indices into the engine, (M,); None means all cells.

A new engine implements the abstract methods and sets ``STORED``; all other methods are derived from
them. A method that it overrides for speed must behave like the one here. ``registry.register``
gives the engine a name.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.common.types import AnyArray as Array
from synfab.engines import validity
from synfab.engines.numba.threads import completed, uninterrupted
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.physics import traps as trap_rules
from synfab.physics.noise import NONE, ReadNoise, noisy_current, read_normals
from synfab.physics.traps import Step, TrapState
from synfab.random.arrays import to_numpy
from synfab.random.backend import Library
from synfab.random.streams import WORD, Stream

# Number of cells whose working arrays fit into the CPU caches.
PROGRAMMED_AT_ONCE = 2**16


class Engine(ABC):
    """State and simulation of ``n_cells`` cells of one model and seed; see the module docstring.

    Parameters
    ----------
    model
        Model of the cell technology.
    n_cells
        Number of cells.
    seed, first_cell
        Identify the devices: cell i of the engine is device ``first_cell + i`` of the seed.
    order
        Order p of the VAR(p) process of the cycle-to-cycle history.
    history
        Storage format of the history; one of the formats that the engine is registered with.
    library
        Array library of the arguments and results.

    Attributes
    ----------
    name
        Name under which the engine is registered; set by ``CellArray``.
    STORED
        Names of the arrays that ``storage`` returns.
    ANY_LIBRARY
        Whether the engine computes on arrays of any library; otherwise ``library`` is NumPy, and
        arrays of other libraries are converted on input and output.
    """

    name: str = "unregistered"
    STORED: ClassVar[tuple[str, ...]]
    ANY_LIBRARY: ClassVar[bool] = False

    def __init__(
        self,
        model: CellModel,
        n_cells: int,
        seed: int,
        first_cell: int,
        order: int,
        history: str,
        library: Library,
    ) -> None:
        self.model, self.n_cells, self.order = model, n_cells, order
        self.slots = model.history(order).slots
        self.seed, self.first_cell = seed, first_cell
        self.history, self.library = history, library

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy of the cells; the immutable model and library are shared."""
        memo[id(self.model)] = self.model
        twin = copy.copy(self)
        vars(twin).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        return twin

    # ---- what each engine implements ------------------------------------------------------------

    @abstractmethod
    def fabricate(self, *, discardable: bool = False) -> None:
        """Initialise all cells as newly fabricated devices: in the HRS, at cycle 0.

        ``discardable``: the caller discards the cells if this is interrupted.
        """

    @abstractmethod
    def take(self, cells: Array | None = None) -> rules.SwitchingState:
        """Return r, threshold (V), steepness (A/V**eta), in_hrs and in_lrs of cells, (M,) each.

        The arrays are copies if ``cells`` is given.
        """

    @abstractmethod
    def put(self, cells: Array, state: rules.SwitchingState) -> None:
        """Set the switching state of the listed cells only; idempotent.

        An engine may round the values, but must store a result of ``take`` unchanged.
        """

    @abstractmethod
    def vectors(self, cells: Array | None = None) -> Array:
        """Return the normalised feature vectors x*_n of the current cycle n, (4, M), float32."""

    @abstractmethod
    def begin_cycle(self, cells: Array) -> drawing.Features:
        """Advance the history of the listed cells by one cycle and return their new features.

        Each engine chooses its own history format. The switching state does not change.
        """

    @abstractmethod
    def cycles(self, cells: Array | None = None) -> Array:
        """Return the cycle numbers n, (M,)."""

    @abstractmethod
    def parameters(self, cells: Array | None = None) -> Array:
        """Return the device parameters, (M, 8): mu of the four features, then sigma."""

    @abstractmethod
    def storage(self) -> dict[str, Array]:
        """Return the arrays named in ``STORED``, the complete state for saving; not copies."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Set the state from the arrays of ``storage``, as NumPy arrays that ``check`` accepts."""

    # ---- derived --------------------------------------------------------------------------------

    @classmethod
    def defers(cls, model: CellModel) -> bool:
        """Tell whether ``fabricate_later`` postpones the fabrication of cells of a model."""
        return False

    def fabricate_later(self) -> None:
        """Fabricate all cells, at the latest when something other than their states is needed."""
        self.fabricate(discardable=True)

    @property
    def deferred(self) -> bool:
        """Whether the cells are not in memory yet, but fabricated when first needed."""
        return False

    def brief(self) -> dict[str, Array] | None:
        """Return arrays from which ``restore_brief`` restores all cells, fewer than ``storage``.

        None: the engine has no such arrays, or these cells do not follow from their seed.
        """
        return None

    def check_brief(self, arrays: Mapping[str, Any]) -> None:
        """Raise ``FileFormatError`` if ``restore_brief`` cannot use these NumPy arrays."""
        raise FileFormatError(f"expected the arrays {', '.join(self.STORED)}")

    def restore_brief(self, arrays: Mapping[str, Any]) -> None:
        """Set the state from the arrays of ``brief``, which ``check_brief`` accepts."""
        self.check_brief(arrays)

    @property
    def nbytes(self) -> int:
        """Memory used by the state, in bytes."""
        return sum(int(array.nbytes) for array in self.storage().values())

    def check(self, arrays: Mapping[str, Any]) -> None:
        """Raise ``FileFormatError`` if ``restore`` cannot use these NumPy arrays from a file.

        This implementation compares their types and shapes with those of newly fabricated cells.
        """
        fresh = type(self)(
            self.model, self.n_cells, self.seed, self.first_cell,
            self.order, self.history, self.library,
        )  # fmt: skip
        fresh.fabricate(discardable=True)
        wanted = {name: to_numpy(array) for name, array in fresh.storage().items()}
        validity.check_fit(arrays, wanted)

    def begin_at(self, first_cell: int) -> None:
        """Set the global number of cell 0; the caller must then call ``fabricate``."""
        self.first_cell = first_cell

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Apply a voltage pulse to the cells; an interrupt never leaves a pulse half applied.

        Parameters
        ----------
        u
            Pulse amplitude (V), float32, one or ``n_cells`` elements.
        where
            Boolean mask (n_cells,) of the selected cells; None: all cells.
        """
        xp, library = self.library.xp, self.library
        everything = library.asarray(np.arange(self.n_cells))
        cells = everything if where is None else library.flatnonzero(where)
        if not cells.shape[0]:
            return
        voltages = xp.take(self._spread(u), cells, axis=0)
        now = self.features(cells)

        def begin_cycle(begins: Array) -> drawing.Features:
            some = library.flatnonzero(begins)
            if not some.shape[0]:
                return now
            started = self.begin_cycle(xp.take(cells, some, axis=0))
            return drawing.Features(*(map(library.put, now, (some,) * 4, started)))

        def switch() -> None:
            state = self.take(cells)
            self.put(cells, rules.pulse(self.model, now, state, voltages, begin_cycle))

        uninterrupted(switch)

    def apply_program(
        self, voltages: Array, reads: Array | None, noise: ReadNoise | None, number: int
    ) -> Array:
        """Apply pulses in turn, and return the current (A) of all cells after each of them.

        An interrupt leaves a whole number of pulses applied.

        Parameters
        ----------
        voltages
            Pulse amplitudes (V), (pulses, 1 or n_cells), float32.
        reads
            Voltages (V) of the reads after each pulse, shape as of ``voltages``; None: no reads.
        noise
            Noise of the reads; None: noiseless.
        number
            Number of the first read; noisy reads are numbered consecutively.

        Returns
        -------
        array
            Currents (A), float32, (pulses, n_cells), or (0, n_cells) without reads.
        """
        found = []
        for k in range(voltages.shape[0]):
            self.apply_voltage(voltages[k, :], None)
            if reads is not None:
                u = reads[k, :]
                read = (number + k) & WORD
                found.append(self.current(u) if noise is None else self.read(u, read, noise))
        xp = self.library.xp
        return xp.stack(found) if found else xp.zeros((0, self.n_cells), dtype=xp.float32)

    def components(self) -> np.ndarray[Any, Any]:
        """Return the most probable component of the population for each device, (n_cells,)."""
        return self.model.population.component(to_numpy(self.parameters()))

    def program(self, cells: Array, r: Array) -> None:
        """Set the listed cells to the mixing states ``r``, (M,); see ``rules.program``."""
        for start in range(0, cells.shape[0], PROGRAMMED_AT_ONCE):
            part = cells[start : start + PROGRAMMED_AT_ONCE]
            wanted = r[start : start + PROGRAMMED_AT_ONCE]
            state = rules.program(self.model, self.features(part), self.take(part), wanted)
            completed(lambda part=part, state=state: self.put(part, state))  # type: ignore[misc]

    def features(self, cells: Array | None = None) -> drawing.Features:
        """Return the features of the current cycle of cells, (M,) each."""
        listed = np.arange(self.n_cells) if cells is None else to_numpy(cells)
        number = self.words(listed.astype(np.uint64) + np.uint64(self.first_cell))
        devices = drawing.Devices(self.library.key(self.seed), number, self.parameters(cells).T)
        return drawing.features_of(self.model, devices, self.vectors(cells), self.cycles(cells))

    @property
    def states(self) -> Array:
        """Mixing states r of all cells, (n_cells,); not a copy."""
        return self.take().r

    @property
    def in_hrs(self) -> Array:
        """Mask of the cells that are completely RESET, (n_cells,)."""
        return self.take().in_hrs

    @property
    def in_lrs(self) -> Array:
        """Mask of the cells that are SET, (n_cells,)."""
        return self.take().in_lrs

    def current(self, u: Array, states: Array | None = None) -> Array:
        """Return the noiseless current (A) of all cells, float32.

        ``u`` is as in ``apply_voltage``. ``states`` are mixing states to read, (n_cells,), such as
        those that traps have moved; None: the states of the cells.
        """
        r = self.states if states is None else states
        return self.library.exact(rules.current, (self.model,))(r, self._spread(u))

    def current_of(self, cells: Array, u: Array, states: Array | None = None) -> Array:
        """Return the noiseless currents (A) of the listed cells at ``u`` (V), (M,), float32."""
        r = self.library.xp.take(self.states if states is None else states, cells, axis=0)
        return self.library.exact(rules.current, (self.model,))(r, u)

    def read(self, u: Array, number: int, noise: ReadNoise, states: Array | None = None) -> Array:
        """Return the current (A) of all cells, including the noise of read ``number``."""
        z = self._read_normals_of(np.arange(self.n_cells, dtype=np.uint64), number)
        noisy = self.library.exact(noisy_current, (self.model, noise.terms))
        r = self.states if states is None else states
        return noisy(r, self._spread(u), z, noise.coefficients)

    def _read_normals_of(self, cells: np.ndarray[Any, Any], number: int) -> Array:
        """Return the normal numbers of read ``number`` of the listed cells, (M,)."""
        cells = cells + np.uint64(self.first_cell)
        counter = self.words(cells >> np.uint64(2))
        lane = self.library.asarray((cells & np.uint64(3)).astype(np.int32))
        key, index = self.library.key(self.seed), self._word(number)
        draw = self.library.exact(read_normals, ())
        return draw(key, counter, index + counter[0] * 0, lane)

    def readout_noise(self, first: int, rows: int, number: int, count: int) -> Array:
        """Return standard normal numbers for ``count`` crossbar readouts, (rows, count).

        Parameters
        ----------
        first
            Index of the first row among all rows of the seed.
        number
            Index of the first input vector.
        """
        word, asarray = self.library.word, self.library.asarray
        row = asarray(np.arange(first, first + rows).astype(word))[:, None]
        index = asarray((np.arange(number, number + count) & WORD).astype(word))[None, :]
        drawn: Array = self.normals(
            self.library.key(self.seed), (row, row * 0), index + row * 0, Stream.READOUT_NOISE
        )
        return drawn[0, :, :]

    def row_sums(self, columns: int, weights: Array, states: Array | None = None) -> Array:
        """Return the matrix product of r, (rows, columns), and ``weights``.T: (rows, B).

        ``weights`` is a NumPy array, float32, (B, columns); ``states`` as in ``current``.
        """
        xp, wide = self.library.xp, self.library.wide
        r = xp.reshape(self.states if states is None else states, (-1, columns))
        return xp.astype(r, wide) @ xp.astype(self.library.asarray(weights), wide).T

    # ---- traps ----------------------------------------------------------------------------------

    def refresh_traps(self, traps: TrapState) -> TrapState:
        """Return the traps of all cells after possible switching events; no time passes."""
        update: TrapState = self.library.exact(trap_rules.refreshed, ())(
            traps, self.states, self.cycles()
        )
        return update

    def move_traps(self, traps: TrapState, step: Step) -> TrapState:
        """Return the traps of all cells after a time step."""
        everything = np.arange(self.n_cells, dtype=np.uint64)
        return self._moved(everything, self.states, self.cycles(), traps, step)

    def _moved(
        self, cells: np.ndarray[Any, Any], r: Array, cycle: Array, traps: TrapState, step: Step
    ) -> TrapState:
        asarray = self.library.asarray
        number = self.words(cells + np.uint64(self.first_cell))
        numbers = (asarray(np.float32(x)) for x in (step.log_time, step.slope))
        given = Step(self._word(step.number), *numbers)
        after: TrapState = self.library.exact(trap_rules.moved, (self.model,))(
            self.library.key(self.seed), number, r, cycle, traps, given
        )
        return after

    def trace(
        self,
        cells: Array,
        traps: TrapState,
        step: Step,
        samples: int,
        u: float,
        noise: ReadNoise | None,
        read: int,
    ) -> tuple[Array, TrapState]:
        """Return currents (A) of the listed cells after each of equal time steps, and their traps.

        Parameters
        ----------
        cells
            Indices, (M,), a NumPy array.
        traps
            State of their traps, (M,) each.
        step
            First time step; its number increases by one per sample.
        samples
            Number of steps.
        u
            Voltage of the reads (V).
        noise, read
            Noise of the reads, None: noiseless; number of the first read.

        Returns
        -------
        array, TrapState
            Currents, (samples, M), and the traps after the last step.
        """
        xp, found = self.library.xp, []
        index = self.library.asarray(cells)
        r = xp.take(self.states, index, axis=0)
        cycle = self.cycles(index)
        terms = (noise or NONE).terms
        noisy = self.library.exact(noisy_current, (self.model, terms))
        current = self.library.exact(rules.current, (self.model,))
        listed = np.asarray(cells, np.uint64)
        for k in range(samples):
            number = (step.number + k) & WORD
            traps = self._moved(listed, r, cycle, traps, step._replace(number=number))
            voltage = traps.seen * 0.0 + u
            if noise is None:
                found.append(current(traps.seen, voltage))
            else:
                z = self._read_normals_of(listed, (read + k) & WORD)
                found.append(noisy(traps.seen, voltage, z, noise.coefficients))
        return xp.stack(found), traps

    # ---- helpers for engines that call the rules ------------------------------------------------

    def words(self, numbers: np.ndarray[Any, Any]) -> tuple[Array, Array]:
        """Return the low and high 32-bit words of 64-bit numbers, on the device."""
        low, high = numbers & np.uint64(0xFFFFFFFF), numbers >> np.uint64(32)
        word, asarray = self.library.word, self.library.asarray
        return asarray(low.astype(word)), asarray(high.astype(word))

    def normals(self, key: Any, number: tuple[Array, Array], index: Array, stream: Stream) -> Array:
        """Return the numbers of ``drawing.draw_normals``."""
        draw = self.library.exact(drawing.draw_normals, ())
        return draw(key, number, index, self._word(int(stream)))

    def _word(self, value: int) -> Array:
        return self.library.asarray(np.asarray(value, self.library.word))

    def _spread(self, u: Array) -> Array:
        return self.library.xp.broadcast_to(u, (self.n_cells,)) if u.shape[0] == 1 else u
