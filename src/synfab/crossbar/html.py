"""Crossbars and write pulses as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synfab.cells.html import cells_html
from synfab.common import svg
from synfab.common.html import Html, card, counted, dimensions, quantity, sampled, sampling

if TYPE_CHECKING:
    from synfab.crossbar.circuit import Circuit
    from synfab.crossbar.pulses import Write


def crossbar_html(circuit: Circuit) -> str:
    """Return the description of a crossbar and of its cells; nothing is solved."""
    defects = 0 if circuit.stuck is None else int(np.isfinite(circuit.stuck).sum())
    facts = {
        "wires": "ideal" if circuit.wires is None else "resistive",
        "access device": "none" if circuit.access is None else type(circuit.access).__name__,
        "defects": counted(defects, "cell") if defects else "",
    }
    inner = Html(cells_html(circuit.cells, "CellArray"))
    return card("Crossbar", dimensions(circuit.shape), facts, inner)


def write_html(write: Write) -> str:
    """Return the description of a write pulse, with a map of the largest voltages."""
    extreme = sampled(write.extreme_voltage)
    selected = int(np.count_nonzero(write.selected))
    facts = {
        "selected": f"{counted(selected, 'cell')}, of which "
        f"{int(np.count_nonzero(write.switched & write.selected))} switched",
        "disturbed": counted(int(np.count_nonzero(write.disturbed)), "cell"),
        "energy": f"{quantity(write.energy, 'J')}, of which {write.loss:.0%} outside the cells",
        "charge": quantity(write.charge, "C"),
        "shown": sampling(write.extreme_voltage.size, extreme.size),
    }
    ends = float(extreme.min()), float(extreme.max())
    picture = svg.heat_map(extreme, "largest voltage during the pulse", "V", *ends)
    return card("Write", f"to {dimensions(write.selected.shape)} cells", facts, picture)
