"""Results of programming for each cell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.cells.labelled import axis_names
from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.common.locking import lock_of
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike
from synfab.programming.html import programming_html
from synfab.random.arrays import to_numpy

if TYPE_CHECKING:
    import pandas as pd

# Default tolerance, in units of the LLRS conductance.
TOLERANCE = 0.01


class Outcome(IntEnum):
    """Outcome of programming a cell."""

    REACHED = 0
    TARGET_ABOVE_LRS = 1  # LRS conductance was too low in all attempts
    TARGET_BELOW_HRS = 2  # HRS conductance was too high in all attempts
    MISSED = 3  # attempts overshot the target, or passes ran out
    DEFECT = 4  # open or shorted
    LEFT_ALONE = 5  # no target


@no_array("programming.achieved, programming.errors or programming.to_pandas()")
@dataclass(frozen=True, eq=False)
class Programming:
    """Result of programming; arrays have the cells' shape unless noted otherwise.

    Attributes
    ----------
    targets, achieved
        Static conductance at U_0, S, without noise; NaN where there is no target.
    outcome
        ``Outcome`` of each cell.
    pulses
        Number of SET and RESET pulses intended for each cell.
    energy
        Energy in each cell and its access device, J, including pulses intended for other cells.
    outliers
        Mask of devices for which the rarest component of the technology is the most likely.
    pending, error
        Number of cells to be pulsed next, and median distance of all cells from their targets
        (S), at each verification, (passes + 1,); empty without verification.
    """

    targets: Array
    achieved: Array
    outcome: Array
    pulses: Array
    energy: Array
    outliers: Array
    pending: Array
    error: Array

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas table with one row per cell; requires the extra ``learn``.

        The columns are the place of the cell in the array, targets and achieved conductances (S),
        the name of the outcome, pulses, energy (J), and whether the device is an outlier.
        """
        pandas = extras.require("pandas")
        places = np.unravel_index(np.arange(self.targets.size), self.targets.shape)
        columns = dict(zip(axis_names(self.targets.ndim), places, strict=True))
        for name in ("targets", "achieved", "pulses", "energy", "outliers"):
            columns[name] = getattr(self, name).reshape(-1)
        columns["outcome"] = np.array([o.name for o in Outcome])[self.outcome.reshape(-1)]
        result: pd.DataFrame = pandas.DataFrame(columns)
        return result

    def _repr_html_(self) -> str:
        return programming_html(self, {outcome.name: int(outcome) for outcome in Outcome})

    @property
    def errors(self) -> Array:
        """Achieved minus target conductance, S."""
        return np.asarray(self.achieved - self.targets)

    @property
    def unreachable(self) -> Array:
        """Mask of cells that have a target and have not reached it."""
        return np.asarray((self.outcome != Outcome.REACHED) & (self.outcome != Outcome.LEFT_ALONE))


def check_targets(shape: tuple[int, ...], targets: ArrayLike) -> Array:
    """Return validated targets, broadcast to the cells' shape, S, float64; NaN: no target."""
    array = checks.real_array("targets", targets)
    checks.broadcasts("targets", array.shape, shape)
    wanted = np.array(np.broadcast_to(array, shape), np.float64)
    if np.isinf(wanted).any() or (wanted <= 0.0).any():
        raise InvalidValueError("targets: expected S above 0, or NaN for no target")
    return wanted


def achieved_conductance(cells: CellArray[Any], targets: Array) -> Array:
    """Return the conductance of every cell at U_0 without noise, S; NaN where it has no target."""
    conductance = cells.model.conduction.conductance(to_numpy(cells.r))
    return np.where(np.isfinite(targets), conductance, np.nan)


def outliers(cells: CellArray[Any]) -> Array:
    """Return a mask of devices for which the technology's rarest component is the most likely."""
    population = cells.model.population
    if len(population.weights) == 1:
        return np.zeros(cells.shape, np.bool_)
    with lock_of(cells):
        kind = cells.engine_instance.components()
    return np.asarray(kind == int(np.argmin(population.weights))).reshape(cells.shape)


def unverified(
    cells: CellArray[Any],
    targets: Array,
    pulses: Array,
    energy: Array,
    defects: Array | None = None,
) -> Programming:
    """Return the result of programming without verification.

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
