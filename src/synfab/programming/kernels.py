"""Numba kernels of write-verify: what ``Controllers`` states, cell by cell in one pass."""

import numpy as np

from synfab.engines.numba.compile import cached_njit

NOTHING, SET, STAIR, FULL_RESET = range(4)  # as in ``controller.Last``


@cached_njit(nogil=True, error_model="numpy")
def next_voltages(  # type: ignore[no-untyped-def] # noqa: PLR0912, PLR0915
    low, high, g, levels, reasons, gains, has_target, targets, learned, voltage, distance
):
    """Write voltage (V; NaN: no pulse) and distance from the target (S) of cells low … high.

    ``learned`` are the arrays of the controllers; ``levels`` their voltages and tolerances.
    """
    (
        last, amplitude, begin, set_level, slope, step, before, top, attempts, above_lrs,
        below_hrs, given_up, settled, reason,
    ) = learned  # fmt: skip
    (
        within, settle, retries, first, limit, full, set_more, set_last, steepest, back, flatter,
        min_rise, max_rise,
    ) = levels  # fmt: skip
    above_reason, below_reason = reasons
    least = steepest / 30.0
    for c in range(low, high):
        voltage[c] = np.nan
        if not has_target[c]:
            continue
        now = g[c]
        off, old = now - targets[c], before[c]
        distance[c], before[c] = abs(off), now
        after_set, stair = last[c] == SET, last[c] == STAIR
        if after_set:
            top[c] = now
        # Without hysteresis, noise would reactivate cells that settled at the limit.
        settled[c] = abs(off) <= (within if settled[c] else settle)
        if settled[c] or given_up[c]:
            step[c] = 0.0
            continue
        no_lrs, jumped = off < 0.0 and after_set, off < 0.0 and stair
        no_hrs = off > 0.0 and stair and amplitude[c] >= limit
        if no_lrs or jumped or no_hrs:
            attempts[c] += 1
            above_lrs[c] += no_lrs
            below_hrs[c] += no_hrs
            if no_lrs:
                # An unsuccessful SET looks the same as a low LRS, so the next SET is stronger.
                set_level[c] = max(set_level[c] + set_more, set_last)
            elif jumped:
                too_late = amplitude[c] <= begin[c]
                begin[c] = first if too_late else max(amplitude[c] - back, first)
            else:
                begin[c] = full  # another HRS can be drawn at once, without a slow staircase
            if attempts[c] > retries:
                given_up[c] = True
                reason[c] = above_reason if above_lrs[c] == attempts[c] else reason[c]
                reason[c] = below_reason if below_hrs[c] == attempts[c] else reason[c]
                step[c] = 0.0
                continue
        if off > 0.0 and stair and not no_hrs:
            fell, taken = old - now, step[c]
            if taken > 0.0 and fell > within / 2.0:
                slope[c] = min(max(fell / taken, least), 2.0 * steepest)
            elif taken > 0.0 and top[c] - now > 3.0 * within:
                # The transition flattens as conductance falls: once a cell has moved and then
                # hardly changes, its slope is too small to measure above the noise.
                slope[c] = max(flatter * slope[c], least)
            gain = gains[min(attempts[c], len(gains) - 1)]
            step[c] = min(max(gain * off / slope[c], min_rise), max_rise)
            voltage[c] = min(amplitude[c] + step[c], limit)
            continue
        step[c] = 0.0
        if no_lrs:
            # A cell in its LRS needs a RESET before it can draw a new cycle.
            voltage[c], last[c] = limit, FULL_RESET
        elif off > 0.0 and not stair and last[c] != NOTHING:
            voltage[c] = begin[c]
        else:
            # A SET brings a cell with unknown history to a known point of its curve.
            voltage[c] = set_level[c]


@cached_njit(nogil=True, error_model="numpy")
def count_magnitudes(words, shift, counts):  # type: ignore[no-untyped-def]
    """Count positive numbers by the upper bits of their words."""
    for j in range(words.shape[0]):
        counts[words[j] >> shift] += 1


@cached_njit(nogil=True, error_model="numpy")
def pick_magnitudes(words, shift, first, last, out):  # type: ignore[no-untyped-def]
    """Copy the words whose upper bits are ``first`` … ``last`` to ``out``, in order."""
    found = 0
    for j in range(words.shape[0]):
        upper = words[j] >> shift
        if first <= upper <= last:
            out[found] = words[j]
            found += 1
