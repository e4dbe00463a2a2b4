"""Statistics of changes of conductance: moments and correlations, with bootstrap replicates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synfab.common.types import Array, FloatArray
from synfab.learn.traps.data import Changes
from synfab.learn.traps.resampling import sample_counts

MAX_GROUPS = 8
CELLS_PER_GROUP = 150
MIN_CELLS = 20  # for a standard deviation
MIN_KURTOSIS = 150  # cells for a kurtosis
CLASSES = 8  # of conductance within a group
KINDS = ("mean", "log_sd", "log_kurtosis", "correlation")


class Statistics(NamedTuple):
    """Statistics of the changes at T times: (…, T) each, correlations (…, T - 1).

    ``log_kurtosis`` is ln(excess kurtosis + 3); ``correlation`` is that of the increments before
    and after a time. NaN: too few cells.
    """

    mean: FloatArray
    log_sd: FloatArray
    log_kurtosis: FloatArray
    correlation: FloatArray


class Group(NamedTuple):
    """Cells with similar conductances: their statistics, replicates, errors and classes."""

    g: FloatArray  # mean conductances (S) of classes of the cells, (C,)
    weight: FloatArray  # share of the classes in the cells that were read at each time, (C, T)
    measured: Statistics
    replicates: Statistics  # leading axis: bootstrap samples of the cells
    error: Statistics


def statistics(change: Array, weight: Array | None = None) -> Statistics:
    """Return the statistics of changes (N, T).

    ``weight``: (B, N), how often each cell counts in each of B samples.
    """
    w = np.ones((1, len(change))) if weight is None else weight
    read = np.isfinite(change)
    x = np.where(read, change, 0.0)
    count = read.sum(axis=0)
    unit = np.sqrt((x**2).sum(axis=0) / np.maximum(count, 1))
    unit[unit == 0.0] = 1.0
    x = x / unit
    with np.errstate(divide="ignore", invalid="ignore"):
        n = w @ read.astype(np.float64)
        m1, m2, m3, m4 = (w @ x**power / n for power in (1, 2, 3, 4))
        variance = m2 - m1**2
        fourth = m4 - 4 * m3 * m1 + 6 * m2 * m1**2 - 3 * m1**4
        result = Statistics(
            m1 * unit,
            np.where(count >= MIN_CELLS, 0.5 * np.log(variance) + np.log(unit), np.nan),
            np.where(count >= MIN_KURTOSIS, np.log(fourth / variance**2), np.nan),
            _correlations(change, w),
        )
    return result if weight is not None else Statistics(*(part[0] for part in result))


def _correlations(change: Array, w: Array) -> Array:
    """Return the correlation of the increments before and after each time but the last."""
    moved = np.diff(change, axis=1, prepend=0.0)
    found = np.full((len(w), max(change.shape[1] - 1, 0)), np.nan)
    for k in range(found.shape[1]):
        pair = moved[:, k : k + 2]
        good = np.isfinite(pair).all(axis=1)
        if good.sum() < MIN_CELLS:
            continue
        a, b = (pair[good] / np.std(pair[good], axis=0)).T
        share = w[:, good] / w[:, good].sum(axis=1, keepdims=True)
        mean_a, mean_b = share @ a, share @ b
        covariance = share @ (a * b) - mean_a * mean_b
        variances = (share @ a**2 - mean_a**2) * (share @ b**2 - mean_b**2)
        found[:, k] = covariance / np.sqrt(variances)
    return found


def bootstrapped(
    change: Array, count: int, seed: int, number: int = 0
) -> tuple[Statistics, Statistics, Statistics]:
    """Return the statistics of changes (N, T), bootstrap replicates over cells, and errors."""
    weight = sample_counts(seed, number, len(change), count)
    measured, replicates = statistics(change), statistics(change, weight)
    with np.errstate(invalid="ignore"):  # a sample without a change has a deviation of exp(-inf)
        error = Statistics(*(np.std(part, axis=0, ddof=1) for part in replicates))
    return measured, replicates, error


def groups_of(changes: Changes, count: int, seed: int, first: int) -> list[Group]:
    """Return groups of cells by their conductance, with ``count`` bootstrap replicates each.

    ``first``: number of the first group in all data, which decides about the samples.
    """
    number = int(np.clip(len(changes.g) // CELLS_PER_GROUP, 1, MAX_GROUPS))
    found: list[Group] = []
    for rows in np.array_split(np.argsort(changes.g, kind="stable"), number):
        part = changes.part(rows)  # in order of g
        classes = np.array_split(np.arange(len(rows)), min(CLASSES, len(rows)))
        read = np.isfinite(part.change)
        weight = np.array([read[one].sum(axis=0) for one in classes], np.float64)
        total = np.maximum(weight.sum(axis=0), 1.0)
        found.append(
            Group(
                np.array([part.g[one].mean() for one in classes]), weight / total,
                *bootstrapped(part.change, count, seed, first + len(found)),
            )
        )  # fmt: skip
    return found
