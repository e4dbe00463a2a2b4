"""The course of write and verify: read, decide, pulse, until the controllers are content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.cells.files import dump_cells, restore_cells
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.io.checkpoints import Run
from synfab.io.limits import told
from synfab.programming.controller import Controllers
from synfab.random.arrays import to_numpy

Array = npt.NDArray[Any]


class Course:
    """Write and verify of all cells side by side, and everything that a pass changes.

    Parameters
    ----------
    cells, controllers
        Cells, and what leads them.
    energy
        J in each cell; whoever pulses adds to it.

    Attributes
    ----------
    pending, error
        As in ``Programming``, of the passes so far.
    """

    def __init__(self, cells: CellArray, controllers: Controllers, energy: Array) -> None:
        self.cells, self.controllers, self.energy = cells, controllers, energy
        self.pending: list[int] = []
        self.error: list[float] = []

    def go(
        self,
        pulse: Callable[[Array], None],
        most_passes: int,
        report: Callable[[int, int], None] | None = None,
        run: Run | None = None,
    ) -> Array:
        """Read the cells and pulse those that are off until the controllers are content.

        Parameters
        ----------
        pulse
            Takes voltages of the array's shape, V, NaN for cells to be left alone.
        most_passes
            Verifications after which it ends in any case.
        report
            Is given the number of passes and of cells to be pulsed next.
        run
            Where the course leaves checkpoints, between passes.

        Returns
        -------
        array
            What was read last, S.
        """
        u_0, wanted = self.cells.model.conduction.u_0, self.controllers.targets
        while True:
            if run is not None:
                run.tick(len(self.pending), self.dump)
            g = to_numpy(self.cells.read(u_0)).astype(np.float64) / u_0
            voltage = self.controllers.next_voltages(g)
            self.pending.append(int(np.isfinite(voltage).sum()))
            distance = np.abs(g - wanted)[np.isfinite(wanted)]
            self.error.append(float(np.median(distance)) if distance.size else 0.0)
            if report is not None:
                report(len(self.pending) - 1, self.pending[-1])
            if not self.pending[-1] or len(self.pending) > most_passes:
                return g
            self.controllers.fired(voltage)
            pulse(voltage)

    def dump(self) -> dict[str, Any]:
        """Return the state between two passes, for a checkpoint."""
        return {
            "cells": dump_cells(self.cells),
            "controllers": self.controllers.dump(),
            "energy": self.energy,
            "pending": self.pending,
            "error": self.error,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``dump`` gave.

        Raises
        ------
        InvalidValueError, FileFormatError
            It is the state of other cells, or none.
        """
        with told("checkpoints: not the state of such a run"):
            energy = checks.numbers("energy", state["energy"], self.energy.shape)
            if (energy < 0.0).any():
                raise InvalidValueError("energy: expected J of 0 or above")
            pending = [checks.integer("pending", count, 0) for count in state["pending"]]
            error = [checks.number("error", distance, minimum=0.0) for distance in state["error"]]
            restore_cells(self.cells, state["cells"])
            self.controllers.restore(state["controllers"])
            self.energy[...] = energy
            self.pending, self.error = pending, error
