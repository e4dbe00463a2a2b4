"""What happens in a loop, found without I-V curves: corners, current limit, SET and peak.

The SET is where the way out joins the way back. The way back of the same half-wave is the LRS, or
the current limit where the instrument limits the current, so that neither a curve nor a limit has
to be known. The RESET is where the way out leaves the LRS towards its own way back.
"""

from __future__ import annotations

import numpy as np

from synfab.engines.numba.compile import cached_njit

REASONS = (
    "valid",
    "too few points",
    "no negative half",
    "no positive half",
    "no SET",
    "no RESET",
    "current clipped",
    "half a loop",
)
VALID, SHORT, NO_NEGATIVE, NO_POSITIVE, NO_SET, NO_RESET, CLIPPED, INCOMPLETE = range(8)
MIN_POINTS = 16

# Columns of ``Loops.points``: first point of the negative half-wave, last of the HRS, last before
# u_set, last at the extreme, first of the LRS below the current limit, first at or above 0 V, onset
# of the RESET, highest voltage, end of the positive half-wave, largest current of the LRS.
START, HRS, SET, NEGATIVE, LRS, ZERO, ONSET, POSITIVE, END, PEAK = range(10)

# A limited current does not depend on the voltage: while the voltage changes by this factor, it
# stays within the tolerance (relative) and has at most this power of the voltage. The transistor of
# a 1T1R cell saturates more softly, which is part of the I-V curve.
LIMITED_RANGE, LIMIT_TOLERANCE, LIMITED_POWER = 1.15, 0.015, 0.05
# A loop whose largest current is so close to the limit of the other loops is limited too.
SAME_LIMIT = 0.03
# Currents above this fraction of the limit belong to the limited part.
BELOW_LIMIT = 0.95
# A jump is the SET if it closes half of the gap to the way back, and this part of the widest gap.
HALF, OF_WIDEST = 0.5, 0.3
# The HRS ends where a step, or all steps together, close this part of the gap.
BEGINS = 0.1
# Smallest ratio of the conductances of LRS and HRS.
CONTRAST = 1.15
NOISES = 6.0  # a gap of so many standard deviations of the noise is not noise


@cached_njit(nogil=True)
def noise_of(i):  # type: ignore[no-untyped-def]
    """Return the standard deviation of the noise at small currents, or of the rounding to digits.

    From the lower quartile of the second differences, which is that of the points where the current
    and its curvature are small.
    """
    steps = np.abs(np.diff(i))
    bends = np.abs(i[2:] - 2.0 * i[1:-1] + i[:-2])
    quarter = len(bends) // 4
    noise = np.partition(bends, quarter)[quarter] * 1.2815  # 1 / (0.3186 sqrt(6))
    moving = steps[steps > 0.0]
    if 5 * len(moving) < 4 * len(steps) and len(moving) > 0:
        noise = max(noise, 0.3 * np.min(moving))
    return noise


@cached_njit(nogil=True)
def corners(v, low, high, at):  # type: ignore[no-untyped-def]
    """Find the corners of a loop that exceeds ``low`` and ``high`` (V); return a reason."""
    n = len(v)
    if n < MIN_POINTS:
        return SHORT
    negative = np.argmin(v)
    if not v[negative] < low:
        return NO_NEGATIVE
    positive = negative + np.argmax(v[negative:])
    if not v[positive] > high:
        return NO_POSITIVE
    start = negative
    while start > 0 and v[start - 1] < 0.0:
        start -= 1
    zero = negative
    while zero < positive and v[zero] < 0.0:
        zero += 1
    end = positive
    while end < n - 1 and v[end + 1] > 0.0:
        end += 1
    if v[start] < 0.5 * v[negative]:
        return INCOMPLETE
    lowest = v[negative]
    while negative + 1 < zero and v[negative + 1] < 0.998 * lowest:
        negative += 1  # the SET can happen while the voltage stays
    at[START], at[NEGATIVE], at[LRS], at[ZERO] = start, negative, negative + 1, zero
    at[POSITIVE], at[END] = positive, end + 1
    return VALID


