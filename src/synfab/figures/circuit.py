"""Figure of the waveforms of circuit simulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from synfab.circuit.waveforms import Waveforms
from synfab.figures.panels import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synfab.figures.panels import GivenAxes

MAX_CURVES = 16  # per panel
LABELS = {"V": "voltage (V)", "A": "current (A)", "": "other quantities"}


def waveforms(results: Sequence[Waveforms], *, axes: GivenAxes = None) -> Figure:
    """Draw one row per analysis and one panel per unit: voltages, currents, other quantities.

    The first ``MAX_CURVES`` vectors of each unit are drawn; of complex ones, the magnitude.
    ``axes``: one for each panel; None: a new figure.
    """
    scales = [_scale(result) for result in results]
    found = {
        _unit(result, name)
        for result, scale in zip(results, scales, strict=True)
        for name in result
        if name != scale
    }
    labels = {unit: label for unit, label in LABELS.items() if unit in found}
    size = (4.0 + 4.0 * len(labels), 3.2 * len(results))
    figure, panels = new_figure(len(results), max(len(labels), 1), size, axes)
    for row, result, scale in zip(panels, results, scales, strict=True):
        for panel, (unit, label) in zip(row, labels.items(), strict=False):
            drawn = [n for n in result if n != scale and _unit(result, n) == unit]
            panel.set_visible(bool(drawn))
            for name in drawn[:MAX_CURVES]:
                values = np.abs(result[name]) if np.iscomplexobj(result[name]) else result[name]
                where = np.arange(len(values)) if scale is None else result[scale].real
                panel.plot(where, values, ".-" if len(values) < 3 else "-", lw=1.0, label=name)
            panel.set(ylabel=label, xlabel=_label(result, scale))
            if scale == "frequency":
                panel.set_xscale("log")
            if drawn:
                panel.legend(fontsize=6, ncols=2, title=None)
        first = next((panel for panel in row if panel.get_visible()), row[0])
        first.set_title(result.analysis, loc="left", fontsize=9)
    return figure


def _scale(result: Waveforms) -> str | None:
    """Return the name of the time, frequency or sweep; None: there is one point only."""
    first = next(iter(result))
    return first if len(result[first]) > 1 else None


def _label(result: Waveforms, scale: str | None) -> str:
    unit = "" if scale is None else result.units.get(scale, "")
    return (scale or "point") + (f" ({unit})" if unit else "")


def _unit(result: Waveforms, name: str) -> str:
    """Return V, A, or "" for all other units; currents of devices are in A."""
    unit = result.units.get(name, "")
    if name.startswith("@"):
        unit = {"[i]": "A", "[v]": "V"}.get(name[name.rfind("[") :], "")
    return unit if unit in LABELS else ""
