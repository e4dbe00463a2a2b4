"""Figure of the waveforms of circuit simulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from synfab.circuit.waveforms import Waveforms
from synfab.figures.cells import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CURVES = 16  # per panel
LABELS = {"V": "voltage (V)", "A": "current (A)", "": "other quantities"}


def waveforms(results: Sequence[Waveforms]) -> Figure:
    """Draw one row per analysis and one panel per unit: voltages, currents, other quantities.

    The first ``MAX_CURVES`` vectors of each unit are drawn; of complex ones, the magnitude.
    """
    figure, axes = new_figure(len(results), len(LABELS), (12.0, 3.2 * len(results)))
    for row, result in zip(axes, results, strict=True):
        names = list(result)
        scale = names[0] if len(result[names[0]]) > 1 else None
        for panel, (unit, label) in zip(row, LABELS.items(), strict=True):
            drawn = [n for n in names if n != scale and _unit(result, n) == unit]
            for name in drawn[:MAX_CURVES]:
                values = np.abs(result[name]) if np.iscomplexobj(result[name]) else result[name]
                where = np.arange(len(values)) if scale is None else result[scale].real
                panel.plot(where, values, ".-" if len(values) < 3 else "-", lw=1.0, label=name)
            panel.set(ylabel=label, xlabel="point" if scale is None else scale)
            if scale == "frequency":
                panel.set_xscale("log")
            if drawn:
                panel.legend(fontsize=6, ncols=2, title=None)
        row[0].set_title(result.analysis, loc="left", fontsize=9)
    return figure


def _unit(result: Waveforms, name: str) -> str:
    """Return V, A, or "" for all other units; currents of devices are in A."""
    unit = result.units.get(name, "")
    if name.startswith("@"):
        unit = {"[i]": "A", "[v]": "V"}.get(name[name.rfind("[") :], "")
    return unit if unit in LABELS else ""
