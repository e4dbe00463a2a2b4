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
from synfab.model.cell_model import CellModel
from synfab.model.typical import typical_device
from synfab.programming.result import Outcome

# SET_* in units of the typical device's U_SET; RESET_FIRST of its U_RESET; RESET_LAST of U_max.
SET_FIRST, SET_MORE, SET_LAST = 2.0, 0.25, 3.0
RESET_FIRST, RESET_LAST = 0.6, 1.25
# V: step limits of the staircase, and how far below the last attempt's end the next one starts.
MIN_RISE, MAX_RISE, BACK = 1e-3, 0.04, 0.1
# A step aims at the fraction GAIN of the distance to the target. Each further attempt multiplies
# it by CAUTION, up to CAREFUL times.
GAIN, CAUTION, CAREFUL = 0.7, 0.75, 3
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

    NOTHING = 0
    SET = 1
    STAIR = 2
    FULL_RESET = 3


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
        self.targets, self.within, self.retries = targets, within, retries
        self.set_first, self.set_last = SET_FIRST * u_set, SET_LAST * u_set
        self.set_more = SET_MORE * u_set
        self.first, self.limit = RESET_FIRST * u_reset, RESET_LAST * conduction.u_max
        self.full = conduction.u_max
        # The RESET transition is steepest at its start: dG/dU of I_t(U) / U there.
        rise = conduction.u_max - u_reset
        self.steepest = (conduction.eta / rise + 1.0 / u_reset) / r_lrs
        shape = targets.shape
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
        off = g - self.targets
        with np.errstate(invalid="ignore"):
            # Without hysteresis, noise would reactivate cells that settled at the limit.
            enough = np.where(self.settled, self.within, SETTLE * self.within)
            self.settled = np.abs(off) <= enough
        active = self.has_target & ~self.given_up & ~self.settled
        low, high = active & (off < 0.0), active & (off > 0.0)
        stair, after_set = self.last == Last.STAIR, self.last == Last.SET
        no_lrs = low & after_set
        no_hrs = high & stair & (self.amplitude >= self.limit)
        jumped = low & stair
        self._learn(no_lrs, no_hrs, jumped)
        active &= ~self.given_up
        self.top = np.where(after_set, g, self.top)
        self._follow_slope(off, g, high & stair & ~no_hrs)
        self.before = g
        voltage = np.full(g.shape, np.nan)
        # A SET brings a cell with unknown history to a known point of its curve.
        unknown = high & (self.last == Last.NOTHING)
        begins = high & ~stair & ~unknown
        voltage[begins] = self.begin[begins]
        climbs = high & stair & ~no_hrs
        voltage[climbs] = np.minimum(self.amplitude + self.step, self.limit)[climbs]
        again = (low & ~no_lrs) | no_hrs | unknown
        voltage[again] = self.set_level[again]
        # A cell in its LRS needs a RESET before it can draw a new cycle.
        voltage[no_lrs] = self.limit
        self.last[no_lrs & active] = Last.FULL_RESET
        return np.where(active, voltage, np.nan)

    def fired(self, voltage: Array) -> None:
        """Record the pulses that are applied to the cells."""
        given = np.isfinite(voltage)
        self.pulses += given
        set_, reset = given & (voltage < 0.0), given & (voltage > 0.0)
        reset &= self.last != Last.FULL_RESET
        # FULL_RESET was recorded by next_voltages; these cells are SET next.
        self.last[reset] = Last.STAIR
        self.amplitude[reset] = voltage[reset]
        self.last[set_] = Last.SET
        self.slope[set_] = self.steepest

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

    def _learn(self, no_lrs: Array, no_hrs: Array, jumped: Array) -> None:
        """Update start voltages, SET levels and outcomes after failed attempts."""
        failed = no_lrs | no_hrs | jumped
        self.attempts += failed
        self.above_lrs += no_lrs
        self.below_hrs += no_hrs
        # An unsuccessful SET looks the same as a low LRS, so the next SET is stronger.
        harder = np.maximum(self.set_level + self.set_more, self.set_last)
        self.set_level[no_lrs] = harder[no_lrs]
        late = np.maximum(self.amplitude - BACK, self.first)
        too_late = self.amplitude <= self.begin
        self.begin[jumped] = np.where(too_late, self.first, late)[jumped]
        # Another HRS can be drawn at full voltage, without a slow staircase.
        self.begin[no_hrs] = self.full
        over = failed & (self.attempts > self.retries)
        self.given_up |= over
        self.reason[over & (self.above_lrs == self.attempts)] = Outcome.TARGET_ABOVE_LRS
        self.reason[over & (self.below_hrs == self.attempts)] = Outcome.TARGET_BELOW_HRS

    def _follow_slope(self, off: Array, g: Array, climbs: Array) -> None:
        """Compute the next step of the staircase from the slope measured over the last one."""
        fell = self.before - g
        moved = climbs & (self.step > 0.0) & (fell > self.within / 2.0)
        slope = fell / np.where(self.step > 0.0, self.step, 1.0)
        least = self.steepest / 30.0
        self.slope[moved] = np.clip(slope, least, 2.0 * self.steepest)[moved]
        # The transition flattens as conductance falls: once a cell has moved and then hardly
        # changes, its slope is too small to measure above the noise.
        crawls = climbs & ~moved & (self.step > 0.0) & (self.top - g > 3.0 * self.within)
        self.slope[crawls] = np.maximum(FLATTER * self.slope, least)[crawls]
        gain = GAIN * CAUTION ** np.minimum(self.attempts, CAREFUL)
        step = np.clip(gain * off / self.slope, MIN_RISE, MAX_RISE)
        self.step = np.where(climbs, step, 0.0)
