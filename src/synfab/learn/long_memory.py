"""Memory beyond the order of the history: exponential averages of all earlier cycles.

The autocovariance of the normalised features is described as that of a short process, VAR(p), plus
that of slow levels, sum_j rho_j^k W_j. Samples underestimate both (``autocovariance``). Then the
best linear prediction of x*_n from p earlier cycles and the averages gives a ``History`` that has
these covariances (the equations of Yule and Walker, with averages among the regressors).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.learn.autocovariance import (
    Record,
    expectation,
    mean_variance,
    positive,
    yule_walker,
)
from synfab.model.history import N_FEATURES, History

# Time constants of the slow levels that are tried, in cycles; a record must be this many times
# longer than the time constant.
TIMES = (20.0, 50.0, 100.0, 200.0, 400.0, 1000.0)
RECORDS = 3.0
# Least correlation beyond the order that counts, and in standard errors.
LEAST, SIGNIFICANT = 0.01, 4.0
ROUNDS = 3
# Rates of an average, in units of the rate of its level, that are tried.
RATES = (1.0, 2.0, 4.0, 8.0, 16.0)


class LongMemory(NamedTuple):
    """Slow levels of the normalised features.

    Attributes
    ----------
    times
        Time constants in cycles, (m,).
    covariances
        W_j at lag 0, (m, 4, 4).
    """

    times: Array
    covariances: Array


class Sample(NamedTuple):
    """Sample autocovariances, and what biases them.

    Attributes
    ----------
    found
        E[x_n x_{n-k}^T] about the mean of each device, (lags, 4, 4).
    lengths
        Number of cycles of each device.
    seen
        Expected sample autocovariance of a level of variance 1, (lags,), by its time constant.
    """

    found: Array
    lengths: Array
    seen: dict[float, Array]


def find_long_memory(record: Record, history: History) -> LongMemory | None:
    """Return the slow levels beyond a fitted history, or None if the record shows none.

    Parameters
    ----------
    record
        Normalised features of all devices.
    history
        History of the chosen order, fitted to the same record by least squares.
    """
    lengths, highest, order = record.lengths, record.highest, history.order
    typical = float(np.median(lengths))
    times = [t for t in TIMES if t * RECORDS <= typical and t > order / 2]
    if highest < 2 * order or highest < 10 or not times:
        return None
    blocks = record.blocks[:, : highest + 1]
    found = blocks.mean(axis=0)
    # A fit by least squares has the autocovariances of the sample, bias included.
    expected = history.autocovariance(highest)
    far = slice(order + 1, highest + 1)
    # Just beyond the order a slow level is best seen: the mean over the record hides it later.
    near = slice(order + 1, order + 1 + max(10, highest // 4))
    excess = np.diagonal((found - expected)[near].mean(axis=0))
    scatter = blocks[:, near].mean(axis=1).std(axis=0, ddof=1) / np.sqrt(len(blocks))
    if not ((excess > LEAST) & (excess > SIGNIFICANT * np.diagonal(scatter))).any():
        return None
    sample = _sample(found, lengths, times)
    options = [(t,) for t in times] + [(a, b) for a in times for b in times if b >= 4.0 * a]
    error = blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks))
    weight = 1.0 / np.maximum(error[far], 1e-4)
    best, least = None, np.inf
    for option in options:
        levels = _fit_levels(sample, option, order)
        gap = _expected_sample(sample, levels, order) - found
        miss = float(np.mean((gap[far] * weight) ** 2)) * (1.0 + 0.02 * len(option))
        if miss < least:
            best, least = levels, miss
    return best


def with_averages(history: History, record: Record, levels: LongMemory) -> History:
    """Return a history of the same order that also has the memory of the slow levels."""
    found = record.blocks[:, : record.highest + 1].mean(axis=0)
    sample = _sample(found, record.lengths, [float(t) for t in levels.times])
    return _closest(_short_history(sample, levels, history.order), levels, record.highest)


def _sample(found: Array, lengths: Array, times: list[float]) -> Sample:
    longest = int(lengths.max())
    seen = {
        t: expectation(np.exp(-np.arange(longest) / t)[:, None, None], lengths, len(found))[:, 0, 0]
        for t in times
    }
    return Sample(found, lengths, seen)


# ---- levels -------------------------------------------------------------------------------------


def _decay(times: tuple[float, ...] | Array, lags: int) -> Array:
    """Return rho_j^k, (m, lags)."""
    return np.asarray(np.exp(-np.arange(lags) / np.asarray(times)[:, None]))


def _fit_levels(sample: Sample, times: tuple[float, ...], order: int) -> LongMemory:
    """Return levels of given time constants, fitted to the lags beyond the order."""
    far = slice(order + 1, len(sample.found))
    seen = np.stack([sample.seen[t][far] for t in times])
    bias = np.zeros((N_FEATURES, N_FEATURES))
    levels = LongMemory(np.array(times), np.zeros((len(times), 4, 4)))
    for _ in range(ROUNDS):
        left = sample.found[far] + bias
        solved = np.linalg.lstsq(seen.T, left.reshape(len(left), -1), rcond=None)[0]
        levels = levels._replace(covariances=np.array([positive(w.reshape(4, 4)) for w in solved]))
        bias = mean_variance(_short_history(sample, levels, order), sample.lengths)
    return levels


def _short_history(sample: Sample, levels: LongMemory, order: int) -> History:
    """Return VAR(p) of what remains without the levels (Yule and Walker)."""
    c = (sample.found - _seen_levels(sample, levels))[: order + 1]
    short = yule_walker(c, order)
    for _ in range(2):
        short = yule_walker(c + mean_variance(short, sample.lengths), order)
    return short


def _seen_levels(sample: Sample, levels: LongMemory) -> Array:
    """Return the expected sample autocovariance of the levels."""
    seen = np.stack([sample.seen[float(t)] for t in levels.times])
    return np.asarray(np.einsum("jk,jab->kab", seen, levels.covariances))


def _expected_sample(sample: Sample, levels: LongMemory, order: int) -> Array:
    """Return the expected sample autocovariance of levels and their short process."""
    lags = len(sample.found)
    short = _short_history(sample, levels, order).autocovariance(5 * lags)
    return _seen_levels(sample, levels) + expectation(short, sample.lengths, lags)


# ---- averages -----------------------------------------------------------------------------------


def _closest(short: History, levels: LongMemory, highest: int) -> History:
    """Return the history whose autocorrelation at lags 1 … ``highest`` is closest to the target."""
    slow = 1.0 - np.exp(-1.0 / levels.times)
    target = _target(short, levels, highest + 1)
    spread = np.sqrt(np.diagonal(target[0]))
    best, least = None, np.inf
    for factor in RATES:
        made = _projected(short, levels, np.minimum(factor * slow, 0.9))
        gap = (made.autocovariance(highest) - target) / np.outer(spread, spread)
        miss = float(np.abs(np.diagonal(gap, axis1=1, axis2=2)).max())
        if miss < least:
            best, least = made, miss
    assert best is not None
    return best


def _target(short: History, levels: LongMemory, lags: int) -> Array:
    slow = np.einsum("jk,jab->kab", _decay(levels.times, lags), levels.covariances)
    return np.asarray(short.autocovariance(lags - 1) + slow)


def _projected(short: History, levels: LongMemory, rates: Array) -> History:
    """Return the best linear prediction from p cycles and averages of the given rates."""
    order, m = short.order, len(rates)
    reach = int(min(20.0 / rates.min(), 20_000))
    c = _target(short, levels, reach + order + 2)

    def cov(k: int) -> Array:
        return c[k] if k >= 0 else np.asarray(c[-k].T)

    i = np.arange(reach)
    weights = rates[:, None] * (1.0 - rates[:, None]) ** i  # of x_{n-i} in an average
    # E[a_n x_{n-k}^T] = sum_i w_i c_{k-i}, for k = -1 … p-1; and E[a_n a'_n^T].
    with_past = {}
    for j in range(m):
        for k in range(-1, order):
            ahead = [cov(k - s) for s in range(min(k + 1, reach))] if k >= 0 else []
            head = sum((weights[j, s] * a for s, a in enumerate(ahead)), np.zeros((4, 4)))
            rest = np.arange(len(ahead), reach)
            tail = np.einsum("s,sba->ab", weights[j, rest], c[rest - k])
            with_past[j, k] = head + tail
    between = np.zeros((m, m, 4, 4))
    for a in range(m):
        for b in range(m):
            # sum_{s,t} w_s v_t c_{t-s}: geometric sums over the smaller index.
            decay = (1.0 - rates[a]) * (1.0 - rates[b])
            scale = rates[a] * rates[b] / (1.0 - decay)
            up, down = (1.0 - rates[b]) ** i, (1.0 - rates[a]) ** i
            between[a, b] = scale * (
                c[0]
                + np.einsum("s,sab->ab", up[1:], c[1:reach])
                + np.einsum("s,sba->ab", down[1:], c[1:reach])
            )
    size = N_FEATURES * (order + m)
    p, ahead_of = np.zeros((size, size)), np.zeros((N_FEATURES, size))

    def place(k: int) -> slice:
        return slice(4 * k, 4 * k + 4)

    for a in range(order):
        ahead_of[:, place(a)] = cov(a + 1)
        for b in range(order):
            p[place(a), place(b)] = cov(b - a)
    for j in range(m):
        ahead_of[:, place(order + j)] = with_past[j, -1].T
        for k in range(order):
            p[place(order + j), place(k)] = with_past[j, k]
            p[place(k), place(order + j)] = with_past[j, k].T
        for b in range(m):
            p[place(order + j), place(order + b)] = between[j, b]
    matrices = np.linalg.solve(p + 1e-10 * np.eye(size), ahead_of.T).T
    noise = c[0] - matrices @ ahead_of.T
    blocks = matrices.reshape(4, order + m, 4).transpose(1, 0, 2)
    factor = np.linalg.cholesky((noise + noise.T) / 2.0)
    return History(factor, blocks[:order], rates, blocks[order:])
