"""Evaluation of loops: SET and RESET voltages and the resistances between them.

Definitions. u_set: middle of the voltage step with the largest increase of current beyond Ohm's
law. u_reset, "onset": where the current starts to fall below the LRS curve; "peak": where it is
largest. Resistances are slopes, never V / I, so that offsets have no influence: of the whole branch
if I-V curves are known, otherwise of the points within 1.5 U_0 of zero.
"""

from __future__ import annotations

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba.compile import cached_njit
from synfab.learn.preparation import DeviceSweeps
from synfab.model.conduction import Conduction

REASONS = (
    "valid",
    "too few points",
    "no negative half",
    "no positive half",
    "no SET",
    "no RESET",
    "current clipped",
)
VALID, SHORT, NO_NEGATIVE, NO_POSITIVE, NO_SET, NO_RESET, CLIPPED = range(7)
MIN_POINTS = 16
BELOW_LIMIT = 0.95  # fraction of the compliance current up to which points are used

# Columns of ``Loops.points`` …
START, SET, NEGATIVE, ZERO, ONSET, POSITIVE, END = range(7)
# … and of ``Loops.numbers``.
OFFSET, G_HRS, G_LRS, U_SET, U_RESET, OUT_SUM, OUT_SQUARES = range(7)
BACK_SUM, BACK_SQUARES, NOISE, LIMIT = range(7, 11)


@cached_njit(nogil=True)
def _line(v, i, low, high, window, limit):  # type: ignore[no-untyped-def]
    """Return slope, intercept and number of the points within ``window`` of zero."""
    n, sv, si, svv, svi = 0, 0.0, 0.0, 0.0, 0.0
    for k in range(low, high):
        if abs(v[k]) <= window and abs(i[k]) <= limit:
            n += 1
            sv += v[k]
            si += i[k]
            svv += v[k] * v[k]
            svi += v[k] * i[k]
    spread = n * svv - sv * sv
    if n < 3 or spread <= 0.0:
        return 0.0, 0.0, 0
    slope = (n * svi - sv * si) / spread
    return slope, (si - slope * sv) / n, n


@cached_njit(nogil=True)
def _value(coefficients, u):  # type: ignore[no-untyped-def]
    value = 0.0
    for c in coefficients:
        value = value * u + c
    return value


@cached_njit(nogil=True)
def _branch(v, i, low, high, offset, alpha, beta, limit):  # type: ignore[no-untyped-def]
    """Return the sums of a least-squares fit of G to I = alpha(U) + beta(U) G + offset."""
    total, squares = 0.0, 0.0
    for k in range(low, high):
        if abs(i[k]) > limit:
            continue
        b = _value(beta, v[k])
        total += b * (i[k] - offset - _value(alpha, v[k]))
        squares += b * b
    return total, squares


@cached_njit(nogil=True)
def _offset(v, i, low, high, alpha, beta, limit):  # type: ignore[no-untyped-def]
    """Return the current offset of a branch of unknown conductance."""
    n, sb, sy, sbb, sby = 0, 0.0, 0.0, 0.0, 0.0
    for k in range(low, high):
        if abs(i[k]) <= limit:
            b, y = _value(beta, v[k]), i[k] - _value(alpha, v[k])
            n, sb, sy, sbb, sby = n + 1, sb + b, sy + y, sbb + b * b, sby + b * y
    spread = n * sbb - sb * sb
    if n < 4 or spread <= 0.0:
        return np.nan
    return (sy - (n * sby - sb * sy) / spread * sb) / n


@cached_njit(nogil=True)
def _compliance(i, start, zero):  # type: ignore[no-untyped-def]
    """Return the usable current (A): compliance keeps many points of the negative half constant."""
    lowest, held = np.min(i[start:zero]), 0
    for k in range(start, zero):
        held += i[k] < 0.97 * lowest
    return BELOW_LIMIT * abs(lowest) if held > 0.2 * (zero - start) else np.inf


