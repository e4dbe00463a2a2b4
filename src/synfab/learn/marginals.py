"""Fit of the marginals: increasing functions from normal scores to standardised features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synfab.common import checks
from synfab.common.types import Array
from synfab.model.cell_model import PIECES_END
from synfab.model.history import N_FEATURES

PIECES = 64
DEGREE = 4
# Largest mean distance of a polynomial from the quantiles, in standard deviations.
TOLERANCE = 0.01


class MarginalFit(NamedTuple):
    """Coefficients for ``CellModel``, and their kind: "polynomial" or "pieces"."""

    coefficients: Array
    kind: str


def normal_scores(x: Array) -> Array:
    """Return the standard normal quantiles of the ranks, (N,); ties get equal values."""
    from scipy.stats import norm, rankdata

    return np.asarray(norm.ppf((rankdata(x) - 0.5) / len(x)))


def fit_marginals(x: Array) -> MarginalFit:
    """Return marginals fitted to pooled standardised features.

    Parameters
    ----------
    x
        Features minus the mean of the device, divided by its standard deviation, (N, 4). A constant
        feature (zeros) stays constant.

    Returns
    -------
    MarginalFit
        Polynomials of degree 4 if all are increasing over ±5 and fit the quantiles, otherwise
        monotone piecewise cubics (Fritsch and Carlson 1980).
    """
    x = checks.numbers("x", x, (None, N_FEATURES))
    grid, tables = zip(*(_quantiles(column) for column in x.T), strict=True)
    polynomials = [_polynomial(z, q) for z, q in zip(grid, tables, strict=True)]
    if all(row is not None for row in polynomials):
        return MarginalFit(np.array(polynomials), "polynomial")
    pieces = [_pieces(z, q) for z, q in zip(grid, tables, strict=True)]
    return MarginalFit(np.array(pieces), "pieces")


def _quantiles(column: Array) -> tuple[Array, Array]:
    """Return normal quantiles covered by the sample, and the quantiles of the sample."""
    from scipy.stats import norm

    n = len(column)
    end = min(PIECES_END, float(-norm.ppf(min(0.5 / n, 0.2))))
    z = np.linspace(-end, end, 4 * PIECES + 1)
    return z, np.quantile(column, norm.cdf(z), method="median_unbiased")


def _polynomial(z: Array, q: Array) -> Array | None:
    """Return a polynomial of degree 4, or None if it is not increasing or does not fit."""
    weights = np.exp(-0.25 * z * z)
    row = np.polyfit(z, q, DEGREE, w=weights) if np.ptp(q) > 0.0 else np.zeros(DEGREE + 1)
    if not row.any():
        return np.asarray(row)
    everywhere = np.linspace(-PIECES_END, PIECES_END, 1001)
    if (np.polyval(np.polyder(row), everywhere) <= 0.0).any():
        return None
    miss = np.average(np.abs(np.polyval(row, z) - q), weights=np.exp(-0.5 * z * z))
    return np.asarray(row) if miss <= TOLERANCE else None


def _pieces(z: Array, q: Array) -> Array:
    """Return monotone cubics of the position within each piece, (PIECES, 5)."""
    from scipy.interpolate import PchipInterpolator

    result = np.zeros((PIECES, DEGREE + 1))
    if np.ptp(q) == 0.0:
        return result
    knots = np.linspace(-PIECES_END, PIECES_END, PIECES + 1)
    inside = (knots >= z[0]) & (knots <= z[-1])
    values = np.interp(knots[inside], z, _smooth(z, q))
    # Outside the sample the tails are extrapolated with the slope of their last eighth.
    eighth = max(int(inside.sum()) // 8, 1)
    low = (values[eighth] - values[0]) / (knots[inside][eighth] - knots[inside][0])
    high = (values[-1] - values[-1 - eighth]) / (knots[inside][-1] - knots[inside][-1 - eighth])
    table = np.empty(len(knots))
    table[inside] = values
    before, after = knots < z[0], knots > z[-1]
    table[before] = values[0] + low * (knots[before] - knots[inside][0])
    table[after] = values[-1] + high * (knots[after] - knots[inside][-1])
    curve = PchipInterpolator(knots, table)
    width = knots[1] - knots[0]
    for k in range(4):  # highest power first, in U / width
        result[:, 1 + k] = curve.c[k] * width ** (3 - k)
    return result


def _smooth(z: Array, q: Array) -> Array:
    """Return quantiles smoothed over neighbours; they remain increasing."""
    kernel = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    padded = np.concatenate([2 * q[0] - q[2:0:-1], q, 2 * q[-1] - q[-2:-4:-1]])
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), "valid"))
