"""What programming achieved, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.model.population import N_PARAMETERS
from synfab.random.arrays import to_numpy

Array = npt.NDArray[Any]

# Default distance from the target that is good enough, in units of the LLRS conductance.
TOLERANCE = 0.01


class Outcome(IntEnum):
    """How a cell ended."""

    REACHED = 0
    TARGET_ABOVE_LRS = 1  # in no attempt did its LRS conduct enough
    TARGET_BELOW_HRS = 2  # in no attempt did its HRS conduct little enough
    MISSED = 3  # attempts jumped over the target, or the pulses ran out
    DEFECT = 4  # open or shorted
    LEFT_ALONE = 5  # no target


@dataclass(frozen=True, eq=False)
class Programming:
    """Result of programming; arrays have the shape of the cells unless said otherwise.

    Attributes
    ----------
    targets, achieved
        S, static conductance at U_0; NaN where there is no target, and no noise.
    outcome
        ``Outcome`` of each cell.
    pulses
        SET and RESET pulses meant for each cell.
    energy
        J in each cell and its access device, including pulses that were meant for other cells.
    outliers
        Devices that the rarest component of the technology explains best.
    pending, error
        (passes + 1,) number of cells to be pulsed next, and the median distance of all cells from
        their targets (S), as each verification found them; empty where nothing was verified.
    """

    targets: Array
    achieved: Array
    outcome: Array
    pulses: Array
    energy: Array
    outliers: Array
    pending: Array
    error: Array

    @property
    def errors(self) -> Array:
        """Achieved minus target, S."""
        return np.asarray(self.achieved - self.targets)

    @property
    def unreachable(self) -> Array:
        """Cells that have a target and have not reached it."""
        return np.asarray((self.outcome != Outcome.REACHED) & (self.outcome != Outcome.LEFT_ALONE))


def check_targets(shape: tuple[int, ...], targets: npt.ArrayLike) -> Array:
    """Return targets of the cells' shape in S, float64; NaN: no target."""
    array = checks.real_array("targets", targets)
    try:
        wanted = np.array(np.broadcast_to(array, shape), np.float64)
    except ValueError:
        raise InvalidValueError(
            f"targets: shape {array.shape} does not broadcast to {shape}"
        ) from None
    if np.isinf(wanted).any() or (wanted <= 0.0).any():
        raise InvalidValueError("targets: expected S above 0, or NaN for no target")
    return wanted


def achieved_conductance(cells: CellArray, targets: Array) -> Array:
    """Return the conductance of every cell at U_0 without noise, S; NaN where it has no target."""
    conductance = cells.model.conduction.conductance(to_numpy(cells.r))
    return np.where(np.isfinite(targets), conductance, np.nan)


def outliers(cells: CellArray) -> Array:
    """Return which devices the rarest component of the technology's mixture explains best."""
    population = cells.model.population
    if len(population.weights) == 1:
        return np.zeros(cells.shape, np.bool_)
    kind = population.component(to_numpy(cells.device_parameters).reshape(-1, N_PARAMETERS))
    return np.asarray(kind == int(np.argmin(population.weights))).reshape(cells.shape)


def unverified(
    cells: CellArray, targets: Array, pulses: Array, energy: Array, defects: Array | None = None
) -> Programming:
    """Return the result of programming that has not read its cells.

    A cell within the default tolerance of its target is ``REACHED``, others are ``MISSED``.
    """
    achieved = achieved_conductance(cells, targets)
    with np.errstate(invalid="ignore"):
        reached = np.abs(achieved - targets) <= TOLERANCE * cells.model.conduction.g_llrs
    outcome = np.where(reached, Outcome.REACHED, Outcome.MISSED)
    if defects is not None:
        outcome[defects] = Outcome.DEFECT
    outcome = np.where(np.isfinite(targets), outcome, Outcome.LEFT_ALONE).astype(np.int8)
    nothing = np.array([])
    return Programming(
        targets, achieved, outcome, pulses, energy, outliers(cells), nothing, nothing
    )