@cached_njit(nogil=True)
def find_limit(v, i, at, noise, usual):  # type: ignore[no-untyped-def]
    """Return the limit of the current (A) in the negative half, and set the first point below it.

    ``usual`` is the limit in most loops of the device, infinite if they have none.
    At the extreme of the voltage a limited current is at its limit; on the way back it stays there.
    """
    top, zero = at[NEGATIVE], at[ZERO]
    held = -np.median(i[max(top - 2, at[START]) : min(top + 3, zero)])
    if held <= NOISES * noise:
        return np.inf
    tolerance = max(LIMIT_TOLERANCE, 4.0 * noise / held)
    last, misses, k = top, 0, top + 1
    n, sx, sy, sxx, sxy = 0, 0.0, 0.0, 0.0, 0.0
    while k < zero and misses < 2:
        misses += 1
        if -i[k] > 0.0 and abs(np.log(held / -i[k])) <= tolerance:
            last, misses = k, 0
            x, y = np.log(v[k] / v[top]), np.log(-i[k] / held)
            n, sx, sy, sxx, sxy = n + 1, sx + x, sy + y, sxx + x * x, sxy + x * y
        k += 1
    wide = n >= 3 and v[top] <= v[last] * max(LIMITED_RANGE, 1.0 + 4.0 * tolerance)
    flat = n * sxy - sx * sy <= LIMITED_POWER * (n * sxx - sx * sx)
    if not (wide and flat) and not abs(held - usual) <= SAME_LIMIT * usual < np.inf:
        return np.inf
    k = last + 1
    while k < zero and -i[k] > BELOW_LIMIT * held:
        k += 1
    at[LRS] = k
    return held


@cached_njit(nogil=True)
def is_clipped(v, i, at, noise):  # type: ignore[no-untyped-def]
    """Return True if the positive half is cut off at its largest current, so that no RESET shows.

    A rounded peak is flat too, but only around one voltage.
    """
    low, high = at[ZERO], at[POSITIVE] + 1
    largest = np.max(i[low:high])
    width = max(3.0 * noise, 1e-3 * largest)
    equal, first, last = 0, -1, -1
    for k in range(low, high):
        equal += i[k] == largest
        if i[k] >= largest - width:
            first = k if first < 0 else first
            last = k
    if first < 0:
        return False
    flat = True
    for k in range(first, last + 1):
        flat = flat and i[k] >= largest - 2.0 * width
    return (
        flat
        and last - first >= 5
        and v[last] > 1.3 * v[first]
        and (equal >= 4 or v[last] > 2.0 * v[first])
    )


@cached_njit(nogil=True)
def way_back(v, i, first, last, low, high, offset, sign):  # type: ignore[no-untyped-def]
    """Return the current of the branch ``first`` … ``last``, times ``sign``, at points low … high.

    The magnitude of the voltage falls along the branch and rises from ``low`` to ``high``.
    """
    result = np.empty(high + 1 - low)
    k = last
    for m in range(low, high + 1):
        while k > first and abs(v[k]) < abs(v[m]):
            k -= 1
        value = i[k]
        if k < last and abs(v[k]) >= abs(v[m]):
            step = v[k] - v[k + 1]
            share = min(max((v[k] - v[m]) / step, 0.0), 1.0) if step != 0.0 else 0.0
            value += share * (i[k + 1] - i[k])
        result[m - low] = sign * (value - offset)
    return result


@cached_njit(nogil=True)
def _continued(u, back, first, k, noise):  # type: ignore[no-untyped-def]
    """Return the factor by which a state's current rises from point ``first`` to point ``k``.

    Ohm's law, or the shape of the way back where that rises more: I-V curves can be superlinear,
    but the way back does not rise at the current limit.
    """
    ohm = u[k] / u[first]
    return max(ohm, back[k] / back[first]) if back[first] > NOISES * noise else ohm


