"""Features relative to the mean and spread of each device, and how well these are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.features import FeatureTable, to_y
from synfab.learn.rejected import by_reason
from synfab.model.cell_model import FEATURES
from synfab.model.scale import Scale

# Complete cycles that a device needs: a spread has an error from three of them on.
MIN_CYCLES = 3
INFLATION_LAGS = 10
KURTOSIS = (1.8, 50.0)  # range in which the estimate of few heavy tails is trusted


@dataclass(frozen=True)
class Standardised:
    """Features of each device with enough cycles, relative to its mean and spread.

    Attributes
    ----------
    names, cycles
        Name and cycle numbers (T,) of each device.
    x
        (T, 4) of each device. The spread of devices with few cycles is a compromise between their
        own and the typical one, which has less error than either.
    parameters
        (devices, 8): mean of y, then ln of the spread, without bias.
    errors
        (devices, 8): standard errors of ``parameters``.
    spread
        (devices, 4): the spreads that ``x`` is relative to.
    left_out
        Devices with too few cycles.
    """

    names: list[str]
    cycles: list[Array]
    x: list[Array]
    parameters: Array
    errors: Array
    spread: Array
    left_out: list[str]


def standardise(features: FeatureTable, scales: tuple[Scale, ...]) -> Standardised:
    """Return the features y of each device minus their mean, divided by their spread.

    Raises
    ------
    InvalidValueError
        No device has enough complete cycles.
    """
    names, cycles, y, left_out = [], [], [], []
    for name, cycle, values in features.devices():
        found = to_y(values, scales)
        good = np.isfinite(found).all(axis=1)
        if good.sum() < MIN_CYCLES:
            left_out.append(name)
            continue
        names.append(name)
        cycles.append(cycle[good])
        y.append(found[good])
    if not names:
        lost = by_reason(features.rejected)
        raise InvalidValueError(
            f"features: no device has at least {MIN_CYCLES} complete cycles; found "
            f"{len(features)} rows on {len(features.names)} devices"
            + (f"; cycles that could not be evaluated: {lost}" if lost else "")
        )
    return _relative(names, cycles, y, left_out)


def _relative(
    names: list[str], cycles: list[Array], y: list[Array], left_out: list[str]
) -> Standardised:
    count = np.array([len(one) for one in y])[:, None]
    mean = np.array([one.mean(axis=0) for one in y])
    spread = np.array([one.std(axis=0, ddof=1) for one in y])
    flat = spread < 1e-9 * np.maximum(np.abs(mean), 1e-9)
    spread = np.where(flat, 1.0, spread)
    # Residuals about the mean of few cycles are too small by this factor.
    wider = np.sqrt(count / (count - 1.0))
    x = [np.where(flat[k], 0.0, (one - mean[k]) / spread[k] * wider[k]) for k, one in enumerate(y)]
    inflation, inflation_of_squares = _inflation(x), _inflation([one * one - 1.0 for one in x])
    kurtosis = np.clip(_kurtosis(x, count[:, 0]), *KURTOSIS)
    # Degrees of freedom of the variance, from the variance of its estimate 2 sigma^4 / nu.
    freedom = np.maximum((count - 1.0) * 2.0 / ((kurtosis - 1.0) * inflation_of_squares), 1.0)
    log_spread, log_error = _log_spread(spread, freedom)
    log_spread, log_error = np.where(flat, 0.0, log_spread), np.where(flat, 0.0, log_error)
    likely = _compromise(log_spread, log_error)
    x = [one * np.where(flat[k], 1.0, spread[k] / np.exp(likely[k])) for k, one in enumerate(x)]
    mean_error = np.where(flat, 0.0, np.exp(likely) * np.sqrt(inflation / count))
    return Standardised(
        names, cycles, x,
        np.concatenate([mean, log_spread], axis=1),
        np.concatenate([mean_error, log_error], axis=1),
        np.exp(likely),
        left_out,
    )  # fmt: skip


def _kurtosis(x: list[Array], count: Array) -> Array:
    """Return the kurtosis of residuals about the means of ``count`` cycles; normal ones have 3."""
    # Of n normal variables, the expectation of the mean fourth power is 3 (n - 1) / (n + 1).
    fourth = [(one**4).sum(axis=0) * (n + 1.0) / (n - 1.0) for one, n in zip(x, count, strict=True)]
    return np.asarray(np.sum(fourth, axis=0) / count.sum())


def _log_spread(spread: Array, freedom: Array) -> tuple[Any, Any]:
    """Return unbiased estimates of ln sigma and their errors; s^2 nu / sigma^2 is chi-squared."""
    from scipy.special import digamma, polygamma

    half = freedom / 2.0
    bias = 0.5 * (digamma(half) - np.log(half))
    return np.log(spread) - bias, 0.5 * np.sqrt(polygamma(1, half))


def _compromise(estimate: Array, error: Array) -> Array:
    """Return estimates shrunk towards their mean by the ratio of the variances (James, Stein)."""
    if len(estimate) < 2:
        return estimate
    weight = 1.0 / np.maximum(error, 1e-12) ** 2
    centre = (weight * estimate).sum(axis=0) / weight.sum(axis=0)
    own = (error**2).mean(axis=0)
    between = np.maximum(((estimate - centre) ** 2).mean(axis=0) - own, 0.05 * own)
    share = between / (between + error**2 + 1e-300)
    return np.asarray(centre + share * (estimate - centre))


def _inflation(x: list[Array]) -> Array:
    """Return the factor of the variance of a mean that correlated cycles cause, (4,)."""
    result = np.ones(len(FEATURES))
    power = sum((one * one).sum(axis=0) for one in x)
    for lag in range(1, INFLATION_LAGS + 1):
        pairs = [(one[lag:], one[:-lag]) for one in x if len(one) > lag + 2]
        top = sum(((a * b).sum(axis=0) for a, b in pairs), np.zeros(len(FEATURES)))
        part = np.maximum(np.asarray(power, np.float64), 1e-12)
        result += 2.0 * np.maximum(top / part, 0.0)
    return result
