"""Figures of crossbars; each function draws one and returns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common import extras
from synfab.common.types import Array
from synfab.crossbar.pulses import Write
from synfab.figures.cells import COLOURS
from synfab.figures.panels import new_figure
from synfab.network.network import Solution
from synfab.programming.result import Outcome, Programming

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from synfab.figures.panels import GivenAxes

MICRO = 1e6


def _map(figure: Figure, axis: Axes, values: Array, label: str, **options: Any) -> None:
    image = axis.imshow(values, aspect="auto", interpolation="nearest", **options)
    axis.set_xlabel("column")
    axis.set_ylabel("row")
    figure.colorbar(image, ax=axis, label=label)


def _symmetric(values: Array) -> dict[str, Any]:
    """Return image options: white at 0 if values have both signs."""
    if values.min() >= 0.0 or values.max() <= 0.0:
        return {"cmap": "viridis"}
    top = float(np.abs(values).max())
    return {"cmap": "RdBu_r", "vmin": -top, "vmax": top}


def maps(found: Solution, *, axes: GivenAxes = None) -> Figure:
    """Draw the voltage and the current of every cell.

    It needs two ``axes``.
    """
    figure, panels = new_figure(1, 2, (10.0, 4.2), axes)
    current = found.cell_current * MICRO
    _map(figure, panels[0, 0], found.cell_voltage, "voltage (V)", **_symmetric(found.cell_voltage))
    _map(figure, panels[0, 1], current, "current (uA)", **_symmetric(current))
    panels[0, 0].set_title("across each cell", fontsize=10)
    panels[0, 1].set_title("through each cell", fontsize=10)
    return figure


def ir_drop(found: Solution, *, axes: GivenAxes = None) -> Figure:
    """Draw the voltage along the first, the middle and the last column and row.

    It needs two ``axes``.
    """
    figure, panels = new_figure(1, 2, (9.0, 3.6), axes)
    rows, columns = found.slope.shape
    for axis, voltages, count, name in (
        (panels[0, 0], found.column_voltage.T, columns, "column"),
        (panels[0, 1], found.row_voltage, rows, "row"),
    ):
        for line, colour in zip(sorted({0, count // 2, count - 1}), COLOURS, strict=False):
            axis.plot(voltages[line], ".-", ms=3, lw=1, color=colour, label=f"{name} {line}")
        axis.set_xlabel("row" if name == "column" else "column")
        axis.set_ylabel(f"voltage along the {name} (V)")
        axis.legend(fontsize=8)
    return figure


def disturb(pulse: Write, *, axes: GivenAxes = None) -> Figure:
    """Draw the largest voltage of each cell during a pulse, and the cells that switched.

    It needs two ``axes``.
    """
    extras.check("matplotlib")
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure, panels = new_figure(1, 2, (10.0, 4.2), axes)
    extreme = pulse.extreme_voltage
    _map(figure, panels[0, 0], extreme, "largest voltage (V)", **_symmetric(extreme))
    kinds = ("not selected", "selected, not switched", "selected, switched", "disturbed")
    colours = ("#FFFFFF", COLOURS[3], COLOURS[0], COLOURS[1])
    kind = np.where(pulse.selected, 1 + pulse.switched, 3 * pulse.disturbed)
    axis = panels[0, 1]
    axis.imshow(
        kind, cmap=ListedColormap(colours), vmin=0, vmax=3, aspect="auto", interpolation="nearest"
    )
    axis.set_xlabel("column")
    axis.set_ylabel("row")
    handles = [
        Patch(facecolor=colour, edgecolor="0.6", label=f"{name}: {int((kind == k).sum())}")
        for k, (name, colour) in enumerate(zip(kinds, colours, strict=True))
    ]
    axis.legend(
        handles=handles, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=2
    )
    return figure


def programming(found: Programming, *, axes: GivenAxes = None) -> Figure:
    """Draw the errors after programming, and their decrease over the verifications.

    It needs three ``axes``.
    """
    figure, panels = new_figure(1, 3, (12.0, 3.8), axes)
    reached = found.outcome == Outcome.REACHED
    missed = found.unreachable & np.isfinite(found.achieved)
    errors = found.errors * MICRO
    axis = panels[0, 0]
    # Unreachable cells have large errors: they are counted in the title and shown on the right.
    axis.hist(errors[reached], 60, color=COLOURS[0])
    axis.set_xlabel("achieved - target (uS)")
    axis.set_ylabel("cells")
    axis.set_title(f"{reached.sum()} reached, {missed.sum()} did not", fontsize=10)
    axis = panels[0, 1]
    for mask, colour, mark, label in (
        (reached, COLOURS[0], ".", "reached"),
        (missed, COLOURS[1], "x", "did not"),
    ):
        axis.plot(
            found.targets[mask] * MICRO,
            found.achieved[mask] * MICRO,
            mark,
            ms=3,
            color=colour,
            label=label,
        )
    axis.set_xlabel("target (uS)")
    axis.set_ylabel("achieved (uS)")
    axis.legend(fontsize=8)
    axis = panels[0, 2]
    if len(found.pending):
        axis.semilogy(np.maximum(found.pending, 0.5), color=COLOURS[0], label="cells to go")
        axis.semilogy(found.error * MICRO, color=COLOURS[1], label="median distance (uS)")
        axis.legend(fontsize=8)
    axis.set_xlabel("verification")
    return figure
