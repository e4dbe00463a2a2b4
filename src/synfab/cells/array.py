"""CellArray: an array of virtual memory cells, the main class of the package."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

import numpy as np
import numpy.typing as npt

from synfab.cells.arguments import MANY_NUMBERS, Arguments
from synfab.cells.files import load_array, save_array
from synfab.cells.html import cells_html
from synfab.cells.identity import Identity, check_first, earlier_engine
from synfab.cells.labelled import to_pandas, to_xarray
from synfab.cells.programs import apply_program
from synfab.cells.reading import currents, row_currents, trace
from synfab.cells.traps import (
    CellTraps,
    checked_interval,
    checked_pause,
    checked_temperature,
    checked_time,
    without_traps,
)
from synfab.cells.view import CellView, selected_cells
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.locking import add_lock, locked
from synfab.common.no_array import no_array
from synfab.common.types import A, AnyArray, ArraysName
from synfab.engines.base import Engine
from synfab.engines.numba.threads import completed
from synfab.engines.registry import EngineName, HistoryName
from synfab.io.memory import require_memory
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.model_file import load_model
from synfab.physics import drawing, rules
from synfab.physics.noise import MAX_BANDWIDTH, ReadNoise
from synfab.random.arrays import to_numpy
from synfab.random.backend import find_library
from synfab.random.streams import WORD

if TYPE_CHECKING:
    import jax
    import pandas as pd
    import torch
    import xarray as xr


@no_array("cells.r, cells.conductance() or cells.read()")
class CellArray(Generic[A]):
    """Array of virtual memory cells of one technology.

    Cell number ``first_cell + i`` (i in C order) of a seed is the same virtual device in every
    array, engine and shard. Threads may share an array: each method call holds the array's lock, so
    reads are numbered consecutively and pulses are applied one after the other.

    Parameters
    ----------
    model
        ``CellModel``, ``"published"``, or the path of a model file.
    shape
        Number of cells, or a tuple.
    seed
        0 … 2**64 - 1; required, so that every result is reproducible.
    order
        Order of the cycle-to-cycle history; None: the highest order of the model.
    engine
        ``"numba"``, kernels for CPUs; ``"warp"``, kernels for NVIDIA GPUs (``"auto"`` selects these
        two on their devices); ``"array"``, the reference, which computes with the operations of the
        array library on any of its devices; or another registered engine
        (``synfab.engines.registry``). An ``Engine`` instance that already contains these cells is
        used unchanged, with its history.
    history
        ``"float32"``, or ``"compact"``: 16 bytes per cell in total, with a history of eight numbers
        that retains nearly as much information; requires engine numba.
    first_cell
        Global number of the first cell.
    arrays
        Library of the arrays that methods accept and return: ``"numpy"``, ``"torch"`` or
        ``"jax"``. On the CPU they share memory with the engine where possible.
    device
        Device that stores the cells, such as ``"cuda"`` with PyTorch or JAX; None: the CPU.
    condition
        Conditions of the cells, such as ``{"compliance": 50e-6}`` (A), for models that were fitted
        to measurements at several; the same as ``model.at(compliance=50e-6)``. None: the median
        conditions of the measurement.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is invalid.
    CapacityError
        The cells do not fit into memory.

    Examples
    --------
    >>> cells = sf.CellArray("published", (4, 8), seed=7)
    >>> bool(cells.apply_voltage(-2.0).in_lrs.all())
    True
    >>> cells.read(0.2).shape
    (4, 8)
    """

    engine_instance: Engine

    @overload
    def __init__(
        self: CellArray[npt.NDArray[Any]],
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        order: int | None = ...,
        engine: EngineName | Engine = ...,
        history: HistoryName = ...,
        first_cell: int = ...,
        arrays: Literal["numpy"] = ...,
        device: Any = ...,
        condition: Mapping[str, float] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: CellArray[torch.Tensor],
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        order: int | None = ...,
        engine: EngineName | Engine = ...,
        history: HistoryName = ...,
        first_cell: int = ...,
        arrays: Literal["torch"],
        device: Any = ...,
        condition: Mapping[str, float] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: CellArray[jax.Array],
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        order: int | None = ...,
        engine: EngineName | Engine = ...,
        history: HistoryName = ...,
        first_cell: int = ...,
        arrays: Literal["jax"],
        device: Any = ...,
        condition: Mapping[str, float] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: CellArray[Any],
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        order: int | None = ...,
        engine: EngineName | Engine = ...,
        history: HistoryName = ...,
        first_cell: int = ...,
        arrays: ArraysName,
        device: Any = ...,
        condition: Mapping[str, float] | None = ...,
    ) -> None: ...

    def __init__(
        self,
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        order: int | None = None,
        engine: EngineName | Engine = "auto",
        history: HistoryName = "float32",
        first_cell: int = 0,
        arrays: ArraysName = "numpy",
        device: Any = None,
        condition: Mapping[str, float] | None = None,
    ) -> None:
        if condition is not None:
            given = checks.mapping("condition", condition)
            model = load_model(model).at(
                **{checks.text("condition", k): v for k, v in given.items()}
            )
        if isinstance(engine, Engine):
            name, kept = engine.name, engine.history
        else:
            (name, arrays), kept = earlier_engine(engine, arrays), history
        self._library = find_library(arrays, device)
        place = self._library.place
        identity = Identity.of(model, shape, seed, order, name, kept, first_cell, place)
        self.model, self.shape = identity.model, identity.shape
        self.seed, self.order, self.first_cell = identity.seed, identity.order, identity.first_cell
        self.engine, self.history = identity.engine, identity.history
        if isinstance(engine, Engine):
            identity.check_held(engine)
            self.engine_instance = engine
        else:
            self.engine_instance = identity.make_engine(self._library)
            self.engine_instance.fabricate(discardable=True)
        self.arguments = Arguments(self.engine_instance.library, self.shape, self._library)
        self.read_number = 0
        self.readout_number = 0
        self.traps = None if self.model.traps is None else CellTraps(self.engine_instance)
        # Upper bound of all cycle numbers; the first pulse on a supplied engine determines it.
        self.cycle_bound = rules.MAX_CYCLE if isinstance(engine, Engine) else 0
        # Replaced whenever conductances may change, for those who compute with copies of them.
        self.version = object()
        add_lock(self)

    # ---- properties and copies ------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def arrays(self) -> ArraysName:
        """Name of the array library of arguments and results."""
        return self._library.name

    @property
    def device(self) -> Any:
        """Device that stores the cells: "cpu", or a device of the array library."""
        return self._library.device

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Memory used by the state, in bytes."""
        traps = () if self.traps is None else self.traps.state
        return self.engine_instance.nbytes + sum(int(a.nbytes) for a in traps)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return (
            f"CellArray({size} cells of {self.model.name!r}, seed={self.seed}, order={self.order}, "
            f"engine={self.engine!r}, history={self.history!r}, first_cell={self.first_cell})"
        )

    def _repr_html_(self) -> str:
        return cells_html(self, type(self).__name__)

    @locked
    def renew(self, first_cell: int | None = None) -> CellArray[A]:
        """Fabricate new cells in the same memory, numbered from ``first_cell`` (None: as now).

        Examples
        --------
        >>> cells = sf.CellArray("published", 4, seed=1)
        >>> other = sf.CellArray("published", 4, seed=1, first_cell=4)
        >>> np.array_equal(cells.renew(first_cell=4).r, other.r)
        True
        """
        first = self.first_cell if first_cell is None else check_first(first_cell, self.size)
        completed(lambda: self._renew(first))
        return self

    def _renew(self, first_cell: int) -> None:
        self.first_cell, self.version = first_cell, object()
        self.engine_instance.begin_at(first_cell)
        self.engine_instance.fabricate()
        self.read_number = self.readout_number = self.cycle_bound = 0
        if self.traps is not None:
            self.traps = CellTraps(self.engine_instance)

    def copy(self) -> CellArray[A]:
        """Return an independent copy that continues with the same random numbers.

        Examples
        --------
        >>> cells = sf.CellArray("published", 4, seed=1)
        >>> twin = cells.copy().apply_voltage(-2.0)
        >>> int(cells.in_lrs.sum()), int(twin.in_lrs.sum())
        (0, 4)
        """
        return copy.deepcopy(self)

    def __copy__(self) -> CellArray[A]:
        return self.copy()  # two arrays must not change the same cells

    @locked
    def __deepcopy__(self, memo: dict[int, Any]) -> CellArray[A]:
        result = type(self)(
            self.model, self.shape, seed=self.seed, order=self.order, first_cell=self.first_cell,
            engine=copy.deepcopy(self.engine_instance, memo),
            arrays=self.arrays, device=self.device,
        )  # fmt: skip
        for name in ("read_number", "readout_number", "cycle_bound"):
            setattr(result, name, getattr(self, name))
        result.traps = copy.copy(self.traps)
        return result

    @locked
    def __getstate__(self) -> dict[str, Any]:
        # A consistent snapshot, even while other threads use the array.
        state = {**vars(self), "engine_instance": copy.deepcopy(self.engine_instance)}
        state["traps"] = copy.copy(self.traps)
        del state["_lock"], state["version"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, version=object())
        add_lock(self)

    # ---- changing cells -------------------------------------------------------------------------

    @locked
    def apply_voltage(
        self, u: npt.ArrayLike, *, where: npt.ArrayLike | None = None
    ) -> CellArray[A]:
        """Apply a voltage (V) to every cell, or to those selected, and let them switch.

        Parameters
        ----------
        u
            One voltage, or an array that broadcasts to the shape; rounded to float32.
        where
            Boolean mask that broadcasts to the shape; only selected cells are computed, and
            values of ``u`` elsewhere are ignored.

        Returns
        -------
        CellArray
            The array itself.

        Raises
        ------
        InvalidValueError
            ``u`` is not finite or has a wrong shape, or a cell would start a cycle beyond number
            2**30 - 1; no cell is changed in that case.

        Notes
        -----
        An interrupt (Ctrl-C, a signal handler that raises) is raised either before any cell has
        switched or after all cells have.

        Examples
        --------
        >>> cells = sf.CellArray("published", (2, 4), seed=1).apply_voltage(-2.0)
        >>> first_row = np.array([[True], [False]])
        >>> cells.apply_voltage(1.5, where=first_row).in_hrs.all(axis=1)
        array([ True, False])
        """
        mask = self.arguments.mask(where)
        voltages = self.arguments.voltages(u, mask)
        if self.cycle_bound >= rules.MAX_CYCLE:
            self._check_cycles(voltages, mask)
        self.cycle_bound += 1
        self.version = object()
        if self.traps is not None:
            self.traps.switched()
        self.engine_instance.apply_voltage(voltages, mask)
        return self

    @overload
    def apply_program(
        self,
        voltages: npt.ArrayLike,
        *,
        read: None = ...,
        noise: bool = ...,
        bandwidth: float = ...,
    ) -> CellArray[A]: ...

    @overload
    def apply_program(
        self,
        voltages: npt.ArrayLike,
        *,
        read: npt.ArrayLike | Literal["pulse"],
        noise: bool = ...,
        bandwidth: float = ...,
    ) -> A: ...

    @locked
    def apply_program(
        self,
        voltages: npt.ArrayLike,
        *,
        read: npt.ArrayLike | Literal["pulse"] | None = None,
        noise: bool = True,
        bandwidth: float = 1e8,
    ) -> A | CellArray[A]:
        """Apply a sequence of pulses in one call, and read every cell after each of them.

        The same as ``apply_voltage`` and ``read`` in a loop, but without the time that each of
        these calls takes, which exceeds the computation for fewer than about 1000 cells.

        Parameters
        ----------
        voltages
            Voltage of each pulse (V), shape (pulses,), or voltages that broadcast to
            (pulses, shape of the array).
        read
            Voltage of the reads (V), or one for each pulse, shaped like ``voltages``; ``"pulse"``:
            the voltage of the pulse, as in an I-V sweep. None: no reads.
        noise, bandwidth
            As in ``read``; each pulse has a read number of its own.

        Returns
        -------
        array
            Current of every cell after each pulse (A), (pulses, shape of the array); without reads
            the ``CellArray`` itself.

        Raises
        ------
        InvalidValueError
            Voltages are not finite or have a wrong shape, or a cell might start a cycle beyond
            number 2**30 - 1; no cell is changed in that case.
        CapacityError
            The currents do not fit into memory.

        Notes
        -----
        An interrupt leaves a whole number of pulses applied.

        Examples
        --------
        >>> cells = sf.CellArray("published", 16, seed=1)
        >>> u = np.concatenate([np.linspace(0, -1.5, 100), np.linspace(-1.5, 1.5, 200)])
        >>> cells.apply_program(u, read="pulse", noise=False).shape
        (300, 16)
        """
        self.version = object()
        return apply_program(self, voltages, read, noise, ReadNoise.of_bandwidth(bandwidth))

    def _check_cycles(self, voltages: AnyArray, mask: AnyArray | None) -> None:
        """Update ``cycle_bound``; raise if a pulse would start a cycle beyond the last."""
        cycle = to_numpy(self.engine_instance.cycles())
        self.cycle_bound = int(cycle.max())
        spent = cycle >= rules.MAX_CYCLE
        cells = np.flatnonzero(spent if mask is None else spent & to_numpy(mask))
        if not cells.size:
            return
        state = self.engine_instance.take(cells)
        u = to_numpy(voltages)
        u = u if u.size == 1 else u[cells]
        begins = cells[to_numpy(state.in_lrs) & (u > to_numpy(state.threshold))]
        if begins.size:
            raise InvalidValueError(
                f"u: cell {begins[0]} is in its last cycle, number {rules.MAX_CYCLE}, and would be "
                f"RESET into another; renew() makes fresh cells"
            )

    @locked
    def set_conductance(
        self, g: npt.ArrayLike, *, where: npt.ArrayLike | None = None
    ) -> CellArray[A]:
        """Set cells to static conductances ``g`` (S) at the model's U_0, without pulses.

        Sets the state, the RESET threshold and the flags as if each cell had reached ``g`` along
        its own transition curve; no cycle is consumed.

        Raises
        ------
        InvalidValueError
            A conductance is outside the technology's range; no cell is changed in that case.

        Examples
        --------
        >>> cells = sf.CellArray("published", 3, seed=1).set_conductance([2e-5, 5e-5, 1e-4])
        >>> [f"{g * 1e6:.1f} uS" for g in cells.conductance()]
        ['20.0 uS', '50.0 uS', '100.0 uS']
        """
        library, mask = self.engine_instance.library, self.arguments.mask(where)
        r = self.arguments.states(g, mask, self.model)
        everything = np.arange(self.size)
        cells = library.asarray(everything) if mask is None else library.flatnonzero(mask)
        targets = r if mask is None else library.xp.take(r, cells, axis=0)
        self.version = object()
        if self.traps is not None:
            self.traps.programmed(self.engine_instance, mask)
        completed(lambda: self.engine_instance.program(cells, targets))
        return self

    @locked
    def wait(self, seconds: float, temperature: float = 300.0) -> CellArray[A]:
        """Let time pass, in which the traps of the cells change their conductance.

        The result has the same distribution whether a time passes in one step or in several. Reads
        see the changed conductance; a cell that switches starts again as programmed.

        Parameters
        ----------
        seconds
            Time (s).
        temperature
            Temperature of the cells (K), 1 … 2000; it changes the time constants of the traps.

        Returns
        -------
        CellArray
            The array itself.

        Raises
        ------
        InvalidValueError
            An argument is out of range, or the model has no traps.

        Examples
        --------
        >>> traps = sf.model.Traps([1e-3, 1.0, 1e3, 1e6], 0.5, [0.0], [5e-6])
        >>> cells = sf.CellArray(sf.load_model("published").replace(traps=traps), 1000, seed=1)
        >>> before = cells.conductance()
        >>> after = cells.wait(3600.0).conductance()
        >>> bool(np.std(after - before) > 1e-6)
        True
        """
        duration = checked_time("seconds", seconds)
        kelvin = checked_temperature(temperature)
        self.version = object()
        self._time().wait(self.engine_instance, duration, kelvin)
        return self

    def _time(self) -> CellTraps:
        """Return the traps; raise if the model has none."""
        if self.traps is None:
            raise without_traps(self.model)
        return self.traps

    def _seen(self) -> AnyArray | None:
        """Return the mixing states that reads see; None: those of the engine."""
        return None if self.traps is None else self.traps.seen(self.engine_instance)

    # ---- reading cells --------------------------------------------------------------------------

    @locked
    def current(self, u: npt.ArrayLike) -> A:
        """Return the noise-free current (A) of every cell at ``u`` (V), float32; alters no cell.

        Examples
        --------
        >>> cells = sf.CellArray("published", 4, seed=1).set_conductance(5e-5)
        >>> [f"{i * 1e6:.1f} uA" for i in cells.current(0.2)]
        ['10.0 uA', '10.0 uA', '10.0 uA', '10.0 uA']
        """
        voltages = self.arguments.voltages(u)
        return self._shaped(self.engine_instance.current(voltages, self._seen()))

    @locked
    def conductance(self, u: float = 0.2) -> A:
        """Return the static conductance I/U (S) of every cell at one nonzero voltage ``u`` (V).

        Examples
        --------
        >>> cells = sf.CellArray("published", 1000, seed=1)
        >>> before = cells.conductance().mean()
        >>> bool(cells.apply_voltage(-2.0).conductance().mean() > 3 * before)
        True
        """
        voltage = self.arguments.voltages(u)
        if voltage.shape[0] != 1 or voltage[0] == 0.0:
            raise InvalidValueError("u: expected one voltage that is not 0 V")
        return self._shaped(self.engine_instance.current(voltage, self._seen()) / voltage[0])

    @locked
    def read(
        self,
        u: npt.ArrayLike = 0.2,
        *,
        bandwidth: float = 1e8,
        noise: bool = True,
        number: int | None = None,
        interval: float | None = None,
        temperature: float = 300.0,
    ) -> A:
        """Return the current (A) of every cell at ``u`` (V), with Johnson and shot noise.

        Parameters
        ----------
        bandwidth
            Bandwidth of the measurement, Hz.
        noise
            False: the same as ``current``.
        number
            Number of this read: equal numbers give equal noise. None: the next number.
        interval, temperature
            Time (s) that passes before the read, at a temperature (K); see ``wait``. None: no time.

        Examples
        --------
        >>> cells = sf.CellArray("published", 4, seed=1)
        >>> first, second = cells.read(0.2), cells.read(0.2)
        >>> bool((first == second).any())
        False
        >>> np.array_equal(cells.read(0.2, number=0), first)
        True
        """
        read_noise = ReadNoise.of_bandwidth(bandwidth)
        noise = checks.flag("noise", noise)
        duration, kelvin = checked_pause(interval, temperature)
        self.arguments.voltages(u)
        given = self.read_number if number is None else checks.word("number", number)
        if duration is not None:
            self._time().wait(self.engine_instance, duration, kelvin)
        if not noise:
            return self.current(u)
        result = currents(self, u, read_noise, given)
        if number is None:
            # Read numbers wrap around at 2**32, as in the noise generator.
            self.read_number = (given + 1) & WORD
        return result

    @locked
    def trace(
        self,
        seconds: float,
        rate: float,
        *,
        cells: Any = ...,
        u: float = 0.2,
        noise: bool = True,
        bandwidth: float | None = None,
        temperature: float = 300.0,
    ) -> A:
        """Return a record of the current (A) over time, as an instrument samples it.

        The same as ``read(interval=1/rate)`` in a loop, but faster, for the selected cells. For
        records that do not fit into memory, call it repeatedly: each call continues the last.

        Parameters
        ----------
        seconds
            Duration (s).
        rate
            Samples per second (Hz).
        cells
            Index that selects cells of the array, as in ``cells[index]``; all by default. The time
            passes for the others, too.
        u
            Voltage of the reads (V).
        noise
            Johnson and shot noise, besides that of the traps.
        bandwidth
            Bandwidth (Hz) of the Johnson and shot noise; None: half of the rate.
        temperature
            Temperature (K); see ``wait``.

        Returns
        -------
        array
            Currents (A), float32, (samples, shape of the selection). The first sample is 1/rate
            after the start.

        Raises
        ------
        InvalidValueError, InvalidIndexError
            An argument is invalid, or the model has no traps.
        CapacityError
            The record does not fit into memory.

        Examples
        --------
        >>> traps = sf.model.Traps([1e-3, 1.0, 1e3], 0.5, [0.0], [5e-6])
        >>> cells = sf.CellArray(sf.load_model().replace(traps=traps), 100, seed=1)
        >>> cells.trace(seconds=2.0, rate=50.0, cells=[3, 7]).shape
        (100, 2)
        """
        interval = checked_interval(rate)
        duration = checked_time("seconds", seconds, positive=True)
        width = min(0.5 / interval, MAX_BANDWIDTH) if bandwidth is None else bandwidth
        used = ReadNoise.of_bandwidth(width) if checks.flag("noise", noise) else None
        self.version = object()
        step = (duration, interval, checked_temperature(temperature))
        return trace(self, self._time(), step, cells, u, used)

    @locked
    def matvec(
        self,
        v: npt.ArrayLike,
        *,
        noise: bool = True,
        bandwidth: float = 1e8,
        number: int | None = None,
    ) -> A:
        """Return the row currents of a crossbar with ideal wires: out_i = sum_j I(r_ij, v_j).

        The current is linear in r, so even nonlinear cells compute a matrix-vector product.

        Parameters
        ----------
        v
            Voltage of each column (V), shape (columns,), or (columns, B) for B input vectors.
        noise
            Johnson and shot noise of every cell, summed in each row.
        bandwidth
            Bandwidth of the measurement, Hz.
        number
            Number of this input vector (the first of B); None: the next number.

        Returns
        -------
        array
            Current of each row (A), float64, shape (rows,) or (rows, B).

        Examples
        --------
        >>> cells = sf.CellArray("published", (2, 3), seed=1).set_conductance(5e-5)
        >>> [f"{i * 1e6:.0f} uA" for i in cells.matvec([0.2, 0.2, 0.0], noise=False)]
        ['20 uA', '20 uA']
        """
        voltages = self.arguments.column_voltages(v)
        batch = np.ascontiguousarray(voltages.reshape(self.shape[1], -1).T, np.float64)
        count = len(batch)
        given = self.readout_number if number is None else checks.word("number", number, count)
        noise, read_noise = checks.flag("noise", noise), ReadNoise.of_bandwidth(bandwidth)
        z = self.engine_instance.readout_noise(0, self.shape[0], given, count) if noise else None
        result = row_currents(self, batch, read_noise, z)
        if noise and number is None:  # last, so that an interrupted call uses no number
            self.readout_number = (given + count) & WORD
        return result[:, 0] if voltages.ndim == 1 else result

    @locked
    def readout_noise(self, count: int, number: int | None = None, *, first_row: int = 0) -> A:
        """Return standard normal numbers for ``count`` crossbar readouts, (rows, count).

        ``number`` is the number of the first input vector; None: the next number. If the array is
        part of a larger one, ``first_row`` is the number of its first row there.

        Examples
        --------
        >>> cells = sf.CellArray("published", (4, 8), seed=1)
        >>> cells.readout_noise(3).shape
        (4, 3)
        """
        count = checks.integer("count", count, 1, WORD + 1)
        first_row = checks.word("first_row", first_row, self.shape[0])
        given = self.readout_number if number is None else checks.word("number", number, count)
        if count > MANY_NUMBERS // self.shape[0]:
            require_memory(4 * count * self.shape[0], "count")
        drawn = self.engine_instance.readout_noise(first_row, self.shape[0], given, count)
        if number is None:
            self.readout_number = (given + count) & WORD
        return self.arguments.returned(drawn)

    def __matmul__(self, v: npt.ArrayLike) -> A:
        return self.matvec(v)

    @property
    @locked
    def features(self) -> dict[str, A]:
        """Features of the current cycle: r_hrs, r_lrs (ohm), u_set, u_reset (V); copies.

        A cell that failed has an infinite u_set or u_reset: it cannot be SET or RESET.
        """
        found = self.engine_instance.features()
        if self.model.failure is not None:
            found = drawing.without_limit(found)
        return {name: self._shaped(row) for name, row in zip(FEATURES, found, strict=True)}

    @property
    @locked
    def device_parameters(self) -> A:
        """Device parameters, shape (…, 8): mu of the four features, then sigma; a copy."""
        found = self._copied(self.engine_instance.parameters())
        return self.arguments.returned(found, (*self.shape, 8))

    @property
    @locked
    def r(self) -> A:
        """Mixing state r of every cell as reads see it, with the effect of traps; a copy."""
        seen = self._seen()
        return self._shaped(self._copied(self.engine_instance.states if seen is None else seen))

    @property
    @locked
    def cycle(self) -> A:
        """Cycle number n of every cell, a copy."""
        return self._shaped(self._copied(self.engine_instance.cycles()))

    @property
    @locked
    def in_hrs(self) -> A:
        """Mask of the cells that are completely RESET, a copy."""
        return self._shaped(self._copied(self.engine_instance.in_hrs))

    @property
    @locked
    def in_lrs(self) -> A:
        """Mask of the cells that are SET, a copy."""
        return self._shaped(self._copied(self.engine_instance.in_lrs))

    def __getitem__(self, key: Any) -> CellView[A]:
        """Return a read-only view of the selected cells; it reflects later changes of the array.

        Examples
        --------
        >>> cells = sf.CellArray("published", (4, 8), seed=1)
        >>> cells[:2, ::2].shape
        (2, 4)
        """
        return CellView(self, selected_cells(self.shape, key))

    # ---- labelled arrays ------------------------------------------------------------------------

    @locked
    def to_xarray(self, currents: npt.ArrayLike | None = None, *, u: float = 0.2) -> xr.Dataset:
        """Return the state of the cells as an xarray dataset with named axes and units; copies.

        Requires the extra ``xarray``.

        Parameters
        ----------
        currents
            Currents of these cells (A) to add as the variable ``current``: a result of ``read``, or
            one of ``apply_program`` or ``trace`` of all cells, whose first axis is ``read``.
        u
            Voltage of the conductance (V), not 0.

        Returns
        -------
        xarray.Dataset
            ``r``, ``cycle``, ``in_hrs``, ``in_lrs``, the four features and ``conductance`` (S) with
            the axes ``cell``, ``row`` and ``column``, or ``axis_0`` …; the coordinate ``number`` is
            the global number of each cell.

        Raises
        ------
        ToolError
            xarray is not installed.
        InvalidValueError, InvalidTypeError
            An argument is invalid.

        Examples
        --------
        >>> cells = sf.CellArray("published", (4, 8), seed=1).apply_voltage(-2.0)
        >>> data = cells.to_xarray(cells.read())
        >>> dict(data.sizes)
        {'row': 4, 'column': 8}
        >>> data.current.units, data.conductance.mean("column").dims
        ('A', ('row',))
        """
        return to_xarray(self, u, currents)

    @locked
    def to_pandas(self, *, u: float = 0.2) -> pd.DataFrame:
        """Return the state of the cells as a pandas table with one row per cell.

        Requires the extra ``learn``.

        Parameters
        ----------
        u
            Voltage of the conductance (V), not 0.

        Returns
        -------
        pandas.DataFrame
            The place of each cell in the array and the variables of ``to_xarray``; the index
            ``number`` is the global number of the cell.

        Raises
        ------
        ToolError
            pandas is not installed.
        InvalidValueError, InvalidTypeError
            The voltage is invalid.

        Examples
        --------
        >>> cells = sf.CellArray("published", (4, 8), seed=1).apply_voltage(-2.0)
        >>> table = cells.to_pandas()
        >>> len(table), bool(table.groupby("row").conductance.mean().gt(1e-5).all())
        (32, True)
        """
        return to_pandas(self, u)

    # ---- files ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the array to one file, atomically; ``load`` restores it exactly.

        Examples
        --------
        >>> cells = sf.CellArray("published", 4, seed=1).apply_voltage(-2.0)
        >>> cells.save("chip.npz")
        >>> np.array_equal(sf.CellArray.load("chip.npz").read(), cells.read())
        True
        """
        save_array(self, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        arrays: ArraysName | None = None,
        device: Any = None,
    ) -> CellArray[A]:
        """Return the array stored in a file.

        Parameters
        ----------
        arrays
            Array library; None: that of the saved array.
        device
            Device of this library that is to store the cells; None: the CPU.

        Raises
        ------
        FileFormatError
            The file is invalid.

        Examples
        --------
        >>> sf.CellArray("published", (2, 2), seed=1).save("chip.npz")
        >>> sf.CellArray.load("chip.npz").shape
        (2, 2)
        """
        return load_array(cls, path, arrays, device)

    def _shaped(self, array: AnyArray) -> A:
        return self.arguments.returned(array, self.shape)

    def _copied(self, array: AnyArray) -> A:
        return self.engine_instance.library.xp.asarray(array, copy=True)
