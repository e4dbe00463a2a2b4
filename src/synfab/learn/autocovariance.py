"""Sample autocovariances of the normalised features, their bias, and the processes they define.

A sample of T cycles minus their mean underestimates the autocovariance; its expectation is linear
in the true one, so that this bias can be removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.history import MAX_ORDER
from synfab.model.history import N_FEATURES, History

ROUNDS = 25
# Of larger tables a part of the devices is used, but not fewer than this number.
MAX_ROWS, ENOUGH_DEVICES = 500_000, 64
SIGNIFICANT = 4.0  # standard errors
BLOCKS = 20  # groups of devices, or of parts of few records, for the standard errors
MAX_LAG = 100


@dataclass(frozen=True, eq=False)
class Record:
    """Normalised features of all devices, with the autocovariances that several fits need.

    Parameters
    ----------
    series
        Cycle numbers (T,), which may have gaps, and x* (T, 4) of each device.
    """

    series: list[tuple[Array, Array]]

    @cached_property
    def lengths(self) -> Array:
        """Number of cycles of each device."""
        return np.array([len(cycles) for cycles, _ in self.series])

    @cached_property
    def highest(self) -> int:
        """Largest lag at which the autocovariance is known well: a third of the record."""
        return int(min(MAX_LAG, np.median(self.lengths) // 3))

    @cached_property
    def blocks(self) -> Array:
        """Sample autocovariances of blocks, (blocks, lags, 4, 4); see ``autocovariances``."""
        return autocovariances(self.series, max(self.highest, MAX_ORDER))


def autocovariances(series: list[tuple[Array, Array]], highest: int) -> Array:
    """Return E[x_n x_{n-k}^T] about the mean of each device, of blocks, (blocks, lags, 4, 4)."""
    total = sum(len(cycles) for cycles, _ in series)
    step = min(max(1, total // MAX_ROWS), max(1, len(series) // ENOUGH_DEVICES))
    series = series[::step]
    pieces = [_products(cycles, x - x.mean(axis=0), highest) for cycles, x in series]
    if len(pieces) < BLOCKS:
        pieces = [
            _products(c, part, highest)
            for cycles, x in series
            for c, part in zip(
                np.array_split(cycles, -(-BLOCKS // len(series))),
                np.array_split(x - x.mean(axis=0), -(-BLOCKS // len(series))),
                strict=True,
            )
        ]
    blocks = []
    for group in np.array_split(np.arange(len(pieces)), BLOCKS):
        sums = sum((pieces[k][0] for k in group), np.zeros((highest + 1, 4, 4)))
        counts = sum((pieces[k][1] for k in group), np.zeros(highest + 1))
        blocks.append(sums / np.maximum(counts, 1.0)[:, None, None])
    return np.array(blocks)


def _products(cycles: Array, x: Array, highest: int) -> tuple[Array, Array]:
    sums, counts = np.zeros((highest + 1, 4, 4)), np.zeros(highest + 1)
    for lag in range(min(highest + 1, len(x))):
        pairs = cycles[lag:] - cycles[: len(cycles) - lag] == lag
        sums[lag] = x[lag:][pairs].T @ x[: len(x) - lag][pairs]
        counts[lag] = pairs.sum()
    return sums, counts


def expectation(covariance: Array, lengths: Array, lags: int | None = None) -> Array:
    """Return the expected sample autocovariance about the mean of T cycles, (lags, …).

    ``covariance`` is the true one, (any number of lags, n, n), and 0 beyond.
    """
    shape = covariance.shape[1:]
    count = len(covariance) if lags is None else lags
    whole = np.zeros((int(_rounded(lengths).max()), *shape))
    whole[: len(covariance)] = covariance[: len(whole)]
    result, total = np.zeros((count, *shape)), 0.0
    for length, devices in zip(*np.unique(_rounded(lengths), return_counts=True), strict=True):
        result += devices * _expected(whole[:length], count, int(length))
        total += devices
    return result / total


def _rounded(lengths: Array) -> Array:
    """Return lengths rounded to two digits, so that there are few different ones."""
    digits = 10.0 ** np.maximum(np.floor(np.log10(lengths)) - 1.0, 0.0)
    return np.asarray((np.round(lengths / digits) * digits).astype(np.int64))


def _expected(c: Array, lags: int, length: int) -> Array:
    """Return E of (x_{t+k} - m)(x_t - m)^T, averaged over t, for true covariances c_0 … c_{T-1}."""
    # Cov(x_t, m) = sum_s c_{t-s} / T: partial sums of c and of its transpose.
    ahead = np.concatenate([np.zeros_like(c[:1]), np.cumsum(c, axis=0)])
    behind = ahead.transpose(0, 2, 1)
    t = np.arange(length)
    # s <= t gives c_0 … c_t; s > t gives transposed c_1 … c_{T-1-t}.
    with_mean = (ahead[t + 1] + behind[length - t] - c[0].T) / length
    of_mean = with_mean.mean(axis=0)
    sums = np.concatenate([np.zeros_like(c[:1]), np.cumsum(with_mean, axis=0)])
    result = np.zeros((lags, *c.shape[1:]))
    for k in range(min(lags, length)):
        pairs = length - k
        later = (sums[length] - sums[k]) / pairs  # E[x_{t+k} m^T]
        earlier = (sums[pairs] / pairs).T  # E[m x_t^T]
        result[k] = c[k] - later - earlier + of_mean
    return result


def mean_variance(short: History, lengths: Array) -> Array:
    """Return the covariance of the mean of T cycles of a short process."""
    c = short.autocovariance(200)
    return np.asarray((c[0] + c[1:].sum(axis=0) + c[1:].sum(axis=0).T) * np.mean(1.0 / lengths))


def mean_errors(history: History, lengths: Array) -> Array:
    """Return the standard errors of the mean of x* over T cycles, for each of the lengths, (D, 4).

    Unlike ``mean_variance`` it is exact for any memory: levels that change slowly move the mean of
    a short record.
    """
    lengths = _rounded(lengths)
    c = np.diagonal(history.autocovariance(int(lengths.max())), axis1=1, axis2=2)
    result = np.empty((len(lengths), N_FEATURES))
    for length in np.unique(lengths):
        weight = 2.0 * (1.0 - np.arange(length) / length)
        weight[0] = 1.0
        result[lengths == length] = np.sqrt(np.maximum(weight @ c[:length], 0.0) / length)
    return result


def yule_walker(c: Array, order: int) -> History:
    """Return the stable VAR(p) with autocovariances c_0 … c_p, which are made valid if needed."""
    size = N_FEATURES * order
    for shrink in (1.0, 0.98, 0.95, 0.9, 0.8, 0.6, 0.3, 0.0):
        lagged = c * np.where(np.arange(order + 1) > 0, shrink, 1.0)[:, None, None]
        lagged[0] = positive(c[0], 1e-6)
        block = np.zeros((size, size))
        for i in range(order):
            for j in range(order):
                one = lagged[j - i] if j >= i else lagged[i - j].T
                block[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = one
        if np.linalg.eigvalsh(block).min() <= 1e-9:
            continue
        ahead = np.concatenate(list(lagged[1:]), axis=1)
        matrices = np.linalg.solve(block, ahead.T).T
        noise = lagged[0] - matrices @ ahead.T
        if np.linalg.eigvalsh(noise).min() > 1e-9:
            lags = matrices.reshape(4, order, 4).transpose(1, 0, 2)
            return History(np.linalg.cholesky((noise + noise.T) / 2.0), lags)
    raise AssertionError("uncorrelated cycles are always valid")


def positive(matrix: Array, least: float = 0.0) -> Array:
    """Return the nearest symmetric matrix whose eigenvalues are at least ``least``."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    return np.asarray((vectors * np.maximum(values, least)) @ vectors.T)


