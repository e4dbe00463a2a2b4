"""Numba kernels of write-verify: what ``Controllers`` states, cell by cell."""

from typing import Any, NamedTuple

import numpy as np

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.intrinsics import pointers

NOTHING, SET, STAIR, FULL_RESET = range(4)  # as in ``controller.Last``


class State(NamedTuple):
    """State of all controllers, as in ``controller.LEARNED``; flags are bytes."""

    last: Any
    amplitude: Any
    begin: Any
    set_level: Any
    slope: Any
    step: Any
    before: Any
    top: Any
    attempts: Any
    pulses: Any
    above_lrs: Any
    below_hrs: Any
    given_up: Any
    settled: Any
    reason: Any


class Levels(NamedTuple):
    """Tolerances (S), voltages (V) and settings of the controllers."""

    within: float
    settle: float
    retries: int
    first: float
    limit: float
    full: float
    set_more: float
    set_last: float
    steepest: float  # S/V
    back: float
    flatter: float
    min_rise: float
    max_rise: float
    above_reason: int
    below_reason: int


@part_njit()
def is_off(distance, settled, levels):  # type: ignore[no-untyped-def]
    """Return whether a cell at a distance (S; NaN: no target) from its target is not settled."""
    # Without hysteresis, noise would reactivate cells that settled at the limit.
    return distance > (levels.within if settled else levels.settle)


@part_njit()
def verified(c, distance, state, levels):  # type: ignore[no-untyped-def]
    """Note whether cell ``c`` is settled; return whether it is active."""
    off = is_off(distance, state.settled[c], levels)
    if not off and not state.settled[c]:
        state.step[c] = 0.0
    state.settled[c] = not off
    return off and not state.given_up[c]


@part_njit()
def failed(c, no_lrs, no_hrs, state, levels):  # type: ignore[no-untyped-def]
    """Note a failed attempt: no LRS or no HRS was reached, or the cell jumped past its target."""
    state.attempts[c] += 1
    state.above_lrs[c] += no_lrs
    state.below_hrs[c] += no_hrs
    if no_lrs:
        # An unsuccessful SET looks the same as a low LRS, so the next SET is stronger.
        state.set_level[c] = max(state.set_level[c] + levels.set_more, levels.set_last)
    elif no_hrs:
        state.begin[c] = levels.full  # another HRS can be drawn at once, without a staircase
    else:
        amplitude = state.amplitude[c]
        too_late = amplitude <= state.begin[c]
        state.begin[c] = levels.first if too_late else max(amplitude - levels.back, levels.first)
    if state.attempts[c] > levels.retries:
        state.given_up[c] = True
        if state.above_lrs[c] == state.attempts[c]:
            state.reason[c] = levels.above_reason
        if state.below_hrs[c] == state.attempts[c]:
            state.reason[c] = levels.below_reason


@part_njit()
def next_voltage(c, now, off, state, levels, gains):  # type: ignore[no-untyped-def]
    """Return the voltage (V; NaN: no pulse) of an active cell that reads ``now``, ``off`` (S)."""
    old = state.before[c]
    state.before[c] = now
    last, amplitude = state.last[c], state.amplitude[c]
    after_set, stair = last == SET, last == STAIR
    least = levels.steepest / 30.0
    if after_set:
        state.top[c] = now
    no_lrs, jumped = off < 0.0 and after_set, off < 0.0 and stair
    no_hrs = off > 0.0 and stair and amplitude >= levels.limit
    if no_lrs or jumped or no_hrs:
        failed(c, no_lrs, no_hrs, state, levels)
        if state.given_up[c]:
            state.step[c] = 0.0
            return np.nan
    if off > 0.0 and stair and not no_hrs:
        fell, taken, slope = old - now, state.step[c], state.slope[c]
        if taken > 0.0 and fell > levels.within / 2.0:
            slope = min(max(fell / taken, least), 2.0 * levels.steepest)
        elif taken > 0.0 and state.top[c] - now > 3.0 * levels.within:
            # The transition flattens as conductance falls: once a cell has moved and then
            # hardly changes, its slope is too small to measure above the noise.
            slope = max(levels.flatter * slope, least)
        gain = gains[min(state.attempts[c], len(gains) - 1)]
        step = min(max(gain * off / slope, levels.min_rise), levels.max_rise)
        state.slope[c], state.step[c] = slope, step
        return min(amplitude + step, levels.limit)
    state.step[c] = 0.0
    if no_lrs:
        # A cell in its LRS needs a RESET before it can draw a new cycle.
        state.last[c] = FULL_RESET
        return levels.limit
    if off > 0.0 and not stair and last != NOTHING:
        return state.begin[c]
    # A SET brings a cell with unknown history to a known point of its curve.
    return state.set_level[c]


@part_njit()
def pulsed(c, voltage, state, levels):  # type: ignore[no-untyped-def]
    """Note the pulse that cell ``c`` gets, V."""
    state.pulses[c] += 1
    if voltage < 0.0:
        state.last[c] = SET
        state.slope[c] = levels.steepest
    elif voltage > 0.0 and state.last[c] != FULL_RESET:  # cells after a full RESET are SET next
        state.last[c] = STAIR
        state.amplitude[c] = voltage


@cached_njit(nogil=True, error_model="numpy")
def next_voltages(low, high, g, targets, distance, state, levels, gains, voltage):  # type: ignore[no-untyped-def]
    """Write voltage (V; NaN: no pulse) and distance from the target (S) of cells low … high.

    Cells without a target have a distance of NaN.
    """
    state = pointers(state)
    for c in range(low, high):
        voltage[c] = np.nan
        off = g[c] - targets[c]
        distance[c] = abs(off)
        if verified(c, distance[c], state, levels):
            voltage[c] = next_voltage(c, g[c], off, state, levels, gains)


@cached_njit(nogil=True, error_model="numpy")
def fired(low, high, voltage, state, levels):  # type: ignore[no-untyped-def]
    """Note the pulses of cells low … high (V; NaN: no pulse)."""
    state = pointers(state)
    for c in range(low, high):
        if not np.isnan(voltage[c]):
            pulsed(c, voltage[c], state, levels)
