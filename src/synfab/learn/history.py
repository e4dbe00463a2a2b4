"""Fit of the cycle-to-cycle history: a vector autoregression pooled over devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array
from synfab.learn.whiteness import Whiteness, first_white, whiteness
from synfab.model.history import N_FEATURES, History

MAX_ORDER = 10
MAX_RADIUS = 0.9995  # spectral radius to which unstable fits are shrunk
CRITERIA = ("auto", "bic")


class HistoryFit(NamedTuple):
    """Histories of all orders up to the chosen one, and diagnostics of the fit.

    Attributes
    ----------
    histories, order
        Histories by order, and the order that was chosen.
    bic
        Bayesian information criterion by order; the lowest is the best compromise of number of
        coefficients and error.
    rows
        Number of cycles whose predecessors were measured.
    whiteness
        Autocorrelation of the innovations of the chosen order.
    shrunk
        Orders whose fit was unstable and was shrunk.
    """

    histories: dict[int, History]
    order: int
    bic: dict[int, float]
    rows: int
    whiteness: Whiteness
    shrunk: tuple[int, ...]


class Fits(NamedTuple):
    """Least-squares fits of all orders, without a choice; names as in ``HistoryFit``."""

    histories: dict[int, History]
    bic: dict[int, float]
    rows: int
    shrunk: tuple[int, ...]


def fit_history(
    series: Iterable[tuple[Array, Array]], order: int | str = "auto", highest: int = MAX_ORDER
) -> HistoryFit:
    """Return a least-squares fit of x*_n = sum_i A_i x*_{n-i} + B eps_n over all devices.

    Parameters
    ----------
    series
        Cycle numbers (T,), which may have gaps, and x* (T, 4) of each device.
    order
        A number; ``"bic"`` for the order with the lowest Bayesian information criterion; or
        ``"auto"`` for the one with the lowest among those whose innovations are white. If there is
        none, it is the order whose innovations are closest to white.
    highest
        Largest order tried for ``"auto"`` and ``"bic"``.

    Raises
    ------
    InvalidValueError
        The order is not valid, or there are too few consecutive cycles for it.
    """
    order = check_order(order)
    data = _records(series)
    fits = fit_orders(data, order, checks.integer("highest", highest, 1, MAX_ORDER))
    checked: dict[int, Whiteness] = {}
    if order == "auto":
        chosen, checked = first_white(fits.bic, lambda p: whiteness(data, fits.histories[p]))
    else:
        chosen = lowest(fits.bic) if isinstance(order, str) else order
    return HistoryFit(
        {p: fits.histories[p] for p in range(1, chosen + 1)},
        chosen,
        fits.bic,
        fits.rows,
        checked.get(chosen) or whiteness(data, fits.histories[chosen]),
        tuple(p for p in fits.shrunk if p <= chosen),
    )


def lowest(criterion: dict[int, float]) -> int:
    """Return the order with the lowest criterion."""
    return min(criterion, key=lambda p: criterion[p])


def fit_orders(data: list[tuple[Array, Array]], order: int | str, highest: int = MAX_ORDER) -> Fits:
    """Return the fits of all orders that the data are sufficient for.

    Raises
    ------
    InvalidValueError
        There are too few consecutive cycles for ``order``, if it is a number, or for any order.
    """
    top = highest if isinstance(order, str) else order
    longest = top
    while longest > 1 and _count_rows(data, longest) < 8 * N_FEATURES * longest:
        longest -= 1
    if not isinstance(order, str) and longest < top:
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
    return Fits(
        {p: history for p, (history, _, _) in fits.items()},
        {p: criterion for p, (_, criterion, _) in fits.items()},
        rows,
        tuple(p for p, (_, _, shrunk) in fits.items() if shrunk),
    )


def check_order(order: int | str) -> int | str:
    """Return a valid order, "auto" or "bic"."""
    if isinstance(order, str) and order in CRITERIA:
        return order
    found = checks.integer_or("order", order, "auto", 1, MAX_ORDER)
    return "auto" if found is None else found


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
