"""Evaluation of loops: SET and RESET voltages and the resistances between them.

The definitions of u_set, u_reset and of the current limit are in ``landmarks``. With the I-V curves
of the technology, resistances are those of whole branches, and u_reset ("onset") is where the
current starts to fall below the LRS curve. Without curves, resistances are slopes of the points
within 1.5 U_0 of zero, never V / I, so that offsets have no influence, and u_reset is the peak.
"""

from __future__ import annotations

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba.compile import cached_njit
from synfab.learn.landmarks import (
    CLIPPED,
    END,
    HRS,
    LRS,
    NEGATIVE,
    NO_RESET,
    NO_SET,
    ONSET,
    PEAK,
    POSITIVE,
    SET,
    START,
    VALID,
    ZERO,
    corners,
    find_limit,
    find_peak,
    find_set,
    is_clipped,
    noise_of,
    way_back,
)
from synfab.learn.preparation import DeviceSweeps
from synfab.model.conduction import Conduction

# Columns of ``Loops.numbers``.
OFFSET, G_HRS, G_LRS, U_SET, U_RESET, OUT_SUM, OUT_SQUARES = range(7)
BACK_SUM, BACK_SQUARES, NOISE, LIMIT = range(7, 11)
# A half-wave has to reach this fraction of what is typical of the device.
REACH = 0.2
# A RESET that takes this part of the current in one step is abrupt.
ABRUPT = 0.3
# Fluctuations in proportion to the current, in addition to the noise.
SCATTER = 0.01


@cached_njit(nogil=True)
def _line(v, i, low, high, window):  # type: ignore[no-untyped-def]
    """Return slope, intercept and number of the points within ``window`` of zero."""
    n, sv, si, svv, svi = 0, 0.0, 0.0, 0.0, 0.0
    for k in range(low, high):
        if abs(v[k]) <= window:
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
def _value(curve, u):  # type: ignore[no-untyped-def]
    """Return a curve at ``u``: its range (first two numbers), then its polynomial.

    Outside the range, which was not measured, it continues as a resistance.
    """
    inside = min(max(u, curve[0]), curve[1])
    value = 0.0
    for k in range(2, len(curve)):
        value = value * inside + curve[k]
    return value if inside == u else value * u / inside


@cached_njit(nogil=True)
def _branch(v, i, low, high, offset, alpha, beta):  # type: ignore[no-untyped-def]
    """Return the sums of a least-squares fit of G to I = alpha(U) + beta(U) G + offset."""
    total, squares = 0.0, 0.0
    for k in range(low, high):
        b = _value(beta, v[k])
        total += b * (i[k] - offset - _value(alpha, v[k]))
        squares += b * b
    return total, squares


