"""The memory of a model: normalised features, order of the history, averages, and the choice."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from synfab.common.types import Array
from synfab.learn.autocovariance import Record, few_cycles_history, without_bias
from synfab.learn.features import row_normals
from synfab.learn.history import Fits, fit_orders, lowest
from synfab.learn.long_memory import LongMemory, find_long_memory, with_averages
from synfab.learn.marginals import normal_scores
from synfab.learn.standardised import Standardised
from synfab.learn.whiteness import Whiteness, first_white, whiteness
from synfab.model.history import History
from synfab.random.streams import Stream

# Records with fewer cycles than this are too short for a fit by least squares.
FEW_CYCLES = 30


class Memory(NamedTuple):
    """Histories of the normalised features by order, and diagnostics."""

    histories: dict[int, History]
    facts: dict[str, Any]


class Candidate(NamedTuple):
    """History of one order with the memory beyond it, and the test of its innovations."""

    history: History
    levels: LongMemory | None
    innovations: Whiteness


def fit_memory(parts: Standardised, pooled: Array, order: int | str) -> Memory:
    """Return the histories of the normalised features, and diagnostics.

    Parameters
    ----------
    parts
        Features relative to the mean and spread of their device.
    pooled
        All cycles of ``parts``, (N, 4).
    order
        A number, ``"bic"`` or ``"auto"``; see ``fit``.
    """
    series = _normalised(parts, pooled)
    few = np.median([len(cycles) for cycles, _ in series]) < FEW_CYCLES
    if isinstance(order, str) and few:
        return _few_cycles(series)
    fits = fit_orders(series, order)
    record, candidates = Record(series), dict[int, Candidate]()

    def check(p: int) -> Whiteness:
        if p not in candidates:
            candidates[p] = _candidate(record, fits, p)
        return candidates[p].innovations

    if order == "auto":
        chosen, _ = first_white(fits.bic, check)
    else:
        chosen = lowest(fits.bic) if isinstance(order, str) else order
    found = check(chosen)
    white: int | None = chosen if found.white else None
    if white is None and order != "auto":
        fits = fit_orders(series, "auto")
        best, checked = first_white(fits.bic, check)
        white = best if checked[best].white else None
    history, levels, _ = candidates[chosen]
    if levels is None:
        plain = {p: fits.histories[p] for p in range(1, chosen + 1)}
        histories = without_bias(plain, record)
    else:
        histories = {chosen: history}
    return Memory(histories, {
        "order": chosen,
        "order_note": _order_note(chosen, found, white, max(fits.bic)),
        "white_order": white,
        "bic_of_orders": fits.bic,
        "residual_autocorrelation": found.largest,
        "residual_autocorrelation_bound": found.bound,
        "residual_mean_square": found.mean_square,
        "residual_mean_square_bound": found.mean_square_bound,
        "orders_made_stable": [p for p in fits.shrunk if p <= chosen],
        "long_memory": [] if levels is None else levels.times.tolist(),
    })  # fmt: skip


def _normalised(parts: Standardised, pooled: Array) -> list[tuple[Array, Array]]:
    """Return cycle numbers and normal scores x* of each device."""
    # The scores of a constant feature are independent normal numbers.
    scores = np.stack([
        normal_scores(c) if c.any() else row_normals(f, len(c), Stream.INITIAL_HISTORY)
        for f, c in enumerate(pooled.T)
    ], axis=1)  # fmt: skip
    edges = np.cumsum([0, *(len(x) for x in parts.x)])
    return [(c, scores[a:b]) for c, a, b in zip(parts.cycles, edges, edges[1:], strict=False)]


def _few_cycles(series: list[tuple[Array, Array]]) -> Memory:
    # Without the factor by which ``standardise`` enlarged residuals about a mean.
    plain = [(c, x * np.sqrt((len(c) - 1.0) / len(c))) for c, x in series]
    short, found = few_cycles_history(plain)
    seen = f"order {found}: records of few cycles show {'some' if found else 'no'} memory"
    return Memory({1: short}, {"order": found, "order_note": seen, "long_memory": []})


def _candidate(record: Record, fits: Fits, order: int) -> Candidate:
    """Return the history of an order, with averages if the record shows memory beyond it."""
    plain = fits.histories[order]
    levels = find_long_memory(record, plain)
    if levels is None:
        history = without_bias({order: plain}, record)[order]
    else:
        history = with_averages(plain, record, levels)
    return Candidate(history, levels, whiteness(record.series, history))


def _order_note(chosen: int, found: Whiteness, white: int | None, highest: int) -> str:
    """Return a line about memory that the chosen order does not explain; empty if it does."""
    if found.white:
        return ""
    lacks = f"order {chosen} does not explain all memory of the record"
    if white is not None:
        return f"{lacks}; order {white} does: fit with order={white}"
    return f"{lacks}, nor does another up to {highest}, the highest that its length allows"