@cached_njit(nogil=True)
def find_set(v, i, at, offset, noise, back):  # type: ignore[no-untyped-def]
    """Find HRS and SET of ``at``; return False without a SET. ``back``: way back, START … NEGATIVE.

    The SET is the largest step of the current beyond the I-V curve of one state that closes at
    least half of the gap between the way out and the way back. Without such a step (gradual SET,
    SET in several steps) it is where the current crosses the middle between HRS and way back: the
    threshold for which an abrupt SET differs least from the loop (sum of magnitudes).
    """
    start, top = at[START], at[NEGATIVE]
    out = offset - i[start : top + 1]
    u = v[start : top + 1]
    last = top - start
    widest = np.max(back - out)
    if not widest > NOISES * noise:
        return False
    jump, best = -1, 0.0
    for k in range(last):
        expected = out[k] * _continued(u, back, k, k + 1, noise)
        gain, gap = out[k + 1] - expected, back[k + 1] - expected
        if gain > best and gain >= max(NOISES * noise, HALF * gap, OF_WIDEST * widest):
            best, jump = gain, k
    end = _end_of_hrs(u, out, back, noise, last if jump < 0 else jump)
    found = jump
    if jump < 0:
        total, least = 0.0, np.inf
        for k in range(end, last + 1):
            hrs = out[end] * _continued(u, back, end, k, noise)
            total += abs(out[k] - hrs) - abs(out[k] - back[k])
            if total < least:
                least, found = total, k
    before = np.sum(out[: found + 1] * -u[: found + 1])
    after = np.sum(back[: found + 1] * -u[: found + 1])
    at[HRS], at[SET] = start + min(end, found), start + found
    return after > CONTRAST * before


@cached_njit(nogil=True)
def _end_of_hrs(u, out, back, noise, last):  # type: ignore[no-untyped-def]
    """Return the last point, at most ``last``, before the current begins to leave the HRS."""
    crossed = 0
    while crossed < last and out[crossed + 1] < 0.5 * back[crossed + 1]:
        crossed += 1
    # The HRS: conductance and share of the way back in the first half of what precedes the middle.
    squares, product, total, share = 0.0, 0.0, 0.0, 0.0
    for k in range(crossed + 1):
        if u[k] >= 0.5 * u[crossed]:
            squares, product = squares + u[k] ** 2, product - out[k] * u[k]
            total, share = total + back[k], share + out[k]
    g = product / squares if squares > 0.0 else 0.0
    share = share / total if total > 0.0 else 0.0
    for k in range(last):
        hrs = max(-g * u[k + 1], share * back[k + 1])
        expected = out[k] * _continued(u, back, k, k + 1, noise)
        step = out[k + 1] - expected > max(NOISES * noise, BEGINS * (back[k + 1] - expected))
        left = out[k + 1] - hrs > max(NOISES * noise, BEGINS * (back[k + 1] - hrs))
        if (step or left) and u[k + 1] < 0.5 * u[crossed]:
            return k
    return last


@cached_njit(nogil=True)
def find_peak(v, i, at, offset, noise):  # type: ignore[no-untyped-def]
    """Return the point of the largest current before the way out joins the way back, or -1.

    -1: the way back conducts as well as the way out, so that there is no RESET.
    """
    zero, top, end = at[ZERO], at[POSITIVE], at[END]
    if end - top < 4:  # the record ends at the highest voltage
        peak = zero + np.argmax(i[zero : top + 1])
        fallen = np.min(i[peak : top + 1]) - offset
        return peak if fallen * CONTRAST < i[peak] - offset else -1
    back = way_back(v, i, top, end - 1, zero, top, offset, 1.0)
    gaps = i[zero : top + 1] - offset - back
    widest = np.max(gaps)
    if widest < NOISES * noise:
        return -1
    joined = top
    while gaps[joined - zero] < 0.1 * widest:
        joined -= 1
    peak = zero + np.argmax(i[zero : joined + 1])
    out_sum, back_sum = 0.0, 0.0
    for k in range(zero, peak + 1):
        out_sum += (i[k] - offset) * v[k]
        back_sum += back[k - zero] * v[k]
    return peak if out_sum > CONTRAST * back_sum else -1
