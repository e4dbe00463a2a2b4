"""Fit of strongly nonlinear or rectifying I-V curves: increasing polynomials of high degree.

The limiting curves are sums, with coefficients that are not negative, of polynomials that increase
over the range of voltages and are zero at 0 V: odd powers, which bend both ways (as sinh does), and
powers of the distance from a point beyond one end, which conduct mostly in one direction. Every
mixture of two such curves is passive and increasing by construction, however strongly it bends.
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array

DEGREES = (7, 11, 15, 23, 31)
# Distances of these points from 0 V, relative to the end of the range, and their powers.
BEYOND, POWERS = (1.0, 1.5, 2.5), (2, 3, 4, 6, 8, 11, 15, 19, 23, 27, 31)
# A higher degree has to reduce the error by this factor.
BETTER = 0.9
ROUNDS, CONVERGED = 60, 1e-5
MAX_POINTS = 40_000
# Largest relative rounding error of I / U with coefficients of float32.
ROUNDING = 2e-3


class MonotoneFit(NamedTuple):
    """Limiting curves (highest power first), conductances of the branches (S), weighted error."""

    hhrs: Array
    llrs: Array
    g: Array
    error: float


class _Points(NamedTuple):
    """Points of branches, without offset: V, A, number of the branch, 1 / error (1/A)."""

    u: Array
    i: Array
    branch: Array
    weight: Array


def fit_monotone(
    voltage: Array,
    current: Array,
    branch: Array,
    weight: Array,
    hrs: Array,
    ends: tuple[float, float],
    u_0: float,
) -> MonotoneFit:
    """Return the two curves whose mixtures fit branches of one state each.

    ``hrs`` is True for branches of the HRS, (branches,); ``ends`` is the range of voltages.

    Raises
    ------
    InvalidValueError
        No curves separate the branches.
    """
    step = -(-len(voltage) // MAX_POINTS)
    points = _Points(voltage[::step], current[::step], branch[::step], weight[::step])
    best: MonotoneFit | None = None
    for degree in DEGREES:
        found = _fit(points, hrs, ends, degree, u_0)
        if found is None:
            continue
        if best is None or found.error < BETTER * best.error:
            best = found
    if best is None:
        raise InvalidValueError("conduction: no increasing curves separate HRS and LRS")
    return best


def _shapes(degree: int, ends: tuple[float, float]) -> list[tuple[float, float, int]]:
    """Return sign, point c and power k of functions c**k - (c - sign u)**k; c = 0: odd powers."""
    odd = [(-1.0, 0.0, k) for k in range(1, degree + 1, 2)]
    low, high = abs(ends[0]), ends[1]
    one_sided = [
        (sign, beyond * end, k)
        for sign, end in ((1.0, high), (-1.0, low))
        for beyond in BEYOND
        for k in POWERS
        if k <= degree
    ]
    return [*odd, *one_sided]


def _values(shape: tuple[float, float, int], u: Array) -> Array:
    """Return an increasing function of ``u`` that is 0 at 0."""
    sign, c, k = shape
    return np.asarray(-sign * ((c - sign * u) ** k - c**k) if c else u**k)


def _coefficients(shape: tuple[float, float, int], degree: int) -> Array:
    """Return the polynomial of ``_values``, highest power first, (degree + 1,)."""
    sign, c, k = shape
    row = np.zeros(degree + 1)
    if not c:
        row[degree - k] = 1.0
        return row
    for j in range(1, k + 1):
        row[degree - j] = -sign * comb(k, j) * c ** (k - j) * (-sign) ** j
    return row


def _fit(
    points: _Points, hrs: Array, ends: tuple[float, float], degree: int, u_0: float
) -> MonotoneFit | None:
    """Alternate between the curves and the states of the branches."""
    # In units of the largest voltage, so that high powers stay near 1.
    unit = max(abs(ends[0]), ends[1])
    shapes = _shapes(degree, (ends[0] / unit, ends[1] / unit))
    values = np.stack([_values(shape, points.u / unit) for shape in shapes], axis=1)
    size = np.abs(values).max(axis=0) + 1e-300
    weighted = points.weight[:, None] * (values / size)
    target = points.weight * points.i
    count = len(hrs)
    state = hrs.astype(np.float64)
    before = np.inf
    for _ in range(ROUNDS):
        llrs, hhrs = _curves(weighted, target, state[points.branch])
        low, high = weighted @ llrs, weighted @ hhrs
        gap = low - high
        squares = np.bincount(points.branch, gap**2, count)
        state = np.bincount(points.branch, gap * (low - target), count) / np.where(
            squares > 0.0, squares, 1.0
        )
        state = np.clip(state, -1.0, 1.5)
        rest = target - low + state[points.branch] * gap
        error = float(np.sqrt(np.mean(np.minimum(np.abs(rest), 10.0) ** 2)))
        if before - error <= CONVERGED * before:
            break
        before = error
    powers = unit ** np.arange(degree, -1.0, -1.0)
    basis = np.stack([_coefficients(shape, degree) for shape in shapes]) / size[:, None] / powers
    at_read = basis @ (u_0 ** np.arange(degree, -1.0, -1.0)) / u_0
    g_llrs, g_hhrs = float(llrs @ at_read), float(hhrs @ at_read)
    if not g_llrs > g_hhrs > 0.0:
        return None
    g = g_llrs + state * (g_hhrs - g_llrs)
    # The limiting states: the highest conductance, and half of the lowest, as far as no coefficient
    # of their curves becomes negative.
    falls, rises = hhrs < llrs, hhrs > llrs
    most = float(np.min(llrs[falls] / (llrs - hhrs)[falls], initial=2.0))
    least = float(np.max(-llrs[rises] / (hhrs - llrs)[rises], initial=-2.0))
    ends_of_state = [
        float(np.clip((g_llrs - limit) / (g_llrs - g_hhrs), least, most))
        for limit in (0.5 * float(g.min()), float(np.quantile(g, 0.999)))
    ]
    curves = [np.maximum((1.0 - s) * llrs + s * hhrs, 0.0) @ basis for s in ends_of_state]
    if not _survives_rounding(curves, ends):
        return None
    return MonotoneFit(curves[0], curves[1], g, error)


def _curves(weighted: Array, target: Array, state: Array) -> tuple[Array, Array]:
    """Return the coefficients of LLRS and HHRS, none negative, for known states."""
    from scipy.optimize import nnls

    design = np.hstack([weighted * (1.0 - state)[:, None], weighted * state[:, None]])
    size = np.sqrt((design**2).sum(axis=0)) + 1e-300
    # The triangular factor replaces the points: the same normal equations, few rows.
    factor = np.asarray(np.linalg.qr(np.hstack([design / size, target[:, None]]), mode="r"))
    found = nnls(factor[:, :-1], factor[:, -1])[0] / size
    half = len(found) // 2
    return found[:half], found[half:]


def _survives_rounding(curves: list[Array], ends: tuple[float, float]) -> bool:
    """Return True if the curves can be evaluated in float32, as the engines do."""
    u = np.linspace(*ends, 301)
    u = u[np.abs(u) > 1e-3 * max(map(abs, ends))]
    for curve in curves:
        exact = np.polyval(curve, u)
        rough = np.zeros(len(u), np.float32)
        for c in curve.astype(np.float32):
            rough = rough * u.astype(np.float32) + c
        if not (np.abs(rough - exact) <= ROUNDING * np.abs(exact)).all():
            return False
    return True
