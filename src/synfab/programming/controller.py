"""Write-verify controllers: compute the next voltage of each cell from its last read.

A cell with unknown history is SET first, which puts it at the start of its RESET transition.
A cell above its target is RESET by a staircase whose steps are computed from the measured slope;
one below its target is SET and tried again, since every cycle is a new random draw. Steps decrease
with each attempt.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba.threads import share
from synfab.model.cell_model import CellModel
from synfab.model.typical import typical_device
from synfab.programming import kernels
from synfab.programming.result import Outcome

# SET_* in units of the typical device's U_SET; RESET_FIRST of its U_RESET; RESET_LAST of U_max.
SET_FIRST, SET_MORE, SET_LAST = 2.0, 0.25, 3.0
RESET_FIRST, RESET_LAST = 0.6, 1.25
# V: step limits of the staircase, and how far below the last attempt's end the next one starts.
MIN_RISE, MAX_RISE, BACK = 1e-3, 0.04, 0.1
# A step aims at the fraction GAIN of the distance to the target. Each further attempt multiplies
# it by CAUTION, up to CAREFUL times.
GAIN, CAUTION, CAREFUL = 0.7, 0.75, 3
GAINS = GAIN * CAUTION ** np.arange(CAREFUL + 1)
# Hysteresis: a cell settles within this fraction of the tolerance, and becomes active again only
# outside the full tolerance.
SETTLE = 0.75
# Factor that reduces the slope estimate when the change is below the noise.
FLATTER = 0.7


# State of a controller; these names are used in checkpoints.
LEARNED = (
    "last", "amplitude", "begin", "set_level", "slope", "step", "before", "top", "attempts",
    "pulses", "above_lrs", "below_hrs", "given_up", "settled", "reason",
)  # fmt: skip


class Last(IntEnum):
    """Last pulse of a cell."""

    NOTHING = kernels.NOTHING
    SET = kernels.SET
    STAIR = kernels.STAIR
    FULL_RESET = kernels.FULL_RESET


class Controllers:
    """Write-verify controllers of all cells, vectorised; arrays have the cells' shape.

    Parameters
    ----------
    model
        Technology; its typical device sets the initial voltages.
    targets
        Target conductances, S; NaN: no target.
    within
        Tolerance: accepted distance from the target, S.
    retries
        Number of attempts after the first.
    """

    def __init__(self, model: CellModel, targets: Array, within: float, retries: int) -> None:
        _, u_set, r_lrs, u_reset = typical_device(model)
        conduction = model.conduction
        self.targets = np.ascontiguousarray(targets)
        self.within, self.retries = float(within), retries
        self.set_first, self.set_last = SET_FIRST * u_set, SET_LAST * u_set
        self.set_more = SET_MORE * u_set
        self.first, self.limit = RESET_FIRST * u_reset, RESET_LAST * conduction.u_max
        self.full = conduction.u_max
        # The RESET transition is steepest at its start: dG/dU of I_t(U) / U there.
        rise = conduction.u_max - u_reset
        self.steepest = (conduction.eta / rise + 1.0 / u_reset) / r_lrs
        shape = targets.shape
        self.distance = np.zeros(shape)  # S, from the target at the last read
        self.has_target = np.isfinite(targets)
        self.last = np.full(shape, Last.NOTHING, np.int8)
        self.amplitude, self.begin = np.zeros(shape), np.full(shape, self.first)
        self.set_level = np.full(shape, self.set_first)
        self.slope = np.full(shape, self.steepest)
        self.step, self.before = np.zeros(shape), np.full(shape, np.nan)
        self.top = np.zeros(shape)  # S, at the start of the present staircase
        self.attempts, self.pulses = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.above_lrs, self.below_hrs = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.given_up, self.settled = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self.reason = np.full(shape, Outcome.MISSED, np.int8)

    def give_up(self, mask: Array, reason: Outcome) -> None:
        """Stop programming the cells in ``mask`` and record the reason."""
        self.given_up |= mask
        self.reason[mask] = reason

    def next_voltages(self, g: Array) -> Array:
        """Return the voltage (V) for each cell after reading ``g`` (S); NaN: no pulse."""
        voltage = np.empty(g.shape)
        fixed = (
            np.ascontiguousarray(g, np.float64).reshape(-1), self.targets.reshape(-1),
            self.distance.reshape(-1), self.state, self.levels, GAINS, voltage.reshape(-1),
        )  # fmt: skip
        share(lambda low, high: kernels.next_voltages(low, high, *fixed), g.size, g.size)
        return voltage

    def fired(self, voltage: Array) -> None:
        """Record the pulses that are applied to the cells."""
        fixed = voltage.reshape(-1), self.state, self.levels
        share(lambda low, high: kernels.fired(low, high, *fixed), voltage.size, voltage.size)

    @property
    def state(self) -> kernels.State:
        """State as flat arrays that share memory with this object."""
        flat = (getattr(self, name).reshape(-1) for name in LEARNED)
        return kernels.State(
            **{
                name: array.view(np.uint8) if array.dtype == np.bool_ else array
                for name, array in zip(LEARNED, flat, strict=True)
            }
        )

    @property
    def levels(self) -> kernels.Levels:
        """Tolerances, voltages and settings for the kernels."""
        return kernels.Levels(
            within=self.within, settle=SETTLE * self.within, retries=min(self.retries, 2**62),
            first=self.first, limit=self.limit, full=self.full, set_more=self.set_more,
            set_last=self.set_last, steepest=self.steepest, back=BACK, flatter=FLATTER,
            min_rise=MIN_RISE, max_rise=MAX_RISE,
            above_reason=int(Outcome.TARGET_ABOVE_LRS), below_reason=int(Outcome.TARGET_BELOW_HRS),
        )  # fmt: skip

    def dump(self) -> dict[str, Array]:
        """Return the state of all controllers, for a checkpoint."""
        return {name: getattr(self, name) for name in LEARNED}

    def restore(self, state: dict[str, Array]) -> None:
        """Continue from what ``dump`` returned."""
        for name in LEARNED:
            mine, given = getattr(self, name), state[name]
            if given.shape != mine.shape or given.dtype != mine.dtype:
                raise ValueError(f"{name}: expected {mine.dtype} of shape {mine.shape}")
            setattr(self, name, np.array(given))

    def outcomes(self, g: Array) -> Array:
        """Return the ``Outcome`` of every cell for its last read ``g`` (S); int8."""
        with np.errstate(invalid="ignore"):
            reached = np.abs(g - self.targets) <= self.within
        outcome = np.where(reached & (self.reason != Outcome.DEFECT), Outcome.REACHED, self.reason)
        return np.where(self.has_target, outcome, Outcome.LEFT_ALONE).astype(np.int8)