def without_bias(histories: dict[int, History], record: Record) -> dict[int, History]:
    """Return fitted histories without the bias from subtracting the mean of each device."""
    found = record.blocks.mean(axis=0)
    return {p: _corrected(h, found[: p + 1], record.lengths) for p, h in histories.items()}


def _corrected(history: History, found: Array, lengths: Array) -> History:
    """Return a history without the bias of the sample autocovariances it was fitted to.

    The correction is the difference that the bias of the autocovariances makes to the equations of
    Yule and Walker.
    """
    order = history.order
    plain = corrected = yule_walker(found, order)
    for _ in range(3):
        corrected = yule_walker(found + mean_variance(corrected, lengths), order)
    noise = [h.innovation @ h.innovation.T for h in (history, corrected, plain)]
    try:
        return History(
            np.linalg.cholesky(noise[0] + noise[1] - noise[2]),
            history.lags + corrected.lags - plain.lags,
        )
    except (InvalidValueError, np.linalg.LinAlgError):  # as persistent as the record is long
        return history


def few_cycles_history(series: list[tuple[Array, Array]]) -> tuple[History, int]:
    """Return the history of records with few cycles, and its order: 0 if no memory is seen.

    Without memory it is a VAR(1) process whose matrix is zero.
    """
    lengths = np.array([len(cycles) for cycles, _ in series])
    blocks = autocovariances(series, 1)
    found = blocks.mean(axis=0)
    error = blocks[:, 1].std(axis=0, ddof=1) / np.sqrt(len(blocks))
    white = np.zeros((2, N_FEATURES, N_FEATURES))
    for _ in range(ROUNDS):  # independent cycles with the sample variance
        white[0] += positive(found[0] - expectation(white, lengths)[0], -np.inf)
    memory = np.abs(found[1] - expectation(white, lengths)[1]) > SIGNIFICANT * error
    zero = np.zeros((1, N_FEATURES, N_FEATURES))
    if not np.diagonal(memory).any():
        return History(np.linalg.cholesky(positive(white[0], 1e-6)), zero), 0
    history = yule_walker(found, 1)
    for _ in range(ROUNDS):
        off = found - expectation(history.autocovariance(int(lengths.max())), lengths, 2)
        history = yule_walker(history.autocovariance(1) + off, 1)
    return history, 1
