"""Cells as notebooks show them: sampled, without a pulse, a read or a random number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common import svg
from synfab.common.errors import SynfabError
from synfab.common.html import Html, card, dimensions, middle, percent, sample, sampling, span
from synfab.common.locking import lock_of
from synfab.common.types import Array, FloatArray
from synfab.io.memory import size_text
from synfab.random.arrays import to_numpy

if TYPE_CHECKING:
    from synfab.cells.array import CellArray

# Quantiles at the ends of the colour scale, so that a few cells do not determine it.
SCALE = (0.01, 0.99)


def cells_html(cells: CellArray[Any], kind: str, index: Array | None = None) -> str:
    """Return the description of an array, or of its cells with the numbers ``index``."""
    shape = cells.shape if index is None else index.shape
    where = "" if index is None else f" of {dimensions(cells.shape)}"
    words = f"{dimensions(shape)}{where} cells of {cells.model.name}"
    try:
        with lock_of(cells):
            facts = _identity(cells)
            if cells.engine_instance.deferred:
                return card(kind, words, {**facts, "state": "fabricated when first used"})
            return card(kind, words, *_state(cells, facts, shape, index))
    except SynfabError as error:  # such as cells that another thread held when the process forked
        return card(kind, words, {"state": f"not available: {error}"})


def conductance_picture(g: FloatArray, label: str) -> Html:
    """Return a map of conductances (S), (rows, columns), or the histogram of a list of them."""
    if g.ndim != 2:
        return svg.histogram(g, label, "S")
    low, high = (float(value) for value in np.quantile(g, SCALE))
    return svg.heat_map(g, f"{label}, 1 to 99 % of cells", "S", low, high)


def _identity(cells: CellArray[Any]) -> dict[str, str]:
    last = cells.first_cell + cells.size - 1
    device = "" if "cpu" in str(cells.device).lower() else f" on {cells.device}"
    return {
        "seed": f"{cells.seed}, cells {cells.first_cell} to {last}",
        "engine": f"{cells.engine}, order {cells.order}, {cells.history} history",
        "arrays": f"{cells.arrays}{device}",
        "memory": size_text(cells.nbytes),
    }


def _state(
    cells: CellArray[Any], facts: dict[str, str], shape: tuple[int, ...], index: Array | None
) -> tuple[Any, ...]:
    """Return facts and the picture of the sampled cells."""
    drawn = sample(shape)
    listed = drawn if index is None else index.reshape(-1)[drawn]
    flat, engine = np.asarray(listed).reshape(-1), cells.engine_instance
    if flat.size == 0:
        return (facts,)
    state = engine.take(flat)
    seen = state.r if cells.traps is None else cells.traps.seen_by(engine, flat)
    conduction = cells.model.conduction
    g = conduction.conductance(to_numpy(seen).astype(np.float64)).reshape(drawn.shape)
    low, high = (float(np.mean(to_numpy(mask))) for mask in (state.in_lrs, state.in_hrs))
    cycles = to_numpy(engine.cycles(flat))
    facts |= {
        "conductance": f"{middle(g, 'S')} at {conduction.u_0:g} V",
        "state": f"{percent(low)} SET, {percent(high)} completely RESET, "
        f"{percent(max(1.0 - low - high, 0.0))} in between",
        "cycles": span((int(cycles.min()), int(cycles.max())), ""),
        "shown": sampling(int(np.prod(shape)), flat.size),
    }
    if flat.size == 1:
        return (facts,)
    return facts, conductance_picture(g, f"conductance at {conduction.u_0:g} V")
