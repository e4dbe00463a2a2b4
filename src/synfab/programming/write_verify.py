"""Write-verify programming: read and pulse the cells until they are within the tolerance."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np

from synfab.cells.files import dump_cells, restore_cells
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, ArrayLike
from synfab.io.checkpoints import Checkpoints, Run, as_checkpoints
from synfab.io.limits import one_line_errors
from synfab.io.progress import ProgressBar
from synfab.programming.controller import Controllers
from synfab.programming.passes import KernelPasses, Passes, SinglePasses
from synfab.programming.pulser import Pulser
from synfab.programming.result import (
    TOLERANCE,
    Outcome,
    Programming,
    achieved_conductance,
    check_targets,
    outliers,
)
from synfab.random.arrays import digest

# Defaults of ``retries`` and ``max_passes``.
RETRIES, MAX_PASSES = 10, 300


class WriteVerify:
    """Write-verify programming of all cells in parallel, and its state between passes.

    Parameters
    ----------
    pulser
        Pulser of the cells.
    targets
        Target conductances, S, broadcast to the cells' shape; NaN: do not program the cell.
    tolerance
        Accepted distance from the target, S; None: 1 % of the LLRS conductance.
    retries
        Number of attempts per cell after the first.
    max_passes
        Maximum number of passes (a verification and the pulses that follow it).

    Attributes
    ----------
    controllers
        Controllers that choose the next pulse of each cell.
    pending, error
        As in ``Programming``, for the passes so far.
    """

    def __init__(
        self,
        pulser: Pulser,
        targets: ArrayLike,
        *,
        tolerance: float | None = None,
        retries: int = RETRIES,
        max_passes: int = MAX_PASSES,
    ) -> None:
        self.pulser, self.cells, model = pulser, pulser.cells, pulser.cells.model
        wanted = check_targets(self.cells.shape, targets)
        if tolerance is None:
            within = TOLERANCE * model.conduction.g_llrs
        else:
            within = checks.positive("tolerance", tolerance)
        retries = checks.integer("retries", retries, 0)
        self.max_passes = checks.integer("max_passes", max_passes, 0)
        self.controllers = Controllers(model, wanted, within, retries)
        if pulser.defects is not None:
            self.controllers.give_up(pulser.defects, Outcome.DEFECT)
        self.pending: list[int] = []
        self.error: list[float] = []

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that identify this run, as JSON types."""
        return {
            "job": "program", **self.pulser.settings, "targets": digest(self.controllers.targets),
            "tolerance": self.controllers.within, "retries": self.controllers.retries,
            "max_passes": self.max_passes,
        }  # fmt: skip

    def erase(self) -> Self:
        """Fully RESET every cell that has a target, so that its history has no effect.

        Without erasing, programming takes one pulse less with the same accuracy: cells off their
        targets are SET first. Cells placed on their targets without pulses must be erased, or they
        would not be programmed at all.
        """
        given = self.controllers.has_target & ~self.controllers.given_up
        self.controllers.pulses += given
        self.pulser.apply_voltage(np.where(given, self.controllers.limit, np.nan))
        return self

    def run(self, bar: ProgressBar | None = None, checkpoints: Run | None = None) -> Programming:
        """Read and pulse the cells until all are settled or given up, and return the result.

        Parameters
        ----------
        bar
            Progress bar; shows the pass and the number of cells left.
        checkpoints
            Where to write checkpoints between passes.
        """
        passes = self._passes()
        while True:
            if checkpoints is not None:
                checkpoints.tick(len(self.pending), self.dump)
            left = self.max_passes - len(self.pending)
            most = 1 if checkpoints is not None else max(1, left + 1)
            for active, error in passes.advance(most, left):
                self.pending.append(active)
                self.error.append(error)
            if bar is not None:
                self._show(bar)
            if not self.pending[-1] or len(self.pending) > self.max_passes:
                return self._result(passes.measured())

    def _passes(self) -> Passes:
        found = KernelPasses.of(self.pulser, self.controllers, self.max_passes)
        return SinglePasses(self.pulser, self.controllers) if found is None else found

    def _show(self, bar: ProgressBar) -> None:
        first, now = self.pending[0], self.pending[-1]
        text = f"pass {len(self.pending) - 1}, {now} cells left"
        bar.update(total=first, completed=first - now, text=text)

    def _result(self, g: Array) -> Programming:
        """Return the result for the last read ``g`` (S)."""
        controllers = self.controllers
        return Programming(
            targets=controllers.targets,
            achieved=achieved_conductance(self.cells, controllers.targets),
            outcome=controllers.outcomes(g),
            pulses=controllers.pulses,
            energy=self.pulser.energy.copy(),
            outliers=outliers(self.cells),
            pending=np.array(self.pending),
            error=np.array(self.error),
        )

    def dump(self) -> dict[str, Any]:
        """Return the state between two passes, for a checkpoint."""
        return {
            "cells": dump_cells(self.cells),
            "controllers": self.controllers.dump(),
            "energy": self.pulser.energy,
            "pending": self.pending,
            "error": self.error,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``dump`` returned.

        Raises
        ------
        InvalidValueError, FileFormatError
            The state belongs to other cells, or is not a valid state.
        """
        with one_line_errors("checkpoints: not the state of such a run"):
            energy = checks.numbers("energy", state["energy"], self.cells.shape)
            if (energy < 0.0).any():
                raise InvalidValueError("energy: expected J of 0 or above")
            pending = [checks.integer("pending", count, 0) for count in state["pending"]]
            error = [checks.number("error", distance, minimum=0.0) for distance in state["error"]]
            restore_cells(self.cells, state["cells"])
            self.controllers.restore(state["controllers"])
            self.pulser.energy[...] = energy
            self.pending, self.error = pending, error


def write_verify(
    pulser: Pulser,
    targets: ArrayLike,
    *,
    tolerance: float | None = None,
    retries: int = RETRIES,
    max_passes: int = MAX_PASSES,
    progress: bool = False,
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
) -> Programming:
    """Program cells by write-verify and return the result; arguments as for ``WriteVerify``.

    Parameters
    ----------
    progress
        Show a progress bar: on standard error, or in the output of a notebook.
    checkpoints
        Where to write checkpoints between passes; with ``resume`` a stopped run resumes from the
        newest one, and the cells are restored to the state saved in it.
    """
    checks.flag("progress", progress)
    work = WriteVerify(pulser, targets, tolerance=tolerance, retries=retries, max_passes=max_passes)
    with ProgressBar("programming", show=progress) as bar:
        if checkpoints is None:
            return work.run(bar)
        with as_checkpoints(checkpoints).open(work.settings) as run:
            if run.state is not None:
                work.restore(run.state)
            return work.run(bar, run)
