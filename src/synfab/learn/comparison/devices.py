"""Statistics of single devices: level, spread, first cycles, trend, closed window, death."""

from __future__ import annotations

import numpy as np

from synfab.common.types import Array
from synfab.learn.comparison.sample import Frame, Sample
from synfab.learn.rare_states import is_closed, state_counts

# A device is dead if the window of so many cycles at the end of its record is closed.
DEAD_CYCLES = 5
# First cycles: so many, at most this part of the record.
FIRST, FIRST_PART = 20, 0.2
# Standard deviations of a device below this part of the pooled one count as equal.
SMALLEST = 1e-3
MIN_OUTLIER_DEVICES = 10
TRIMMED = 0.2  # of the devices, at each end


def mean(_: Array, y: Array, frame: Frame) -> Array:
    """Return the mean of each feature, in pooled standard deviations, (F,)."""
    return np.asarray(y.mean(axis=0) / frame.scale)


def log_spread(_: Array, y: Array, frame: Frame) -> Array:
    """Return the logarithm of the standard deviation in pooled standard deviations, (F,)."""
    return np.asarray(np.log(np.maximum(y.std(axis=0) / frame.scale, SMALLEST)))


def parameters(cycles: Array, y: Array, frame: Frame) -> Array:
    """Return the level, resistances as log10, and ln(spread) of each feature, (2 F,).

    The level is the median, so that single cycles do not move it.
    """
    level = np.median(y, axis=0)
    level[2] = np.log10(max(level[2], 1.0))
    return np.concatenate([level, log_spread(cycles, y, frame)])


def first_cycles(_: Array, y: Array, __: Frame) -> Array:
    """Return the mean of the first cycles minus that of the others, in sigma of the device."""
    first = int(np.clip(FIRST_PART * len(y), 1, FIRST))
    return _relative(y[:first].mean(axis=0) - y[first:].mean(axis=0), y)


def trend(cycles: Array, y: Array, _: Frame) -> Array:
    """Return the slope over the cycles times the length of the record, in sigma of the device."""
    t = cycles - cycles.mean()
    return _relative((t @ (y - y.mean(axis=0))) / max(t @ t, 1e-9) * np.ptp(cycles), y)


def _relative(change: Array, y: Array) -> Array:
    spread = y.std(axis=0)
    return np.asarray(change / np.where(spread > 0.0, spread, np.inf))


def closed_cycles(_: Array, y: Array, __: Frame) -> float:
    """Return the number of cycles whose window is closed."""
    return float(is_closed(y).sum())


def rare_counts(_: Array, y: Array, __: Frame) -> Array:
    """Return the number of cycles and runs in the rare states; see ``state_counts``."""
    return state_counts(y)


def impossible_cycles(_: Array, y: Array, __: Frame) -> float:
    """Return the number of cycles with a resistance or a voltage of the wrong sign."""
    wrong = (y[:, 1] >= 0.0) | (y[:, 2] <= 0.0) | (y[:, 3] <= 0.0)
    return float(wrong.sum())


def dead(_: Array, y: Array, __: Frame) -> float:
    """Return 1 for a device that died within its record, otherwise 0.

    Its last cycles all have a closed window, and an earlier cycle has an open one.
    """
    closed = is_closed(y)
    return float(len(y) > DEAD_CYCLES and closed[-DEAD_CYCLES:].all() and not closed.all())


def trimmed_mean(values: Array) -> Array:
    """Return the mean over the first axis without the lowest and highest fifth of the values."""
    ordered = np.sort(values, axis=0)
    cut = int(TRIMMED * len(ordered))
    return np.asarray(ordered[cut : len(ordered) - cut].mean(axis=0))


def robust_spread(values: Array) -> Array:
    """Return half the distance between the 16 % and 84 % quantiles over the first axis."""
    low, high = np.quantile(values, [0.16, 0.84], axis=0)
    return np.asarray((high - low) / 2.0)


def rank_correlation(sample: Sample) -> Array:
    """Return the correlations of the parameters of the devices by ranks, (2 F, 2 F).

    Spearman's rank correlation, converted to that of normal distributions: one extreme device
    changes only its ranks. Parameters of features that are not scored have correlations of 0.
    """
    from scipy.stats import rankdata

    ranks = rankdata(sample.each(parameters), axis=0)
    centred = np.where(np.tile(sample.frame.scored, 2), ranks - ranks.mean(axis=0), 0.0)
    size = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(size > 0.0, size, np.inf)
    return np.asarray(2.0 * np.sin(np.pi / 6.0 * (unit.T @ unit)))


def outlier_share(sample: Sample) -> float:
    """Return the share of devices outside the 99.9 % ellipsoid of the bulk, by robust estimates."""
    from scipy.stats import chi2

    values = sample.each(parameters)
    if len(values) < MIN_OUTLIER_DEVICES:
        return float("nan")
    spread, middle = robust_spread(values), np.median(values, axis=0)
    varies = spread > 1e-9 * np.maximum(np.abs(middle), 1e-12)
    varies &= np.tile(sample.frame.scored, 2)
    if not varies.any():
        return 0.0
    z = (values[:, varies] - middle[varies]) / spread[varies]
    inside = (np.abs(z) < 3.0).all(axis=1)
    if inside.sum() < MIN_OUTLIER_DEVICES or not (np.ptp(z[inside], axis=0) > 0.0).all():
        return float("nan")
    correlation = np.atleast_2d(np.corrcoef(z[inside], rowvar=False))
    correlation = correlation + 1e-6 * np.eye(len(correlation))
    distance = np.einsum("ni,ni->n", z @ np.linalg.inv(correlation), z)
    return float((distance > chi2.ppf(0.999, len(correlation))).mean())
