"""Base class of the engines with Numba kernels: reads, flags, cycle numbers."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from synfab.common.types import Array
from synfab.engines.base import Engine
from synfab.engines.numba import ideal, layout, readout_kernels
from synfab.engines.numba.layout import GROUP, Parameters, Storage, aligned
from synfab.engines.numba.model32 import round_model
from synfab.engines.numba.threads import SMALL, share
from synfab.engines.numba.traps import move, refresh, trace
from synfab.engines.numba.workspace import noise_work, switching_work
from synfab.model.cell_model import CellModel
from synfab.physics import drawing
from synfab.physics.noise import ReadNoise, noisy_current
from synfab.physics.traps import Step, TrapState
from synfab.random.backend import Library

SCATTERED = 8  # a scattered cell takes as long as this many contiguous cells


def plain(u: Array) -> Array:
    """Return a contiguous, writable array; other arrays would make Numba compile kernels again."""
    plain = np.ascontiguousarray(u)
    return plain if plain.flags.writeable else plain.copy()


def row_normals(seed: int, first: int, rows: int, number: int, count: int) -> Array:
    """Return standard normal numbers for crossbar readouts, (count, rows), float32.

    Parameters
    ----------
    first
        Index of the first row among all rows of the seed.
    number
        Index of the first input vector, a 32-bit word.
    """
    out = np.empty((count, rows), np.float32)
    fixed = (np.uint64(first), np.uint64(number), np.uint64(seed), out)

    def work(low: int, high: int) -> None:
        readout_kernels.row_normals(low, high, *fixed, noise_work())

    share(work, count, count * rows, discardable=True)
    return out


# Voltage (V) above every threshold and U_max, for a complete RESET.
FULL_RESET = np.array([1e3], np.float32)


class KernelEngine(Engine):
    """Engine whose cells have ``states`` and the status words of ``layout``."""

    parameters32: Parameters
    cells: Any  # a named tuple of arrays, including ``status``

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
        super().__init__(model, n_cells, seed, first_cell, order, history, library)
        self.parameters32 = round_model(model, order)._replace(
            first=np.uint64(first_cell), key=np.uint64(seed)
        )
        self.groups = -(-n_cells // GROUP)
        self.cells = self.allocate()

    @abstractmethod
    def allocate(self) -> Any:
        """Return memory for all cells."""

    def begin_at(self, first_cell: int) -> None:
        super().begin_at(first_cell)
        self.parameters32 = self.parameters32._replace(first=np.uint64(first_cell))

    @abstractmethod
    def apply_voltage(self, u: Array, where: Array | None) -> None:
        """Apply a voltage pulse, in a kernel that also draws the history."""

    def begin_cycle(self, cells: Array) -> drawing.Features:
        """Advance the history of the listed cells by a RESET from the LRS; restore their state."""
        before, size = self.take(cells), len(cells)
        lrs, hrs = np.ones(size, np.bool_), np.zeros(size, np.bool_)
        rest = np.zeros(size, np.float32)
        self.put(cells, before._replace(threshold=rest, in_hrs=hrs, in_lrs=lrs))
        where = np.zeros(self.n_cells, np.bool_)
        where[cells] = True
        self.apply_voltage(FULL_RESET, where)
        self.put(cells, before)
        return self.features(cells)

    def current(self, u: Array, states: Array | None = None) -> Array:
        u, out = plain(u), self._new_currents()
        r = self.states if states is None else states
        fixed = (r, u, int(u.size != 1), *self.curves, out)

        def work(low: int, high: int) -> None:
            readout_kernels.current(low, high, *fixed)

        share(work, self.n_cells, self.n_cells, discardable=True)
        return out

    def current_of(self, cells: Array, u: Array, states: Array | None = None) -> Array:
        r = (self.states if states is None else states)[cells]
        out = np.empty(len(cells), np.float32)
        readout_kernels.current(0, len(cells), r, plain(u), 1, *self.curves, out)
        return out

    def read(self, u: Array, number: int, noise: ReadNoise, states: Array | None = None) -> Array:
        """Return the current (A) with the noise of read ``number``, from a kernel if linear."""
        r = self.states if states is None else states
        if not noise.linear:
            z = self._read_normals(number)
            drawn: Array = noisy_current(self.model, noise.terms, r, u, z, noise.coefficients)
            return drawn
        johnson, shot = noise.coefficients
        coefficients = (np.float32(johnson), np.float32(shot))
        return self._noisy_current(r, u, number, self.curves, coefficients, self.slopes)

    def _new_currents(self) -> Array:
        # Aligned memory costs a microsecond, copying few cells costs less.
        if self.n_cells > SMALL:
            return aligned((self.n_cells,), np.float32)
        return np.empty(self.n_cells, np.float32)

    @property
    def curves(self) -> tuple[Any, Any, Any]:
        """Coefficients of the I-V curves of r = 0 and r = 1, and the constants of the model."""
        model = self.parameters32
        return model.llrs, model.hhrs, model.constants

    @cached_property
    def slopes(self) -> tuple[np.float32, np.float32]:
        """Slopes dI/dU at 0 V (S): of r = 0, and the difference between r = 1 and r = 0."""
        slope_llrs, slope_hhrs = self.model.conduction.slopes_at_zero
        return np.float32(slope_llrs), np.float32(slope_hhrs - slope_llrs)

    def _read_normals(self, number: int) -> Array:
        """Return the normal numbers of a read: Johnson noise of 1 S without a current."""
        llrs, _, constants = self.curves
        no_curve = (np.float32(0.0),) * len(llrs)
        unit = (np.float32(1.0), np.float32(0.0))
        return self._noisy_current(
            self.states,
            np.zeros(1, np.float32),
            number,
            (no_curve, no_curve, constants),
            unit,
            unit,
        )

    def _noisy_current(
        self,
        r: Array,
        u: Array,
        number: int,
        curves: tuple[Any, Any, Any],
        coefficients: tuple[np.float32, np.float32],
        slopes: tuple[np.float32, np.float32],
    ) -> Array:
        """Return the current (A) with Johnson and shot noise of read ``number``."""
        u, out = plain(u), self._new_currents()
        fixed = (
            r, u, int(u.size != 1), curves, coefficients, slopes, out,
            self.parameters32.first, np.uint32(number), self.parameters32.key,
        )  # fmt: skip

        def work(low: int, high: int) -> None:
            readout_kernels.noisy_current(low, high, *fixed, noise_work())

        share(work, self.n_cells, self.n_cells, discardable=True)
        return out

    def readout_noise(self, first: int, rows: int, number: int, count: int) -> Array:
        return row_normals(self.seed, first, rows, number, count).T

    def row_sums(self, columns: int, weights: Array, states: Array | None = None) -> Array:
        rows = self.n_cells // columns
        out = np.empty((rows, len(weights)), np.float64)
        r = self.states if states is None else states

        def work(low: int, high: int) -> None:
            readout_kernels.row_sums(low, high, r, columns, weights, out)

        share(work, rows, self.n_cells * len(weights), discardable=True)
        return out

    def refresh_traps(self, traps: TrapState) -> TrapState:
        return refresh(self, traps)

    def move_traps(self, traps: TrapState, step: Step) -> TrapState:
        return move(self, traps, step)

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
        if noise is None or noise.linear:
            return trace(self, cells, traps, step, samples, u, noise, read)
        return super().trace(cells, traps, step, samples, u, noise, read)

    def features_of(self, storage: Storage, count: int) -> Array:
        """Return the features of the first ``count`` cells in ``storage``, (4, count)."""
        out = np.empty((4, count), np.float32)

        def kernel(low: int, high: int) -> None:
            work = switching_work(storage.history.shape[1])
            readout_kernels.features(low, high, count, storage, self.parameters32, work, out)

        share(kernel, -(-count // GROUP), count, discardable=True)
        return out

    def program_storage(
        self, storage: Storage, count: int, cells: Array, r: Array, *, discardable: bool = False
    ) -> None:
        """Set the listed of ``count`` cells to the states ``r``; see ``rules.program``."""
        model, features = self.parameters32, self.features_of(storage, count)
        targets = np.ascontiguousarray(r, np.float32)

        def work(low: int, high: int) -> None:
            state = np.empty((8, GROUP), np.float32)
            ideal.program(
                low, high, state, cells, targets, features, storage.r, storage.status,
                storage.switch, model.llrs, model.hhrs, model.constants,
            )  # fmt: skip

        share(work, len(cells), SCATTERED * len(cells), discardable=discardable)

    @property
    def in_hrs(self) -> Array:
        return np.asarray((self.cells.status[: self.n_cells] & layout.IN_HRS) != 0)

    @property
    def in_lrs(self) -> Array:
        return np.asarray((self.cells.status[: self.n_cells] & layout.IN_LRS) != 0)

    def cycles(self, cells: Array | None = None) -> Array:
        status = self.cells.status[: self.n_cells] if cells is None else self.cells.status[cells]
        return np.asarray(status >> layout.CYCLE_BITS)
