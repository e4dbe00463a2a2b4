"""Correlations of features with those of earlier cycles, within devices."""

from __future__ import annotations

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.learn.comparison.data import Data
from synfab.learn.comparison.sample import Frame, Sample

# Lags that are averaged, first and last: each up to 20, then bands up to 100.
BANDS = (
    *((lag, lag) for lag in range(21)),
    *((21, 25), (26, 30), (31, 40), (41, 50), (51, 65), (66, 80), (81, 100)),
)
LONGEST = BANDS[-1][1]
CENTRES = np.array([(first + last) / 2.0 for first, last in BANDS])
SHORT = np.array([1 <= first <= 20 for first, _ in BANDS])
LONG = np.array([first > 20 for first, _ in BANDS])
MIN_PAIRS = 20  # pairs of cycles in each half for a band to be compared


def lagged_sums(cycles: Array, y: Array, _: Frame) -> Array:
    """Return sums over the pairs of cycles in each band of lags, (bands, F, F + 3).

    Columns 0 … F - 1 of the last axis are the products of feature i now and j earlier, column F is
    the sum of squares of i now, column F + 1 that of i earlier, and the last the number of pairs.
    Each feature is relative to its mean over the record and divided by its standard deviation.
    """
    width = y.shape[1]
    result = np.zeros((len(BANDS), width, width + 3))
    if len(cycles) == 0:
        return result
    spread = y.std(axis=0)
    x = (y - y.mean(axis=0)) / np.where(spread > 0.0, spread, np.inf)
    # Gaps longer than all lags need no more memory than those.
    at = np.concatenate([[0], np.cumsum(np.minimum(np.diff(cycles), LONGEST + 1))])
    # Missing cycles of the record count as zeros without weight.
    dense, seen = np.zeros((width, int(at[-1]) + 1)), np.zeros(int(at[-1]) + 1)
    dense[:, at], seen[at] = x.T, 1.0
    _add_products(np.concatenate([dense, dense**2, seen[None]]), np.array(BANDS), result)
    return result


# Sums may be computed in any order, so that they are vectorised.
@cached_njit(fastmath={"reassoc", "contract"})
def _add_products(columns: Array, bands: Array, result: Array) -> None:
    """Fill the sums of ``lagged_sums``; ``columns``: features, their squares, 1 if measured."""
    width, length = result.shape[1], columns.shape[1]
    earlier = np.empty_like(columns)
    for band in range(len(bands)):
        first, last = bands[band]
        pairs = length - first
        if pairs <= 0:
            continue
        for c in range(len(columns)):
            # Sum over the lags of the band.
            total = 0.0
            for t in range(pairs):
                if last == first:
                    earlier[c, t] = columns[c, t]
                    continue
                total += columns[c, t]
                if t > last - first:
                    total -= columns[c, t - (last - first) - 1]
                earlier[c, t] = total
        weight = columns[2 * width, first:]
        for i in range(width):
            for j in range(width):
                result[band, i, j] = _dot(columns[i, first:], earlier[j, :pairs])
            result[band, i, width] = _dot(columns[width + i, first:], earlier[2 * width, :pairs])
            result[band, i, width + 1] = _dot(weight, earlier[width + i, :pairs])
            result[band, i, width + 2] = _dot(weight, earlier[2 * width, :pairs])


@part_njit(fastmath={"reassoc", "contract"})
def _dot(a: Array, b: Array) -> float:
    total = 0.0
    for t in range(len(a)):
        total += a[t] * b[t]
    return total


def pair_counts(sample: Sample) -> Array:
    """Return the number of pairs of cycles in each band, (bands,)."""
    return np.asarray(sample.total(lagged_sums)[:, 0, -1])


def sample_correlations(sample: Sample) -> Array:
    """Return the correlation of feature i now and j earlier in each band, (bands, F, F).

    Products are divided by the root of the sums of squares over the same pairs, so that no value
    exceeds 1 (Cauchy-Schwarz inequality).
    """
    return _normalised(sample.total(lagged_sums))


def correlations(data: Data) -> Array:
    """Return the correlations within all devices in each band of lags, (bands, 4, 4).

    Bands without pairs of cycles are NaN.
    """
    empty = Frame(np.ones(4), np.zeros((4, 0)), np.ones(4, bool))
    sums = np.sum([lagged_sums(*one, empty) for one in data.devices], axis=0)
    return np.asarray(np.where(sums[:, :1, -1:] > 0.0, _normalised(sums), np.nan))


def _normalised(sums: Array) -> Array:
    width = sums.shape[1]
    size = np.sqrt(sums[:, :, None, width] * sums[:, None, :, width + 1])
    return np.asarray(sums[:, :, :width] / np.where(size > 0.0, size, np.inf))
