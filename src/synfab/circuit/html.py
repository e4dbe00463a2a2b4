"""Waveforms as notebooks show them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from synfab.common.html import MAX_CELLS, card, counted, span, table

if TYPE_CHECKING:
    from synfab.circuit.waveforms import Waveforms

MAX_ROWS = 12


def waveforms_html(found: Waveforms) -> str:
    """Return a table of the first vectors with their units and ranges."""
    rows = []
    for name, values in islice(found.items(), MAX_ROWS):
        some = values[:: max(1, len(values) // MAX_CELLS)]
        some = np.abs(some) if np.iscomplexobj(some) else some
        ends = (float(some.min()), float(some.max())) if len(some) else ()
        rows.append([name, span(ends, found.units.get(name, ""))])
    points = len(next(iter(found.values()), ()))
    facts = {
        "points": str(points),
        "shown": f"{MAX_ROWS} of {counted(len(found), 'vector')}" if len(found) > MAX_ROWS else "",
    }
    return card("Waveforms", found.analysis, facts, table(("vector", "range"), rows))