@cached_njit(nogil=True)
def _offset(v, i, low, high, alpha, beta, noise):  # type: ignore[no-untyped-def]
    """Return the current offset of a branch of unknown conductance; small currents count most."""
    n, s, sb, sy, sbb, sby = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(low, high):
        b, y = _value(beta, v[k]), i[k] - _value(alpha, v[k])
        w = 1.0 / (noise**2 + (SCATTER * i[k]) ** 2 + 1e-30)
        n, s, sb, sy = n + 1, s + w, sb + w * b, sy + w * y
        sbb, sby = sbb + w * b * b, sby + w * b * y
    spread = s * sbb - sb * sb
    if n < 4 or spread <= 0.0:
        return np.nan
    return (sy - (s * sby - sb * sy) / spread * sb) / s


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
    expected = _value(alpha, v[k]) + _value(beta, v[k]) * g_lrs
    if expected - (i[k] - offset) > ABRUPT * expected:
        return k, 0.5 * (v[k - 1] + v[k])
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
def _switching(v, i, device, reach, at, out):  # type: ignore[no-untyped-def]
    """Find what does not need I-V curves: corners, limit, SET and peak; return a reason."""
    offset, limit = device
    reason = corners(v, reach[0], reach[1], at)
    if reason != VALID:
        return reason
    noise = noise_of(i)
    if is_clipped(v, i, at, noise):
        return CLIPPED
    out[NOISE], out[LIMIT] = noise, find_limit(v, i, at, noise, limit)
    if np.isnan(offset):
        # Next to 0 V, so that no conductance has to be known.
        before, after = v[at[ZERO] - 1], v[at[ZERO]]
        offset = i[at[ZERO] - 1] - before * (i[at[ZERO]] - i[at[ZERO] - 1]) / (after - before)
    out[OFFSET] = offset
    if at[ZERO] - at[NEGATIVE] >= 4:
        back = way_back(v, i, at[NEGATIVE], at[ZERO] - 1, at[START], at[NEGATIVE], offset, -1.0)
    else:
        # The voltage jumps back: the LRS is that of the positive half.
        few = at[ZERO] + max(3, (at[POSITIVE] - at[ZERO]) // 4)
        squares = np.sum(v[at[ZERO] : few] ** 2)
        g = np.sum((i[at[ZERO] : few] - offset) * v[at[ZERO] : few]) / max(squares, 1e-30)
        back = np.minimum(-g * v[at[START] : at[NEGATIVE] + 1], offset - i[at[NEGATIVE]])
    if not find_set(v, i, at, offset, noise, back):
        return NO_SET
    out[U_SET] = 0.5 * (v[at[SET]] + v[min(at[SET] + 1, at[NEGATIVE])])
    at[PEAK] = at[ONSET] = find_peak(v, i, at, offset, noise)
    if at[PEAK] < 0:
        return NO_RESET
    out[U_RESET] = v[at[PEAK]]
    return VALID


@cached_njit(nogil=True)
def _analyse(  # type: ignore[no-untyped-def]
    v_all, i_all, offsets, u_0, alpha, beta, known, device, reach, peak, points, numbers,
    reasons,
):  # fmt: skip
    """Evaluate every loop of a device."""
    for loop in range(len(offsets) - 1):
        v, i = v_all[offsets[loop] : offsets[loop + 1]], i_all[offsets[loop] : offsets[loop + 1]]
        at, out = points[loop], numbers[loop]
        out[:] = np.nan
        reasons[loop] = _switching(v, i, device, reach, at, out)
        if reasons[loop] != VALID:
            continue
        offset, noise = out[OFFSET], out[NOISE]
        # The LRS ends where the RESET begins, at the peak at the latest.
        safe = max(at[ZERO] + int(0.8 * (at[PEAK] - at[ZERO])), at[ZERO] + 2)
        if not known:
            window = 1.5 * u_0
            g_lrs, _, n = _line(v, i, at[LRS], safe, window)
            g_hrs, _, n_out = _line(v, i, at[START], at[HRS] + 1, window)
            out[G_LRS] = g_lrs if n and g_lrs > 0.0 else np.nan
            out[G_HRS] = g_hrs if n_out else np.nan
            continue
        out[OFFSET] = _offset(v, i, at[LRS], safe, alpha, beta, noise)
        # Two passes: the branch ends at the onset, which is found from the branch.
        k, opens, g_lrs = -1, 0.0, 0.0
        for _ in range(2):
            total, squares = _branch(
                v, i, at[LRS], max(at[ONSET] - 1, at[ZERO] + 2), offset, alpha, beta
            )
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
        out[G_LRS] = g_lrs
        out[OUT_SUM], out[OUT_SQUARES] = _branch(v, i, at[START], at[HRS] + 1, offset, alpha, beta)
        out[BACK_SUM], out[BACK_SQUARES] = _branch(
            v, i, at[POSITIVE] + 1, at[END], offset, alpha, beta
        )


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
        self.points = np.zeros((count, 10), np.int64)
        self.numbers = np.full((count, 11), np.nan)
        self.reasons = np.zeros(count, np.int64)
        v, i = (np.ascontiguousarray(x, np.float64) for x in (device.voltage, device.current))
        alpha, beta = (np.zeros(3), np.zeros(3)) if conduction is None else _curves(conduction)
        fixed = (v, i, device.offsets, u_0, alpha, beta, conduction is not None)
        rest = (_reach(v, device.offsets), reset == "peak", self.points, self.numbers,
                self.reasons)  # fmt: skip
        # Offset and limit are those of the instrument, so one value is used for the device: in the
        # first pass, the offset is from the points next to 0 V.
        offset, limit = np.nan, np.inf
        for _ in range(2):
            _analyse(*fixed, (offset, limit), *rest)
            good = self.reasons == VALID
            found = self.numbers[good, OFFSET]
            offset = float(np.nanmedian(found)) if np.isfinite(found).any() else 0.0
            limit = float(np.median(self.numbers[good, LIMIT])) if good.any() else np.inf
        if conduction is not None:
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
        values[~(values[:, [0, 2]] > 0.0).all(axis=1)] = np.nan
        return np.asarray(values)


def _reach(voltage: Array, offsets: Array) -> Array:
    """Return the least extremes (V) of the half-waves of a loop of this device."""
    full = np.flatnonzero(np.diff(offsets) > 0)
    if len(full) == 0:
        return np.zeros(2)
    starts = offsets[full]
    low, high = (edge.reduceat(voltage, starts) for edge in (np.minimum, np.maximum))
    return REACH * np.array([min(float(np.median(low)), 0.0), max(float(np.median(high)), 0.0)])


def _curves(conduction: Conduction) -> tuple[Array, Array]:
    """Return alpha and beta for ``_value``."""
    ends = np.asarray(conduction.voltage_range)
    alpha, beta = family(conduction)
    return np.concatenate([ends, alpha]), np.concatenate([ends, beta])


def family(conduction: Conduction) -> tuple[Array, Array]:
    """Return polynomials alpha and beta with I = alpha(U) + beta(U) G, G = I(U_0) / U_0."""
    beta = np.polysub(conduction.llrs, conduction.hhrs) / conduction.g_span
    return np.polysub(conduction.llrs, beta * conduction.g_llrs), beta
