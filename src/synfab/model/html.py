"""Models as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synfab.common import svg
from synfab.common.html import Html, card, counted, quantity
from synfab.common.types import FloatArray

if TYPE_CHECKING:
    from synfab.model.cell_model import CellModel

UNITS = {"r_hrs": "ohm", "u_set": "V", "r_lrs": "ohm", "u_reset": "V"}
POINTS = 81


def model_card(model: CellModel) -> Html:
    """Return the description of a model, with the I-V curves of its mean device."""
    means = model.to_features(model.population.mean()[: len(UNITS)])
    features = {
        name: f"{quantity(float(mean), unit)} in a mean device"
        for (name, unit), mean in zip(UNITS.items(), means, strict=True)
    }
    facts = {
        "fingerprint": model.fingerprint[:8],
        **features,
        "history": f"orders {', '.join(map(str, model.orders))}"
        + (f"; {model.averages} averages of earlier cycles" if model.averages else ""),
        "population": counted(len(model.population.weights), "component"),
        "parts": ", ".join(_parts(model)),
        "measurement": str(model.provenance.get("measurement", "")),
    }
    return Html(card("CellModel", model.name, facts, _curves(model, means)))


def _parts(model: CellModel) -> list[str]:
    named = (
        ("conditions", model.conditions), ("wear-in", model.wear_in), ("failure", model.failure),
        ("traps", model.traps),
    )  # fmt: skip
    return [name for name, part in named if part is not None] or ["pulses only"]


def _curves(model: CellModel, means: FloatArray) -> Html:
    conduction = model.conduction
    u = np.linspace(*conduction.voltage_range, POINTS)
    lines = {}
    for name, resistance in (("LRS", means[2]), ("HRS", means[0])):
        r = np.full(POINTS, conduction.state(1.0 / resistance))
        lines[name] = np.asarray(conduction.current(r, u), np.float64)
    top = max(float(np.abs(current).max()) for current in lines.values())
    return svg.curves(u, "V", lines, f"mean device: current, up to {quantity(top, 'A')}")
