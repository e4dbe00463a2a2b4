"""Fit of the cycle-to-cycle history: a vector autoregression pooled over devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array
from synfab.model.history import N_FEATURES, History

MAX_ORDER = 10
MAX_RADIUS = 0.9995  # spectral radius to which unstable fits are shrunk
WHITENESS_LAGS = 20
WHITENESS_ROWS = 500_000  # of larger tables a part of the devices is used


class HistoryFit(NamedTuple):
    """Histories of all orders up to the chosen one, and diagnostics of the fit."""

    histories: dict[int, History]
    order: int
    bic: dict[int, float]
    rows: int
    whiteness: float  # largest residual autocorrelation at lags 1 … 20
    whiteness_bound: float  # 4 standard errors of white noise
    shrunk: tuple[int, ...]  # orders whose fit was unstable and was shrunk


def fit_history(
    series: Iterable[tuple[Array, Array]], order: int | str = "bic", highest: int = MAX_ORDER
) -> HistoryFit:
    """Return a least-squares fit of x*_n = sum_i A_i x*_{n-i} + B eps_n over all devices.

    Parameters
    ----------
    series
        Cycle numbers (T,), which may have gaps, and x* (T, 4) of each device.
    order
        A number, or ``"bic"`` for the order with the lowest Bayesian information criterion.
    highest
        Largest order tried for ``"bic"``.

    Raises
    ------
    InvalidValueError
        The order is not valid, or there are too few consecutive cycles for it.
    """
    order = check_order(order)
    highest = checks.integer("highest", highest, 1, MAX_ORDER)
    data = _records(series)
    top = highest if isinstance(order, str) else order
    longest = top
    while longest > 1 and _count_rows(data, longest) < 8 * N_FEATURES * longest:
        longest -= 1
    if order != "bic" and longest < top:
        rows = _count_rows(data, top)
        raise InvalidValueError(
            f"order: {top} needs {8 * N_FEATURES * top} runs of {top + 1} consecutive cycles, "
            f"found {rows}; the highest possible order is {longest}"
        )
    gram, rows = _gram(data, longest)
    if rows < 2 * N_FEATURES:
        raise InvalidValueError(
            f"cycles: found {rows} pairs of consecutive cycles; expected {2 * N_FEATURES} or more"
        )
    fits = {p: _solve(gram, rows, p) for p in range(1, longest + 1)}
    bic = {p: criterion for p, (_, criterion, _) in fits.items()}
    chosen = min(bic, key=lambda p: bic[p]) if order == "bic" else top
    histories = {p: fits[p][0] for p in range(1, chosen + 1)}
    step = max(1, rows // WHITENESS_ROWS)
    worst, bound = _whiteness(data[::step], histories[chosen])
    shrunk = tuple(p for p in histories if fits[p][2])
    return HistoryFit(histories, chosen, bic, rows, worst, bound, shrunk)


def check_order(order: int | str) -> int | str:
    """Return a valid order, or "bic"."""
    found = checks.integer_or("order", order, "bic", 1, MAX_ORDER)
    return "bic" if found is None else found


def _records(series: Iterable[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Return cycle numbers (T,) and x* (T, 4) of each device after checking them."""
    expected = "series: expected (cycles, x) of each device"
    if not isinstance(series, Iterable):
        raise InvalidTypeError(f"{expected}, found {checks.kind_of(series)}")
    result = []
    try:
        devices: list[Any] = list(series)
    except Exception as error:
        pass_on(error)
        raise InvalidTypeError(f"{expected}, found {checks.kind_of(series)}") from None
    for device in devices:
        if not isinstance(device, (tuple, list)) or len(device) != 2:
            raise InvalidTypeError(f"{expected}, found {checks.kind_of(device)}")
        cycles = checks.real_array("series: cycles", device[0])
        x = checks.numbers("series: x", device[1], (None, N_FEATURES))
        if cycles.shape != x.shape[:1]:
            raise InvalidValueError(
                f"series: cycles: expected shape {x.shape[:1]}, found {cycles.shape}"
            )
        result.append((cycles, x))
    return result


def _count_rows(data: list[tuple[Array, Array]], order: int) -> int:
    return sum(len(_starts(cycles, order)) for cycles, _ in data)


def _starts(cycles: Array, order: int) -> Array:
    """Return the rows whose ``order`` predecessors are consecutive cycles."""
    if len(cycles) <= order:
        return np.empty(0, np.int64)
    return np.flatnonzero(cycles[order:] - cycles[:-order] == order) + order


def _gram(data: list[tuple[Array, Array]], order: int) -> tuple[Array, int]:
    """Return the sum of outer products of [x*_n, …, x*_{n-p}] over consecutive cycles."""
    size = N_FEATURES * (order + 1)
    total, rows = np.zeros((size, size)), 0
    for cycles, x in data:
        at = _starts(cycles, order)
        if len(at):
            stacked = np.concatenate([x[at - lag] for lag in range(order + 1)], axis=1)
            total += stacked.T @ stacked
            rows += len(at)
    return total, rows


def _solve(gram: Array, rows: int, order: int) -> tuple[History, float, bool]:
    n = N_FEATURES
    past = slice(n, n * (order + 1))
    xx, xy, yy = gram[past, past], gram[past, :n], gram[:n, :n]
    ridge = 1e-9 * np.trace(xx) / len(xx) * np.eye(len(xx))
    coefficients = np.linalg.solve(xx + ridge, xy)
    noise = (yy - xy.T @ coefficients) / rows
    noise = (noise + noise.T) / 2.0
    noise += 1e-9 * np.eye(n) * max(float(np.trace(noise)), 1e-12)
    lags = coefficients.reshape(order, n, n).transpose(0, 2, 1)
    _, logdet = np.linalg.slogdet(noise)
    criterion = float(rows * logdet + order * n * n * np.log(rows))
    shrink, shrunk = 1.0, False
    while True:
        scaled = lags * (shrink ** np.arange(1, order + 1))[:, None, None]
        companion = np.eye(n * order, k=-n)
        companion[:n] = np.concatenate(list(scaled), axis=1)
        radius = float(np.abs(np.linalg.eigvals(companion)).max())
        if radius <= MAX_RADIUS:
            return History(np.linalg.cholesky(noise), scaled), criterion, shrunk
        # A_i s**i scales every eigenvalue by s.
        shrink, shrunk = shrink * MAX_RADIUS / radius * (1.0 - 1e-6), True


def _whiteness(data: list[tuple[Array, Array]], history: History) -> tuple[float, float]:
    """Return the largest autocorrelation of the residuals and its bound for white noise."""
    order = history.order
    sums = np.zeros((WHITENESS_LAGS + 1, N_FEATURES))
    counts = np.zeros(WHITENESS_LAGS + 1)
    for cycles, x in data:
        at = _starts(cycles, order)
        if len(at) < 2:
            continue
        residual = x[at] - sum(x[at - i] @ lag.T for i, lag in enumerate(history.lags, start=1))
        when = cycles[at]
        for lag in range(WHITENESS_LAGS + 1):
            if lag >= len(at):
                break
            pairs = when[lag:] - when[: len(when) - lag] == lag
            sums[lag] += (residual[lag:][pairs] * residual[: len(at) - lag][pairs]).sum(axis=0)
            counts[lag] += pairs.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (sums[1:] / counts[1:, None]) / (sums[0] / counts[0])
    seen = counts[1:] > 0
    worst = float(np.nanmax(np.abs(correlation[seen]), initial=0.0))
    return worst, float(4.0 / np.sqrt(max(counts[0], 1.0)))
