"""What an engine is: the state of many cells, and what computes on it.

An engine holds cells 0 … ``n_cells`` - 1 of an array, whose global numbers begin at ``first_cell``.
All arrays that go in and come out are of ``Engine.library`` (its Array API namespace, on its
device). ``cells`` are indices into the engine, (M,), without repetition; None means all cells.

A new engine implements the abstract methods; everything else is derived from them. What it
overrides for speed must do what the method here does. ``registry.register`` gives it a name.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from synfab.engines import validity
from synfab.engines.numba.threads import completed, uninterrupted
from synfab.model.cell_model import CellModel
from synfab.physics import rules
from synfab.physics.noise import ReadNoise, noisy_current, read_normals
from synfab.random.arrays import to_numpy
from synfab.random.backend import Library
from synfab.random.streams import WORD, Stream

Array = Any  # of the engine's library

# Few enough for the caches of a processor.
PROGRAMMED_AT_ONCE = 2**16


class Engine(ABC):
    """State of ``n_cells`` cells of one model and seed; see the module.

    Parameters
    ----------
    model
        Technology.
    n_cells
        Number of cells.
    seed, first_cell
        Which devices they are: cell i is number ``first_cell + i`` of the seed.
    order
        Of the cycle-to-cycle history.
    history
        How the history is stored; one of the names that the engine is registered for.
    library
        Array library of what goes in and comes out.

    Attributes
    ----------
    name
        Under which it is registered; set by ``make_engine``.
    STORED
        Names of the arrays of ``storage``.
    ANY_LIBRARY
        Whether it computes on the arrays of any library; otherwise ``library`` is NumPy, and arrays
        of others are converted before and after.
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
        self.seed, self.first_cell = seed, first_cell
        self.history, self.library = history, library

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the cells; the model and the library never change and are shared."""
        memo[id(self.model)] = self.model
        twin = copy.copy(self)
        vars(twin).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        return twin

    # ---- what each engine implements ------------------------------------------------------------

    @abstractmethod
    def fabricate(self, *, discardable: bool = False) -> None:
        """Replace all cells by fresh ones: in the HRS, cycle 0.

        ``discardable``: if this is interrupted, nobody uses the cells.
        """

    @abstractmethod
    def take(self, cells: Array | None = None) -> rules.SwitchingState:
        """Return r, threshold (V), steepness (A/V**eta), in_hrs and in_lrs of cells, (M,) each.

        They are copies where ``cells`` are given.
        """

    @abstractmethod
    def put(self, cells: Array, state: rules.SwitchingState) -> None:
        """Set what ``take`` returns, of the listed cells and of nothing else; may be repeated.

        An engine may round it, but stores what ``take`` returned without a change.
        """

    @abstractmethod
    def vectors(self, cells: Array | None = None) -> Array:
        """Return the normalised feature vectors x*_n of the current cycle, (4, M), float32."""

    @abstractmethod
    def begin_cycle(self, cells: Array) -> rules.Features:
        """Advance the history of the listed cells by a cycle; return their new features.

        The history and its form are the engine's own. The switching state stays as it is.
        """

    @abstractmethod
    def cycles(self, cells: Array | None = None) -> Array:
        """Return the cycle numbers n, (M,)."""

    @abstractmethod
    def parameters(self, cells: Array | None = None) -> Array:
        """Return the device parameters, (M, 8): mu of the four features, then sigma."""

    @abstractmethod
    def storage(self) -> dict[str, Array]:
        """Return the arrays that hold the whole state, ``STORED``, for files; not copies."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Copy into the state what ``storage`` returned, as NumPy arrays that ``check`` accepts."""

    # ---- derived --------------------------------------------------------------------------------

    def check(self, arrays: Mapping[str, Any]) -> None:
        """Raise ``FileFormatError`` unless ``restore`` can use these NumPy arrays of a file.

        Here: unless they have the types and shapes of fresh cells.
        """
        fresh = type(self)(
            self.model, self.n_cells, self.seed, self.first_cell,
            self.order, self.history, self.library,
        )  # fmt: skip
        fresh.fabricate(discardable=True)
        wanted = {name: to_numpy(array) for name, array in fresh.storage().items()}
        validity.check_fit(arrays, wanted)

    def begin_at(self, first_cell: int) -> None:
        """Let cell 0 be number ``first_cell``; ``fabricate`` must follow."""
        self.first_cell = first_cell

    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Let cells switch; an interrupt is raised before the first or after the last has.

        Parameters
        ----------
        u
            Volt, float32, of one or ``n_cells`` elements.
        where
            Mask (n_cells,) of the cells that are touched; None: all.
        """
        xp, library = self.library.xp, self.library
        everything = library.asarray(np.arange(self.n_cells))
        cells = everything if where is None else library.flatnonzero(where)
        if not cells.shape[0]:
            return
        voltages = xp.take(self._spread(u), cells, axis=0)
        now = self.features(cells)

        def begin_cycle(begins: Array) -> rules.Features:
            some = library.flatnonzero(begins)
            if not some.shape[0]:
                return now
            begun = self.begin_cycle(xp.take(cells, some, axis=0))
            return rules.Features(*(map(library.put, now, (some,) * 4, begun)))

        def switch() -> None:
            state = self.take(cells)
            self.put(cells, rules.pulse(self.model, now, state, voltages, begin_cycle))

        uninterrupted(switch)

    def program(self, cells: Array, r: Array) -> None:
        """Put the listed cells into the mixing states ``r``, (M,); see ``rules.program``."""
        for start in range(0, cells.shape[0], PROGRAMMED_AT_ONCE):
            part = cells[start : start + PROGRAMMED_AT_ONCE]
            wanted = r[start : start + PROGRAMMED_AT_ONCE]
            state = rules.program(self.model, self.features(part), self.take(part), wanted)
            completed(lambda part=part, state=state: self.put(part, state))  # type: ignore[misc]

    def features(self, cells: Array | None = None) -> rules.Features:
        """Return the features of the current cycle, (M,) each."""
        return rules.features_of(self.model, self.parameters(cells).T, self.vectors(cells))

    @property
    def states(self) -> Array:
        """Mixing state r of all cells; not a copy."""
        return self.take().r

    @property
    def in_hrs(self) -> Array:
        """Which cells are completely RESET."""
        return self.take().in_hrs

    @property
    def in_lrs(self) -> Array:
        """Which cells are SET."""
        return self.take().in_lrs

    def current(self, u: Array) -> Array:
        """Return the current without noise (A), float32, of all cells; ``u`` as in pulses."""
        return self.library.exact(rules.current, (self.model,))(self.states, self._spread(u))

    def read(self, u: Array, number: int, noise: ReadNoise) -> Array:
        """Return the current (A) of all cells with the noise of read ``number``."""
        cells = np.arange(self.n_cells, dtype=np.uint64) + np.uint64(self.first_cell)
        counter = self.words(cells >> np.uint64(2))
        lane = self.library.asarray((cells & np.uint64(3)).astype(np.int32))
        key, index = self.library.key(self.seed), self._word(number)
        draw = self.library.exact(read_normals, ())
        z = draw(key, counter, index + counter[0] * 0, lane)
        noisy = self.library.exact(noisy_current, (self.model, noise.terms))
        return noisy(self.states, self._spread(u), z, noise.coefficients)

    def readout_noise(self, first: int, rows: int, number: int, count: int) -> Array:
        """Return standard normal numbers of ``count`` crossbar readouts, (rows, count).

        Parameters
        ----------
        first
            Number of the first row among all rows of the seed.
        number
            Which input vector the first is.
        """
        word, asarray = self.library.word, self.library.asarray
        row = asarray(np.arange(first, first + rows).astype(word))[:, None]
        index = asarray((np.arange(number, number + count) & WORD).astype(word))[None, :]
        drawn: Array = self.normals(
            self.library.key(self.seed), (row, row * 0), index + row * 0, Stream.READOUT_NOISE
        )
        return drawn[0, :, :]

    def row_sums(self, columns: int, weights: Array) -> Array:
        """Return the sums over ``columns`` of r times each row of ``weights``: (rows, B).

        ``weights``: NumPy, float32, (B, columns).
        """
        xp, wide = self.library.xp, self.library.wide
        r = xp.reshape(self.states, (-1, columns))
        return xp.astype(r, wide) @ xp.astype(self.library.asarray(weights), wide).T

    # ---- for engines that compute with the rules ------------------------------------------------

    def words(self, numbers: np.ndarray[Any, Any]) -> tuple[Array, Array]:
        """Return the low and high words of 64-bit numbers, on the device."""
        low, high = numbers & np.uint64(0xFFFFFFFF), numbers >> np.uint64(32)
        word, asarray = self.library.word, self.library.asarray
        return asarray(low.astype(word)), asarray(high.astype(word))

    def normals(self, key: Any, number: tuple[Array, Array], index: Array, stream: Stream) -> Array:
        """Return the normal numbers of ``rules.draw_normals``, compiled where that pays."""
        draw = self.library.compiled(rules.draw_normals, ())
        return draw(key, number, index, self._word(int(stream)))

    def _word(self, value: int) -> Array:
        return self.library.asarray(np.asarray(value, self.library.word))

    def _spread(self, u: Array) -> Array:
        return self.library.xp.broadcast_to(u, (self.n_cells,)) if u.shape[0] == 1 else u
