"""Whether a history explains the memory of a record: its innovations must be uncorrelated.

The innovations eps_n = B^-1 (x*_n - sum_i A_i x*_{n-i} - sum_j D_j a^j_{n-1}) of the true history
are independent from cycle to cycle. Two tests on their autocorrelations r_k at lags 1 … 20: none
exceeds 4 standard errors, and the mean of the squares in standard errors does not exceed the 99 %
quantile of chi-squared (test of Box and Pierce), which finds memory that is weak at every lag. The
standard error is 1 / sqrt(pairs of cycles), but 0.005 at least: large records show correlations
that have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.model.history import N_FEATURES, History

LAGS = 20
MAX_ERRORS = 4.0  # standard errors that a single autocorrelation may have
NEGLIGIBLE = 0.005  # autocorrelation that has no effect
LEVEL = 0.99  # of the test on all lags
MAX_ROWS = 500_000  # of larger tables a part of the devices is used


class Whiteness(NamedTuple):
    """Autocorrelation of the innovations of a history.

    Attributes
    ----------
    largest, bound
        Autocorrelation of the largest number of standard errors, and what white noise does not
        exceed.
    mean_square, mean_square_bound
        Mean square of all autocorrelations in standard errors, and what white noise does not
        exceed.
    """

    largest: float
    bound: float
    mean_square: float
    mean_square_bound: float

    @property
    def excess(self) -> float:
        """Larger of the two statistics, divided by its bound."""
        return max(self.largest / self.bound, self.mean_square / self.mean_square_bound)

    @property
    def white(self) -> bool:
        """Whether both tests are passed."""
        return self.excess <= 1.0


def whiteness(series: list[tuple[Array, Array]], history: History) -> Whiteness:
    """Return the autocorrelation of the innovations of a history, over all devices.

    Parameters
    ----------
    series
        Cycle numbers (T,), which may have gaps, and x* (T, 4) of each device.
    history
        History, fitted to the same series.
    """
    rows = sum(len(cycles) for cycles, _ in series)
    found, lengths, records = [], [], []
    for cycles, x in series[:: max(1, rows // MAX_ROWS)]:
        for run in _runs(cycles, x):
            eps = innovations(history, run)
            # Zeros between the runs, so that products of different ones vanish.
            found.append(np.concatenate([eps, np.zeros((LAGS, N_FEATURES))]))
            lengths.append(len(eps))
            records.append(len(x))
    joined = np.concatenate(found)
    lags = np.arange(LAGS + 1)
    in_runs = np.maximum(np.array(lengths)[:, None] - lags, 0)
    pairs = in_runs.sum(axis=0)
    squares = (joined**2).sum(axis=0)
    sums = np.stack([(joined[k:] * joined[: len(joined) - k]).sum(axis=0) for k in lags])
    # The mean of T cycles was subtracted, which correlates them by -1 / T.
    lost = (in_runs / np.array(records)[:, None]).sum(axis=0)
    seen = np.flatnonzero(pairs[1:] > 0) + 1
    if not len(seen) or not (squares > 0.0).all():
        return Whiteness(0.0, np.inf, 0.0, np.inf)
    correlation = (sums[seen] / (squares / pairs[0]) + lost[seen, None]) / pairs[seen, None]
    error = np.sqrt(1.0 / pairs[seen] + NEGLIGIBLE**2)
    errors = correlation / error[:, None]
    worst, _ = np.unravel_index(np.abs(errors).argmax(), errors.shape)
    return Whiteness(
        float(np.abs(correlation[worst]).max()),
        float(MAX_ERRORS * error[worst]),
        float((errors**2).mean()),
        _mean_square_bound(errors.size),
    )


def innovations(history: History, x: Array) -> Array:
    """Return eps_n (T - p, 4) of consecutive cycles x* (T, 4), from cycle p on.

    The averages before the record are those expected from its first p cycles.
    """
    order, size = history.order, N_FEATURES * history.order
    if len(x) <= order:
        return np.empty((0, N_FEATURES))
    rest = x[order:] - sum(
        x[order - i : len(x) - i] @ lag.T for i, lag in enumerate(history.lags, start=1)
    )
    if len(history.rates):
        known = history.stationary_covariance
        first = x[order - 1 :: -1][:order].reshape(-1)
        before = known[size:, :size] @ np.linalg.solve(known[:size, :size], first)
        starts = before.reshape(-1, N_FEATURES)
        for rate, coupling, start in zip(history.rates, history.couplings, starts, strict=True):
            rest = rest - _average(x[order:], float(rate), start) @ coupling.T
    return np.asarray(np.linalg.solve(history.innovation, rest.T).T)


def _average(x: Array, rate: float, start: Array) -> Array:
    """Return a_{n-1} of cycles x* (T, 4), the average before each of them, (T, 4)."""
    from scipy.signal import lfilter

    decay = 1.0 - rate
    after, _ = lfilter([rate], [1.0, -decay], x, axis=0, zi=decay * start[None])
    return np.concatenate([start[None], after[:-1]])


def _runs(cycles: Array, x: Array) -> list[Array]:
    """Return x* of each run of consecutive cycles."""
    return np.split(x, np.flatnonzero(np.diff(cycles) != 1) + 1)


def _mean_square_bound(count: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(LEVEL, count) / count)


def first_white(
    criterion: Mapping[int, float], check: Callable[[int], Whiteness]
) -> tuple[int, dict[int, Whiteness]]:
    """Return the order of the lowest criterion whose innovations are white, and what was checked.

    If there is none, it is the order whose innovations are closest to white.
    """
    checked: dict[int, Whiteness] = {}
    for order in sorted(criterion, key=lambda p: criterion[p]):
        checked[order] = check(order)
        if checked[order].white:
            return order, checked
    return min(checked, key=lambda p: checked[p].excess), checked
