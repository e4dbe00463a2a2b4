"""Cells in brief: what the seed does not give. Everything else is computed when it is needed.

The devices, the histories and the features of cells follow from seed, cell number and cycle number.
A cell that pulses have changed has four numbers of its own (``PULSED``); one that was only
programmed ideally has its state r.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.common.types import Array
from synfab.engines import validity
from synfab.engines.numba import layout
from synfab.physics import rules

if TYPE_CHECKING:
    from synfab.engines.numba.engine import NumbaEngine

IDEAL, PULSED = ("r",), ("r", "status", "threshold", "steepness")
TYPES = {"r": np.float32, "status": np.uint32, "threshold": np.float32, "steepness": np.float32}
# Each cycle of each cell is drawn again, which takes longer than reading it beyond this number.
MAX_DRAWN = 1000


def brief_of(engine: NumbaEngine) -> dict[str, Array] | None:
    """Return the arrays ``PULSED`` of an engine, copies; None: too many cycles to draw again."""
    storage, n_cells = engine.cells, engine.n_cells
    status = storage.status[:n_cells].copy()
    if int((status >> layout.CYCLE_BITS).max(initial=0)) > MAX_DRAWN:
        return None
    rows = (
        storage.switch[:, row].reshape(-1)[:n_cells] for row in (layout.THRESHOLD, layout.STEEPNESS)
    )
    arrays = (storage.r[:n_cells], status, *rows)
    return {name: np.array(array) for name, array in zip(PULSED, arrays, strict=True)}


def check_brief(engine: NumbaEngine, arrays: Mapping[str, Array]) -> None:
    """Raise ``FileFormatError`` if ``arrays`` from a file are not cells in brief."""
    if tuple(arrays) not in (IDEAL, PULSED):
        raise FileFormatError(f"expected the arrays {', '.join(PULSED)}")
    validity.check_fit(arrays, {n: np.empty(engine.n_cells, TYPES[n]) for n in arrays})
    if tuple(arrays) == IDEAL:
        validity.check_states(arrays["r"], None, rules.highest_state(engine.model))
        return
    status = arrays["status"]
    validity.check_status(status)
    top = rules.highest_state(engine.model)
    validity.check_states(arrays["r"], (status & layout.IN_HRS) != 0, top)
    validity.check_finite("threshold", arrays["threshold"])
    if int((status >> layout.CYCLE_BITS).max(initial=0)) > MAX_DRAWN:
        raise FileFormatError(f"status: expected up to {MAX_DRAWN} cycles of cells in brief")


def complete(engine: NumbaEngine, arrays: Mapping[str, Array]) -> None:
    """Give newly fabricated cells the state ``arrays``; the cycles up to it are drawn."""
    everything = np.arange(engine.n_cells)
    if "status" not in arrays:
        engine.program(everything, arrays["r"])
        return
    cycles = arrays["status"] >> layout.CYCLE_BITS
    for cycle in range(int(cycles.max(initial=0))):
        engine.begin_cycle(np.flatnonzero(cycles > cycle))
    storage = engine.cells
    storage.r[: engine.n_cells], storage.status[: engine.n_cells] = arrays["r"], arrays["status"]
    tile, lane = everything >> layout.LANE_BITS, everything & layout.LAST_LANE
    storage.switch[tile, layout.THRESHOLD, lane] = arrays["threshold"]
    storage.switch[tile, layout.STEEPNESS, lane] = arrays["steepness"]
