"""Passes of write-verify: verifications and the pulses that follow, one by one or in kernels."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np

from synfab.common.locking import lock_of
from synfab.common.types import Array
from synfab.engines.numba.engine import NumbaEngine
from synfab.engines.numba.layout import Storage
from synfab.engines.numba.threads import share
from synfab.engines.numba.workspace import noise_work, per_thread, switching_work
from synfab.physics import rules
from synfab.physics.noise import ReadNoise
from synfab.programming import pass_kernels
from synfab.programming.controller import GAINS, Controllers
from synfab.programming.median_kernels import BLOCK, DRIFT
from synfab.programming.pass_kernels import Course, Job, Reading
from synfab.programming.pulser import DirectPulser, Pulser, measured_conductance
from synfab.random.streams import WORD

BANDWIDTH = 1e8  # Hz, of verifications, as of ``CellArray.read``
# Cells times passes of one call of a kernel, which no interrupt ends.
CELLS_AT_ONCE = 2**22
# Cells from which each pass is distributed over threads.
MANY = 2**17


class Passes(Protocol):
    """Interface that runs passes."""

    def advance(self, most: int, firing: int) -> list[tuple[int, float]]:
        """Run passes until no cell is active, up to ``most`` of them.

        Returns
        -------
        list
            Of every pass the number of active cells, and the median distance of all cells from
            their targets, S. The active cells are pulsed in the first ``firing`` passes.
        """

    def measured(self) -> Array:
        """Return the conductances that the last pass read, S."""


class SinglePasses:
    """Passes for any engine and pulser."""

    def __init__(self, pulser: Pulser, controllers: Controllers) -> None:
        self.pulser, self.controllers = pulser, controllers
        self.g: Array = np.empty(0)

    def advance(self, most: int, firing: int) -> list[tuple[int, float]]:
        """See ``Passes``; always runs one pass."""
        controllers = self.controllers
        self.g = measured_conductance(self.pulser.cells)
        voltage = controllers.next_voltages(self.g)
        active = int(np.isfinite(voltage).sum())
        distance, given = controllers.distance, controllers.has_target
        error = float(np.median(distance[given])) if given.any() else 0.0
        if active and firing > 0:
            controllers.fired(voltage)
            self.pulser.apply_voltage(voltage)
        return [(active, error)]

    def measured(self) -> Array:
        """See ``Passes``."""
        return self.g


class KernelPasses:
    """Passes in kernels, for cells of engine numba that are pulsed directly; the same results."""

    def __init__(
        self, pulser: DirectPulser, engine: NumbaEngine, controllers: Controllers, noise: ReadNoise
    ) -> None:
        self.cells, self.engine, self.controllers = pulser.cells, engine, controllers
        n_cells, u_0 = engine.n_cells, engine.model.conduction.u_0
        self.blocks = blocks = -(-n_cells // BLOCK)
        counts = (np.zeros(blocks, np.int64) for _ in range(3))
        self.course = Course(
            n_cells, int(np.count_nonzero(controllers.has_target)),
            controllers.targets.reshape(-1), pulser.energy.reshape(-1),
            np.empty(n_cells, np.float32), np.empty(blocks * BLOCK), *counts,
        )  # fmt: skip
        johnson, shot = map(np.float32, noise.coefficients)
        self.reading = Reading(
            u_0, np.array([u_0], np.float32), (johnson, shot), engine.slopes, pulser.duration
        )
        self.error = np.nan

    @classmethod
    def of(cls, pulser: Pulser, controllers: Controllers, most: int) -> Self | None:
        """Return passes for a pulser; None: the kernels do not support its cells.

        ``most`` is the maximum number of passes.
        """
        cells, noise = pulser.cells, ReadNoise.of_bandwidth(BANDWIDTH)
        engine = cells.engine_instance
        if (
            type(pulser) is not DirectPulser
            or type(engine) is not NumbaEngine
            or cells.traps is not None
            or not noise.linear
            or cells.cycle_bound + most >= rules.MAX_CYCLE
        ):
            return None
        return cls(pulser, engine, controllers, noise)

    def advance(self, most: int, firing: int) -> list[tuple[int, float]]:
        """See ``Passes``."""
        with lock_of(self.cells):
            storage = self.engine.cells  # fabricates cells that wait for it
            if self.engine.n_cells >= MANY:
                found = self._distributed(firing, storage)
            else:
                most = min(most, max(1, CELLS_AT_ONCE // self.engine.n_cells))
                found = self._at_once(most, firing, storage)
            cells = self.cells
            cells.version = object()
            cells.cycle_bound += sum(active > 0 for active, _ in found[: max(0, firing)])
            cells.read_number = (cells.read_number + len(found)) & WORD
            self.error = found[-1][1]
            return found

    def _at_once(self, most: int, firing: int, storage: Storage) -> list[tuple[int, float]]:
        """Run passes in one call of a kernel."""
        pending, error = np.empty(most, np.int64), np.empty(most)
        done = self._run(0, self.blocks, firing, storage, pending, error)
        return list(zip(pending[:done].tolist(), error[:done].tolist(), strict=True))

    def _distributed(self, firing: int, storage: Storage) -> list[tuple[int, float]]:
        """Run one pass in several threads."""
        nothing = np.empty(0, np.int64), np.empty(0)
        share(
            lambda low, high: self._run(low, high, firing, storage, *nothing), self.blocks,
            self.engine.n_cells,
        )  # fmt: skip
        active, error = pass_kernels.conclude(self.course, self.reading.u_0, self._bracket)
        return [(int(active), float(error))]

    def _run(
        self, first: int, last: int, firing: int, storage: Storage, pending: Array, error: Array
    ) -> int:
        engine, controllers = self.engine, self.controllers
        job = Job(
            self.course, self.reading, controllers.state, controllers.levels, GAINS, storage,
            engine.parameters32,
        )  # fmt: skip
        others = switching_work(engine.slots), noise_work()
        done: int = pass_kernels.run(
            first, last, firing, self.cells.read_number, self._bracket, job, _work(), others,
            pending, error,
        )  # fmt: skip
        return done

    @property
    def _bracket(self) -> tuple[float, float]:
        return (1.0 - DRIFT) * self.error, (1.0 + DRIFT) * self.error

    def measured(self) -> Array:
        """See ``Passes``."""
        wide: Array = np.divide(self.course.current, self.reading.u_0, dtype=np.float64)
        return wide.reshape(self.cells.shape)


_work = per_thread(pass_kernels.pass_work)
