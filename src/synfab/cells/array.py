"""CellArray: an array of virtual memory cells, the object that users hold."""

from __future__ import annotations

import copy
import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.arguments import Arguments
from synfab.cells.view import CellView
from synfab.common import checks
from synfab.common.errors import CapacityError, InvalidIndexError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.locking import add_lock, locked
from synfab.engines.numba.threads import completed
from synfab.engines.registry import check_engine, library_name, make_engine
from synfab.io.memory import check_capacity, require_memory
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.model_file import load_model
from synfab.physics import rules
from synfab.physics.readout import Readout, noise_factors
from synfab.random.arrays import to_numpy
from synfab.random.backend import find_library
from synfab.random.streams import MAX_SEED, WORD, check_seed

MANY_NUMBERS = 2**24  # from here on, memory is asked for before numbers are drawn
MAX_REASON = 200  # characters of a message of NumPy

# NumPy's for the engines "numba" and "array"; PyTorch's and JAX's for those of these names.
Array = Any


class CellArray:
    """Virtual cells of one technology.

    Cell number ``first_cell + i`` (i in C order) of a seed is the same virtual device in every
    array, engine and shard. Threads may share an array: each method call holds the array's lock, so
    that reads are numbered one by one and pulses follow one another.

    Parameters
    ----------
    model
        ``CellModel``, ``"published"``, or the path of a model file.
    shape
        Number of cells, or a tuple.
    seed
        0 … 2**64 - 1; required, so that no result depends on the run.
    order
        Order of the cycle-to-cycle history; None takes the model's highest.
    engine
        ``"numba"`` (which ``"auto"`` means); ``"torch"`` or ``"jax"``: on that library's arrays,
        which all methods take and return; or ``"array"``, the reference on NumPy.
    history
        ``"float32"``; ``"int16"`` to hold it in half the memory; or ``"compact"``: 16 bytes for
        the whole cell, with a history of eight numbers that nearly remembers as much. The latter
        two need engine numba.
    first_cell
        Global number of the first cell.
    device
        Where the cells live, such as ``"cuda"`` (engines torch and jax).

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    CapacityError
        The cells would not fit into memory.
    """

    _lock: Any

    def __init__(
        self,
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        order: int | None = None,
        engine: str = "auto",
        history: str = "float32",
        first_cell: int = 0,
        device: Any = None,
    ) -> None:
        self._allocate(model, shape, seed, order, engine, history, first_cell, device)
        self._engine.fabricate(discardable=True)

    def _allocate(
        self,
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        seed: int,
        order: int | None,
        engine: str,
        history: str,
        first_cell: int,
        device: Any = None,
    ) -> None:
        self.model = load_model(model)
        self.shape = checks.axes("shape", shape)
        if self.size > MAX_SEED:
            raise CapacityError(f"shape: expected up to 2**64 - 1 cells, found {self.size}")
        self.seed = check_seed(seed)
        self.order = self.model.history(order).order
        self.engine = check_engine(engine, history)
        self.history = history
        self.first_cell = self._check_first(first_cell)
        self._library = find_library(library_name(self.engine), device)
        self._given = Arguments(self._library, self.shape)
        if self._library.place.startswith("cpu"):
            check_capacity(self.size, self.order, history)
        self.read_number = 0
        self.readout_number = 0
        self._cycle_bound = 0  # no cell is beyond this cycle
        add_lock(self)
        self._engine = make_engine(
            self.engine, history, self._library,
            self.model, self.size, self.seed, self.first_cell, self.order,
        )  # fmt: skip

    def _check_first(self, first_cell: Any) -> int:
        return checks.integer("first_cell", first_cell, 0, MAX_SEED - self.size)

    # ---- what the array is ----------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def device(self) -> Any:
        """Where the cells live: "cpu", or a device in the words of the engine's library."""
        return self._library.device

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Memory of the state in bytes."""
        return sum(int(a.nbytes) for a in self._engine.storage().values())

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return (
            f"CellArray({size} cells of {self.model.name!r}, seed={self.seed}, order={self.order}, "
            f"engine={self.engine!r}, history={self.history!r}, first_cell={self.first_cell})"
        )

    @locked
    def renew(self, first_cell: int | None = None) -> CellArray:
        """Make fresh cells in the same memory, from number ``first_cell`` on (None: the same)."""
        first = self.first_cell if first_cell is None else self._check_first(first_cell)
        completed(lambda: self._renew(first))
        return self

    def _renew(self, first_cell: int) -> None:
        self.first_cell = first_cell
        self._engine.begin_at(first_cell)
        self._engine.fabricate()
        self.read_number = self.readout_number = self._cycle_bound = 0

    def copy(self) -> CellArray:
        """Return an independent copy that goes on with the same random numbers."""
        return copy.deepcopy(self)

    def __copy__(self) -> CellArray:
        return self.copy()  # two arrays must not change the same cells

    @locked
    def __deepcopy__(self, memo: dict[int, Any]) -> CellArray:
        result = CellArray.__new__(type(self))
        vars(result).update(vars(self), _engine=copy.deepcopy(self._engine, memo))
        add_lock(result)
        return result

    @locked
    def __getstate__(self) -> dict[str, Any]:
        state = {**vars(self), "_engine": copy.deepcopy(self._engine)}  # of one moment
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({"_cycle_bound": 0, **state})
        add_lock(self)

    # ---- changing cells -------------------------------------------------------------------------

    @locked
    def apply_voltage(self, u: npt.ArrayLike, *, where: npt.ArrayLike | None = None) -> CellArray:
        """Apply a voltage (V) to every cell, or to those selected, and let them switch.

        Parameters
        ----------
        u
            One voltage, or an array that broadcasts to the shape; rounded to float32.
        where
            Boolean mask that broadcasts to the shape; only selected cells are touched and cost
            time, and what ``u`` holds elsewhere is ignored.

        Returns
        -------
        CellArray
            The array itself.

        Raises
        ------
        InvalidValueError
            NaN, infinity or a wrong shape, or a cell would begin a cycle beyond number 2**30 - 1;
            no cell has changed then.

        Notes
        -----
        An interrupt (Ctrl-C, a signal handler that raises) is raised before the first cell has
        switched or after the last.
        """
        mask = self._given.mask(where)
        voltages = self._given.voltages(u, mask)
        if self._cycle_bound >= rules.MAX_CYCLE:
            self._check_cycles(voltages, mask)
        self._cycle_bound += 1
        self._engine.apply_voltage(voltages, mask)
        return self

    def _check_cycles(self, voltages: Array, mask: Array | None) -> None:
        """Raise if a pulse would begin a cycle beyond the last; else find the highest there is."""
        cycle = to_numpy(self._engine.cycle)
        self._cycle_bound = int(cycle.max())
        spent = cycle >= rules.MAX_CYCLE
        cells = np.flatnonzero(spent if mask is None else spent & to_numpy(mask))
        if not cells.size:
            return
        _, state = self._engine.take(cells)
        u = to_numpy(voltages)
        u = u if u.size == 1 else u[cells]
        begins = cells[to_numpy(state.in_lrs) & (u > to_numpy(state.threshold))]
        if begins.size:
            raise InvalidValueError(
                f"u: cell {begins[0]} is in its last cycle, number {rules.MAX_CYCLE}, and would be "
                f"RESET into another; renew() makes fresh cells"
            )

    @locked
    def set_conductance(self, g: npt.ArrayLike, *, where: npt.ArrayLike | None = None) -> CellArray:
        """Program cells ideally to static conductances ``g`` (S) at the model's U_0.

        Defines the state, the RESET threshold and the flags as if each cell had been brought there
        on its own transition curve; no cycle is used.

        Raises
        ------
        InvalidValueError
            A conductance is outside what the technology can hold; no cell has changed then.
        """
        xp, conduction = self._library.xp, self.model.conduction
        mask = self._given.mask(where)
        given = self._given.broadcast("g", self._given.real("g", g))
        wanted = xp.reshape(xp.astype(given, self._library.wide), (-1,))
        top = rules.highest_state(self.model)
        low, high = float(conduction.conductance(top)), conduction.g_llrs
        fits = (wanted >= low) & (wanted <= high)
        used = wanted if mask is None else xp.where(mask, wanted, high)
        if not bool(xp.all(fits if mask is None else fits | ~mask)):
            raise InvalidValueError(
                f"g: expected {low:.4g} … {high:.4g} S, found "
                f"{float(xp.min(used)):.4g} … {float(xp.max(used)):.4g} S"
            )
        r = xp.astype(conduction.state(used), xp.float32)
        r = xp.where(r > top, top, r)
        if mask is None:
            cells = self._library.asarray(np.arange(self.size))
        else:
            cells = self._library.flatnonzero(mask)
        targets = r if mask is None else xp.take(r, cells, axis=0)
        completed(lambda: self._engine.program(cells, targets))
        return self

    # ---- reading cells --------------------------------------------------------------------------

    @locked
    def current(self, u: npt.ArrayLike) -> Array:
        """Noise-free current (A) of every cell at ``u`` (V), float32; changes nothing."""
        return self._shaped(self._engine.current(self._given.voltages(u)))

    @locked
    def conductance(self, u: float = 0.2) -> Array:
        """Static conductance I/U (S) of every cell at one voltage ``u`` (V), not 0."""
        voltage = self._given.voltages(u)
        if voltage.shape[0] != 1 or voltage[0] == 0.0:
            raise InvalidValueError("u: expected one voltage that is not 0 V")
        return self.current(u) / voltage[0]

    @locked
    def read(
        self,
        u: npt.ArrayLike = 0.2,
        *,
        bandwidth: float = 1e8,
        noise: bool = True,
        number: int | None = None,
    ) -> Array:
        """Measure the current (A) of every cell at ``u`` (V), with Johnson and shot noise.

        Parameters
        ----------
        bandwidth
            Of the measurement, Hz.
        noise
            False gives ``current``.
        number
            Which read this is: equal numbers give equal noise. None counts on from the last.
        """
        johnson, shot = noise_factors(bandwidth)
        voltages = self._given.voltages(u)
        if not checks.flag("noise", noise):
            return self.current(u)
        given = self.read_number if number is None else checks.word("number", number)
        result = self._engine.read(voltages, given, johnson, shot)
        if number is None:
            # Words count on from zero beyond 2**32, as the noise does.
            self.read_number = (given + 1) & WORD
        return self._shaped(result)

    @locked
    def matvec(
        self,
        v: npt.ArrayLike,
        *,
        noise: bool = True,
        bandwidth: float = 1e8,
        number: int | None = None,
    ) -> Array:
        """Read the array as a crossbar with ideal wires: out_i = sum_j I(r_ij, v_j).

        The mixture is linear in r, so nonlinear cells still make a matrix-vector product.

        Parameters
        ----------
        v
            Voltage of each column (V), shape (columns,), or (columns, B) for B input vectors.
        noise
            Johnson and shot noise of every cell, summed in each row.
        bandwidth
            Of the measurement, Hz.
        number
            Which input vector this is (the first of B); None counts on from the last.

        Returns
        -------
        array
            Current of each row (A), float64, shape (rows,) or (rows, B).
        """
        voltages = self._given.column_voltages(v)
        batch = np.ascontiguousarray(voltages.reshape(self.shape[1], -1).T, np.float64)
        count = len(batch)
        given = self.readout_number if number is None else checks.word("number", number, count)
        noise, factors = checks.flag("noise", noise), noise_factors(bandwidth)
        z = self._engine.readout_noise(0, self.shape[0], given, count) if noise else None
        result = self._row_currents(batch, factors, z)
        if noise and number is None:  # only now: an interrupted call has used no number
            self.readout_number = (given + count) & WORD
        return result[:, 0] if voltages.ndim == 1 else result

    @locked
    def _row_currents(self, batch: Array, factors: tuple[float, float], z: Array | None) -> Array:
        """Currents (rows, B) for voltages (B, columns); ``z``: normal numbers, None: no noise."""
        xp, library, count = self._library.xp, self._library, len(batch)
        readout = Readout.of(self.model.conduction, batch, factors if z is not None else None)
        # Both sums in one pass over r.
        sums = self._engine.row_sums(self.shape[1], readout.weights)
        result = library.asarray(readout.base) + sums[:, :count]
        if z is None:
            return result
        variance = readout.unit * sums[:, count:] + library.asarray(readout.noise_base)
        return result + xp.sqrt(xp.where(variance > 0.0, variance, 0.0)) * z

    @locked
    def readout_noise(self, count: int, number: int | None = None, *, first_row: int = 0) -> Array:
        """Standard normal numbers of ``count`` crossbar readouts, (rows, count).

        ``number`` says which input vector the first is; None counts on from the last. Where the
        array is a part of a larger one, ``first_row`` is the number of its first row there.
        """
        count = checks.integer("count", count, 1, WORD + 1)
        first_row = checks.word("first_row", first_row, self.shape[0])
        given = self.readout_number if number is None else checks.word("number", number, count)
        if count > MANY_NUMBERS // self.shape[0]:
            require_memory(4 * count * self.shape[0], "count")
        drawn = self._engine.readout_noise(first_row, self.shape[0], given, count)
        if number is None:
            self.readout_number = (given + count) & WORD
        return drawn

    def __matmul__(self, v: npt.ArrayLike) -> Array:
        return self.matvec(v)

    @property
    @locked
    def features(self) -> dict[str, Array]:
        """Features of the current cycle: r_hrs, r_lrs (ohm), u_set, u_reset (V), copies."""
        values = self._engine.features()
        return {name: self._shaped(values[k]) for k, name in enumerate(FEATURES)}

    @property
    @locked
    def device_parameters(self) -> Array:
        """Device parameters, shape (…, 8): mu of the four features, then sigma; a copy."""
        return self._library.xp.reshape(self._copied(self._engine.parameters()), (*self.shape, 8))

    @property
    @locked
    def r(self) -> Array:
        """Mixing state r of every cell, a copy."""
        return self._shaped(self._copied(self._engine.states))

    @property
    @locked
    def cycle(self) -> Array:
        """Cycle number n of every cell, a copy."""
        return self._shaped(self._copied(self._engine.cycle))

    @property
    @locked
    def in_hrs(self) -> Array:
        """Which cells are completely RESET, a copy."""
        return self._shaped(self._copied(self._engine.in_hrs))

    @property
    @locked
    def in_lrs(self) -> Array:
        """Which cells are SET, a copy."""
        return self._shaped(self._copied(self._engine.in_lrs))

    def __getitem__(self, key: Any) -> CellView:
        """Return a view for reading the state of some cells; it follows the array."""
        if isinstance(key, np.ma.MaskedArray):
            raise InvalidIndexError("key: masked arrays are not accepted")
        try:
            index = np.arange(self.size).reshape(self.shape)[key]
        except Exception as error:  # NumPy raises several kinds, and a key whatever it likes
            pass_on(error)
            reason = " ".join(str(error).split())
            raise InvalidIndexError(
                f"key: no cells of shape {self.shape}: {reason[:MAX_REASON]}"
            ) from None
        return CellView(self, np.asarray(index))

    # ---- files ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one file, whole or not at all; ``load`` continues exactly."""
        from synfab.cells.files import save_array

        save_array(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CellArray:
        """Read an array from a file; a damaged or foreign file is a ``FileFormatError``."""
        from synfab.cells.files import load_array

        return load_array(path)

    @locked
    def _take(self, cells: Array) -> tuple[rules.Devices, rules.CellState]:
        """State of listed cells in the form of ``rules``, a copy."""
        taken: tuple[rules.Devices, rules.CellState] = self._engine.take(cells)
        return taken

    def _restore(self, arrays: dict[str, Any]) -> None:
        """Take over the state of a file."""
        self._engine.restore(arrays)
        self._cycle_bound = int(to_numpy(self._engine.cycle).max())

    def _shaped(self, array: Array) -> Array:
        return self._library.xp.reshape(array, self.shape)

    def _copied(self, array: Array) -> Array:
        return self._library.xp.asarray(array, copy=True)