@cached_njit(nogil=True)
def _landmarks(v, i, u_0, at):  # type: ignore[no-untyped-def]
    """Find the corners of a loop; return a reason, the noise and the current limit."""
    n = len(v)
    if n < MIN_POINTS:
        return SHORT, 0.0, np.inf
    negative = np.argmin(v)
    if v[negative] > -1.5 * u_0:
        return NO_NEGATIVE, 0.0, np.inf
    positive = negative + np.argmax(v[negative:])
    if v[positive] < 1.5 * u_0:
        return NO_POSITIVE, 0.0, np.inf
    start = negative
    while start > 0 and v[start - 1] < 0.0:
        start -= 1
    zero = negative
    while zero < positive and v[zero] < 0.0:
        zero += 1
    end = positive
    while end < n - 1 and v[end + 1] > 0.0:
        end += 1
    bends = np.abs(i[2:] - 2.0 * i[1:-1] + i[:-2])
    noise = np.median(bends) * 0.605  # 1.4826 / sqrt(6)
    limit = _compliance(i, start, zero)
    highest, run, longest = np.max(i[zero : end + 1]), 0, 0
    for k in range(zero, end + 1):
        run = run + 1 if i[k] >= 0.9995 * highest else 0
        longest = max(longest, run)
    at[START], at[NEGATIVE], at[ZERO] = start, negative, zero
    at[POSITIVE], at[END] = positive, end + 1
    return (CLIPPED if longest >= 6 else VALID), noise, limit


@cached_njit(nogil=True)
def _find_set(v, i, at, g_lrs, offset, noise, u_0):  # type: ignore[no-untyped-def]
    """Return the index of the last point before the SET, or -1."""
    best, found = 0.0, -1
    for k in range(at[START], at[NEGATIVE]):
        if v[k] > -0.25 * u_0:
            continue
        before, after = -(i[k] - offset), -(i[k + 1] - offset)
        gain = after - before * v[k + 1] / v[k]
        largest = g_lrs * abs(v[k]) - before
        least = max(6.0 * noise, 0.15 * largest, 0.02 * g_lrs * abs(v[k]))
        if gain > best and gain > least:
            best, found = gain, k
    return found


@cached_njit(nogil=True)
def _find_onset(v, i, at, g_lrs, offset, noise, alpha, beta):  # type: ignore[no-untyped-def]
    """Return the first point after which the current stays below the LRS curve, and u_reset."""
    # Searched from the end, so that a small error of the curve does not end the LRS too early.
    k = at[POSITIVE]
    while k > at[ZERO]:
        expected = _value(alpha, v[k - 1]) + _value(beta, v[k - 1]) * g_lrs
        if expected - (i[k - 1] - offset) <= max(5.0 * noise, 0.05 * abs(expected)):
            break
        k -= 1
    if k + 2 > at[POSITIVE]:
        return -1, 0.0
    # The difference grows linearly: a line through three points gives the voltage where it is 0.
    sv, sg, svv, svg = 0.0, 0.0, 0.0, 0.0
    for m in range(3):
        u = v[k + m]
        gap = _value(alpha, u) + _value(beta, u) * g_lrs - (i[k + m] - offset)
        sv, sg, svv, svg = sv + u, sg + gap, svv + u * u, svg + u * gap
    slope = (3.0 * svg - sv * sg) / max(3.0 * svv - sv * sv, 1e-30)
    opens = (sv - sg / slope) / 3.0 if slope > 0.0 else v[k]
    step = abs(v[k] - v[k - 1])
    return k, min(max(opens, v[k] - 1.5 * step), v[k])


