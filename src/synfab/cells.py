"""CellArray: an array of virtual memory cells, the object that users hold."""

from __future__ import annotations

import copy
import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab import rules
from synfab.capacity import check_capacity
from synfab.engines.array_engine import ArrayEngine
from synfab.errors import InvalidTypeError, InvalidValueError
from synfab.model import FEATURES, CellModel
from synfab.modelfile import load_model
from synfab.readout import noise_factors
from synfab.streams import MAX_SEED, check_seed

Array = npt.NDArray[Any]

ENGINES = ("auto", "numba", "array")
HISTORIES = ("float32", "int16")


class CellArray:
    """Virtual cells of one technology.

    Cell number ``first_cell + i`` (i in C order) of a seed is the same virtual device in every
    array, engine and shard.

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
        ``"numba"`` (which ``"auto"`` means) or ``"array"``.
    history
        ``"float32"``, or ``"int16"`` to hold the history in half the memory (engine numba).
    first_cell
        Global number of the first cell.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    CapacityError
        The cells would not fit into memory.
    """

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
    ) -> None:
        self._allocate(model, shape, seed, order, engine, history, first_cell)
        self._engine.fabricate()

    def _allocate(
        self,
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        seed: int,
        order: int | None,
        engine: str,
        history: str,
        first_cell: int,
    ) -> None:
        self.model = load_model(model)
        self.shape = _check_shape(shape)
        self.seed = check_seed(seed)
        self.order = self.model.history(order).order
        if engine not in ENGINES:
            raise InvalidValueError(
                f"engine: expected one of {', '.join(ENGINES)}, found {engine!r}"
            )
        if history not in HISTORIES:
            raise InvalidValueError(
                f"history: expected one of {', '.join(HISTORIES)}, found {history!r}"
            )
        self.engine = "numba" if engine == "auto" else engine
        self.history = history
        if self.engine == "array" and history != "float32":
            raise InvalidValueError('history: "int16" needs engine "numba"')
        self.first_cell = _check_integer("first_cell", first_cell)
        if not 0 <= self.first_cell <= MAX_SEED - self.size:
            raise InvalidValueError(
                f"first_cell: expected 0 … 2**64 - 1 - {self.size}, found {self.first_cell}"
            )
        check_capacity(self.size, self.order, history)
        self.read_number = 0
        self.readout_number = 0
        arguments = (self.model, self.size, self.seed, self.first_cell, self.order)
        self._engine: Any
        if self.engine == "array":
            self._engine = ArrayEngine(*arguments)
        else:
            from synfab.engines.numba_engine import NumbaEngine

            self._engine = NumbaEngine(*arguments, history)

    # ---- what the array is ----------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

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

    def copy(self) -> CellArray:
        """Return an independent copy that goes on with the same random numbers."""
        return copy.deepcopy(self)

    # ---- changing cells -------------------------------------------------------------------------

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
            NaN, infinity or a wrong shape; no cell has changed then.
        """
        mask = None if where is None else self._mask(where)
        self._engine.apply_voltage(self._voltages(u, mask), mask)
        return self

    def set_conductance(self, g: npt.ArrayLike, *, where: npt.ArrayLike | None = None) -> CellArray:
        """Program cells ideally to static conductances ``g`` (S) at the model's U_0.

        Defines the state, the RESET threshold and the flags as if each cell had been brought there
        on its own transition curve; no cycle is used.

        Raises
        ------
        InvalidValueError
            A conductance is outside what the technology can hold; no cell has changed then.
        """
        mask = None if where is None else self._mask(where)
        target = self._real("g", g)
        cells = np.arange(self.size) if mask is None else np.flatnonzero(mask)
        wanted = np.broadcast_to(target, self.shape).reshape(-1)[cells]
        conduction = self.model.conduction
        low = conduction.g_llrs - rules.highest_state(self.model) * (
            conduction.g_llrs - conduction.g_hhrs
        )
        if (
            not np.isfinite(wanted).all()
            or (wanted < low).any()
            or (wanted > conduction.g_llrs).any()
        ):
            raise InvalidValueError(
                f"g: expected {low:.4g} … {conduction.g_llrs:.4g} S, found "
                f"{np.min(wanted):.4g} … {np.max(wanted):.4g} S"
            )
        if cells.size:
            r = np.asarray(
                (conduction.g_llrs - wanted.astype(np.float64))
                / (conduction.g_llrs - conduction.g_hhrs),
                np.float32,
            )
            r = np.minimum(r, np.float32(rules.highest_state(self.model)))
            self._engine.program(cells, r)
        return self

    # ---- reading cells --------------------------------------------------------------------------

    def current(self, u: npt.ArrayLike) -> Array:
        """Noise-free current (A) of every cell at ``u`` (V), float32; changes nothing."""
        result = self._engine.current(self._voltages(u, None))
        return np.asarray(result).reshape(self.shape)

    def conductance(self, u: float = 0.2) -> Array:
        """Static conductance I/U (S) of every cell at one voltage ``u`` (V), not 0."""
        voltage = self._voltages(u, None)
        if voltage.size != 1 or voltage[0] == 0.0:
            raise InvalidValueError("u: expected one voltage that is not 0 V")
        return np.asarray(self.current(u) / voltage[0])

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
        voltages = self._voltages(u, None)
        if not noise:
            return self.current(u)
        given = self.read_number if number is None else _check_word("number", number)
        result = np.asarray(self._engine.read(voltages, given, johnson, shot))
        if number is None:
            self.read_number = given + 1
        return result.reshape(self.shape)

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
        if self.ndim != 2:
            raise InvalidValueError(
                f"cells: a crossbar readout needs rows x columns, this array has shape {self.shape}"
            )
        johnson, shot = noise_factors(bandwidth)
        columns = self.shape[1]
        voltages = np.asarray(self._real("v", v), np.float32)
        if voltages.ndim not in (1, 2) or voltages.shape[0] != columns or voltages.size == 0:
            raise InvalidValueError(
                f"v: expected shape ({columns},) or ({columns}, B), found {voltages.shape}"
            )
        if not np.isfinite(voltages).all():
            raise InvalidValueError("v: expected finite voltages, found NaN or infinity")
        batch = np.ascontiguousarray(voltages.reshape(columns, -1).T, np.float64)
        count = len(batch)
        if number is not None:
            _check_word("number", number, count)
        llrs, hhrs = (self.model.conduction.current(r, batch) for r in (0.0, 1.0))
        weights = hhrs - llrs
        base = llrs.sum(axis=1)
        if noise:
            zero = batch == 0.0
            factor = johnson / np.abs(np.where(zero, 1.0, batch)) + shot
            slope_llrs, slope_hhrs = (self.model.conduction.slope(r, 0.0) for r in (0.0, 1.0))
            sign = np.sign(batch)
            noise_base = np.where(zero, johnson * slope_llrs, factor * sign * llrs).sum(axis=1)
            noise_weights = np.where(
                zero, johnson * (slope_hhrs - slope_llrs), factor * sign * weights
            )
            # Both sums in one pass over r; the noise in units that float32 can hold.
            unit = johnson + shot or 1.0
            weights = np.concatenate([weights, noise_weights / unit])
        sums = np.asarray(self._engine.row_sums(columns, np.ascontiguousarray(weights, np.float32)))
        result = base + sums[:, :count]
        if noise:
            variance = np.maximum(noise_base + unit * sums[:, count:], 0.0)
            result = result + np.sqrt(variance) * self.readout_noise(count, number)
        return np.asarray(result[:, 0] if voltages.ndim == 1 else result)

    def readout_noise(self, count: int, number: int | None = None) -> Array:
        """Standard normal numbers of ``count`` crossbar readouts, (rows, count).

        ``number`` says which input vector the first is; None counts on from the last.
        """
        given = self.readout_number if number is None else _check_word("number", number, count)
        drawn = np.asarray(self._engine.readout_noise(self.shape[0], count, given))
        if number is None:
            self.readout_number = given + count
        return drawn

    def __matmul__(self, v: npt.ArrayLike) -> Array:
        return self.matvec(v)

    @property
    def features(self) -> dict[str, Array]:
        """Features of the current cycle: r_hrs, r_lrs (ohm), u_set, u_reset (V), copies."""
        values = np.asarray(self._engine.features())
        return {name: row.reshape(self.shape) for name, row in zip(FEATURES, values, strict=True)}

    @property
    def device_parameters(self) -> Array:
        """Device parameters, shape (…, 8): mu of the four features, then sigma; a copy."""
        return np.array(self._engine.parameters()).reshape(*self.shape, 8)

    @property
    def r(self) -> Array:
        """Mixing state r of every cell, a copy."""
        return np.array(self._engine.states).reshape(self.shape)

    @property
    def cycle(self) -> Array:
        """Cycle number n of every cell, a copy."""
        return np.array(self._engine.cycle).reshape(self.shape)

    @property
    def in_hrs(self) -> Array:
        """Which cells are completely RESET, a copy."""
        return np.array(self._engine.in_hrs).reshape(self.shape)

    @property
    def in_lrs(self) -> Array:
        """Which cells are SET, a copy."""
        return np.array(self._engine.in_lrs).reshape(self.shape)

    def __getitem__(self, key: Any) -> CellView:
        """Return a view for reading the state of some cells; it follows the array."""
        index = np.arange(self.size).reshape(self.shape)[key]
        return CellView(self, np.asarray(index))

    # ---- files ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one file, whole or not at all; ``load`` continues exactly."""
        from synfab.arrayfile import save_array

        save_array(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CellArray:
        """Read an array from a file; a damaged or foreign file is a ``FileFormatError``."""
        from synfab.arrayfile import load_array

        return load_array(path)

    # ---- arguments ------------------------------------------------------------------------------

    def _real(self, name: str, value: npt.ArrayLike) -> Array:
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise InvalidTypeError(f"{name}: expected real numbers, found {array.dtype}")
        return array

    def _voltages(self, u: npt.ArrayLike, mask: Array | None) -> Array:
        """One float32, or one for each cell; NaN is allowed only outside the mask."""
        array = self._real("u", u)
        if array.shape != self.shape and (array.size != 1 or array.ndim > self.ndim):
            try:
                array = np.broadcast_to(array, self.shape)
            except ValueError:
                raise InvalidValueError(
                    f"u: shape {array.shape} does not broadcast to {self.shape}"
                ) from None
        with np.errstate(over="ignore"):  # what float32 cannot hold is found below
            flat = _writable(np.ascontiguousarray(array, np.float32).reshape(-1))
        used = flat if mask is None or flat.size == 1 else flat[mask]
        if not np.isfinite(used).all():
            raise InvalidValueError("u: expected finite voltages, found NaN or infinity")
        return flat

    def _mask(self, where: npt.ArrayLike) -> Array:
        array = np.asarray(where)
        if array.dtype != np.bool_:
            raise InvalidTypeError(f"where: expected booleans, found {array.dtype}")
        try:
            whole = array if array.shape == self.shape else np.broadcast_to(array, self.shape)
            return _writable(np.ascontiguousarray(whole).reshape(-1))
        except ValueError:
            raise InvalidValueError(
                f"where: shape {array.shape} does not broadcast to {self.shape}"
            ) from None


class CellView:
    """Some cells of an array, for reading their state; indexing never copies the array."""

    def __init__(self, cells: CellArray, index: Array) -> None:
        self._cells, self._index = cells, index
        self.shape = index.shape

    def _state(self) -> tuple[rules.Devices, rules.CellState]:
        devices, state = self._cells._engine.take(self._index.reshape(-1))
        return devices, state

    @property
    def r(self) -> Array:
        """Mixing state r."""
        return np.asarray(self._state()[1].r).reshape(self.shape)

    @property
    def cycle(self) -> Array:
        """Cycle number n."""
        return np.asarray(self._state()[1].cycle).reshape(self.shape)

    @property
    def in_hrs(self) -> Array:
        """Which cells are completely RESET."""
        return np.asarray(self._state()[1].in_hrs).reshape(self.shape)

    @property
    def in_lrs(self) -> Array:
        """Which cells are SET."""
        return np.asarray(self._state()[1].in_lrs).reshape(self.shape)

    @property
    def features(self) -> dict[str, Array]:
        """Features of the current cycle; see ``CellArray.features``."""
        devices, state = self._state()
        values = rules.cycle_features(self._cells.model, devices, state.block, state.cycle)
        return {
            name: np.asarray(row).reshape(self.shape)
            for name, row in zip(FEATURES, values, strict=True)
        }

    def current(self, u: float = 0.2) -> Array:
        """Noise-free current (A) at one voltage ``u`` (V)."""
        voltage = self._cells._voltages(u, None)
        if voltage.size != 1:
            raise InvalidValueError("u: expected one voltage")
        r = self._state()[1].r
        result = rules.current(self._cells.model, r, np.full_like(r, voltage[0]))
        return np.asarray(result).reshape(self.shape)

    def conductance(self, u: float = 0.2) -> Array:
        """Static conductance I/U (S) at one voltage ``u`` (V), not 0."""
        if u == 0:
            raise InvalidValueError("u: expected one voltage that is not 0 V")
        return np.asarray(self.current(u) / np.float32(u))

    def __repr__(self) -> str:
        return f"CellView({' x '.join(map(str, self.shape)) or 'one'} of {self._cells!r})"


def _writable(array: Array) -> Array:
    """Kernels are compiled for writable arrays; a read-only one would be compiled for again."""
    return array if array.flags.writeable else array.copy()


def _check_integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidTypeError(f"{name}: expected an integer, found {type(value).__name__}")
    return int(value.__index__())


def _check_word(name: str, value: object, room: int = 1) -> int:
    found = _check_integer(name, value)
    if not 0 <= found <= 2**32 - room:
        raise InvalidValueError(f"{name}: expected 0 … 2**32 - {room}, found {found}")
    return found


def _check_shape(shape: object) -> tuple[int, ...]:
    axes = shape if isinstance(shape, (tuple, list)) else (shape,)
    result = tuple(_check_integer("shape", axis) for axis in axes)
    if not result or any(axis < 1 for axis in result):
        raise InvalidValueError(f"shape: expected axes of 1 or more cells, found {result}")
    return result