@cached_njit(nogil=True)
def _analyse(  # type: ignore[no-untyped-def]
    v_all, i_all, offsets, u_0, alpha, beta, known, device_offset, peak, points, numbers, reasons
):
    """Evaluate every loop of a device."""
    for loop in range(len(offsets) - 1):
        v, i = v_all[offsets[loop] : offsets[loop + 1]], i_all[offsets[loop] : offsets[loop + 1]]
        at, out = points[loop], numbers[loop]
        out[:] = np.nan
        reason, noise, limit = _landmarks(v, i, u_0, at)
        reasons[loop] = reason
        if reason != VALID:
            continue
        out[NOISE], out[LIMIT] = noise, limit
        window = 1.5 * u_0
        g_lrs, offset, n = _line(v, i, at[NEGATIVE], at[POSITIVE], window, limit)
        if n == 0 or g_lrs <= 0.0:
            reasons[loop] = NO_SET
            continue
        out[OFFSET] = offset
        if not np.isnan(device_offset):
            offset = device_offset
        at[SET] = _find_set(v, i, at, g_lrs, offset, noise, u_0)
        if at[SET] < 0:
            reasons[loop] = NO_SET
            continue
        out[U_SET] = 0.5 * (v[at[SET]] + v[at[SET] + 1])
        g_back, _, n_back = _line(v, i, at[POSITIVE], at[END], window, np.inf)
        if n_back and g_back > 0.85 * g_lrs:
            reasons[loop] = NO_RESET
            continue
        at[ONSET] = at[ZERO] + np.argmax(i[at[ZERO] : at[POSITIVE] + 1])
        out[U_RESET] = v[at[ONSET]]
        if known:
            # Two passes: the branch ends at the onset, which is found from the branch.
            safe = max(at[ZERO] + int(0.8 * (at[ONSET] - at[ZERO])), at[ZERO] + 2)
            out[OFFSET] = _offset(v, i, at[NEGATIVE] + 1, safe, alpha, beta, limit)
            for _ in range(2):
                total, squares = _branch(
                    v, i, at[NEGATIVE] + 1, max(at[ONSET] - 1, at[ZERO] + 2), offset, alpha, beta,
                    limit,
                )  # fmt: skip
                g_lrs = total / squares
                k, opens = _find_onset(v, i, at, g_lrs, offset, noise, alpha, beta)
                if k < 0:
                    break
                at[ONSET] = k
            if k < 0:
                reasons[loop] = NO_RESET
                continue
            if not peak:
                out[U_RESET] = opens
            out[OUT_SUM], out[OUT_SQUARES] = _branch(
                v, i, at[START], at[SET] + 1, offset, alpha, beta, limit
            )
            out[BACK_SUM], out[BACK_SQUARES] = _branch(
                v, i, at[POSITIVE] + 1, at[END], offset, alpha, beta, np.inf
            )
        else:
            g_hrs, _, n = _line(v, i, at[START], at[SET] + 1, window, limit)
            out[G_HRS] = g_hrs if n else np.nan
            out[BACK_SUM], out[BACK_SQUARES] = g_back, float(n_back)
        out[G_LRS] = g_lrs


class Loops:
    """Evaluated loops of one device, as arrays over the loops."""

    def __init__(
        self,
        device: DeviceSweeps,
        u_0: float,
        conduction: Conduction | None,
        reset: str = "onset",
    ) -> None:
        count = len(device.cycles)
        self.device = device
        self.points = np.zeros((count, 7), np.int64)
        self.numbers = np.full((count, 11), np.nan)
        self.reasons = np.zeros(count, np.int64)
        v, i = (np.ascontiguousarray(x, np.float64) for x in (device.voltage, device.current))
        alpha, beta = family(conduction) if conduction is not None else (np.zeros(1), np.zeros(1))
        fixed = (v, i, device.offsets, u_0, alpha, beta)
        rest = (reset == "peak", self.points, self.numbers, self.reasons)
        if conduction is None:
            _analyse(*fixed, False, np.nan, *rest)
            return
        # The offset is that of the instrument, so one value is used for the device.
        _analyse(*fixed, True, np.nan, *rest)
        found = self.numbers[self.reasons == VALID, OFFSET]
        offset = float(np.nanmedian(found)) if np.isfinite(found).any() else 0.0
        _analyse(*fixed, True, offset, *rest)
        self._join_hrs()

    def _join_hrs(self) -> None:
        """Include the last branch of the previous loop, which has the same HRS, in the fit of G."""
        numbers, good = self.numbers, self.reasons == VALID
        total, squares = numbers[:, OUT_SUM].copy(), numbers[:, OUT_SQUARES].copy()
        follows = np.zeros(len(good), bool)
        follows[1:] = good[1:] & good[:-1] & (np.diff(self.device.cycles) == 1)
        before = np.flatnonzero(follows) - 1
        total[follows] += numbers[before, BACK_SUM]
        squares[follows] += numbers[before, BACK_SQUARES]
        with np.errstate(invalid="ignore", divide="ignore"):
            numbers[:, G_HRS] = total / squares

    def features(self) -> Array:
        """Return the features, (loops, 4); NaN for loops that could not be evaluated."""
        n = self.numbers
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.stack([1.0 / n[:, G_HRS], n[:, U_SET], 1.0 / n[:, G_LRS], n[:, U_RESET]], 1)
        values[self.reasons != VALID] = np.nan
        values[~(values[:, 0] > 0.0), 0] = np.nan
        return np.asarray(values)


def family(conduction: Conduction) -> tuple[Array, Array]:
    """Return polynomials alpha and beta with I = alpha(U) + beta(U) G, G = I(U_0) / U_0."""
    beta = np.polysub(conduction.llrs, conduction.hhrs) / conduction.g_span
    return np.polysub(conduction.llrs, beta * conduction.g_llrs), beta
