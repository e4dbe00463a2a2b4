"""Figures of the explorer, created once and updated with new data."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, LinearColorMapper, Span
from bokeh.palettes import Blues256

from synfab.common.types import FloatArray
from synfab.explore.experiment import LEVELS, Aging, Loops, Readout
from synfab.figures.cells import COLOURS
from synfab.model.cell_model import FEATURES
from synfab.report.panels import LABELS, hover, new_panel

SHOWN_CELLS = 16  # more loops would hide each other
MAX_BINS = 50


class LoopView:
    """I-V loops, one line per cell."""

    def __init__(self) -> None:
        self.source = ColumnDataSource({"voltage": [], "current": [], "cell": [], "colour": []})
        self.figure = new_panel("voltage (V)", "current (uA)", width=520, height=400)
        lines = self.figure.multi_line(
            "voltage", "current", source=self.source, line_color="colour", line_width=1.1
        )
        hover(self.figure, [lines], [("cell", "@cell"), ("V, uA", "$x, $y")])

    def show(self, loops: Loops) -> None:
        """Show the loops of the first cells."""
        cycles, _, cells = loops.current.shape
        shown = min(cells, SHOWN_CELLS)
        voltage = np.tile(loops.voltage, cycles)
        self.source.data = {
            "voltage": [voltage] * shown,
            "current": [1e6 * loops.current[:, :, k].ravel() for k in range(shown)],
            "cell": list(range(shown)),
            "colour": [COLOURS[k % len(COLOURS)] for k in range(shown)],
        }


class DistributionView:
    """Densities of the four features over cells and cycles."""

    def __init__(self) -> None:
        self.sources, self.figures = [], []
        for f, label in enumerate(LABELS):
            source = ColumnDataSource({"left": [], "right": [], "density": []})
            panel = new_panel(label, "density", width=280, height=220)
            bars = panel.quad(left="left", right="right", top="density", bottom=0, source=source,
                              color=COLOURS[f], line_alpha=0, alpha=0.8)  # fmt: skip
            hover(panel, [bars], [("from", "@left"), ("to", "@right"), ("density", "@density")])
            self.sources.append(source)
            self.figures.append(panel)

    def show(self, loops: Loops) -> None:
        """Show the features of all cells and cycles."""
        for name, source in zip(FEATURES, self.sources, strict=True):
            values = loops.features[name].ravel()
            values = np.log10(values) if name == "r_hrs" else values
            bins = min(MAX_BINS, max(4, int(np.sqrt(values.size))))
            density, edges = np.histogram(values, bins, density=True)
            source.data = {"left": edges[:-1], "right": edges[1:], "density": density}


class CrossbarView:
    """Conductances of an array with a checkered pattern, and the currents of its rows."""

    def __init__(self) -> None:
        self.cells = ColumnDataSource({"row": [], "column": [], "conductance": []})
        self.rows = ColumnDataSource({"row": [], "ideal": [], "real": []})
        self.map = new_panel("column", "row", width=420, height=330)
        self.map.y_range.flipped = True
        self.colours = LinearColorMapper(palette=list(Blues256)[::-1], low=0.0, high=1.0)
        fill = {"field": "conductance", "transform": self.colours}
        squares = self.map.rect(
            "column", "row", 1, 1, source=self.cells, line_alpha=0, fill_color=fill
        )
        self.map.add_layout(squares.construct_color_bar(title="uS", width=12), "right")
        hover(self.map, [squares], [("row, column", "@row, @column"),
                                    ("conductance", "@conductance{0.0} uS")])  # fmt: skip
        self.figure = new_panel("row", "read current (uA)", width=420, height=330)
        dots = self.figure.scatter("row", "ideal", source=self.rows, line_color=COLOURS[0],
                                   fill_color=None, size=7, legend_label="ideal wires")  # fmt: skip
        crosses = self.figure.scatter("row", "real", source=self.rows, line_color=COLOURS[1],
                                      marker="x", size=7, line_width=2,
                                      legend_label="real wires")  # fmt: skip
        tips = [("row", "@row"), ("ideal", "@ideal{0.00} uA"), ("real", "@real{0.00} uA")]
        hover(self.figure, [dots, crosses], tips)
        self.figure.legend.background_fill_alpha = 0.8
        self.figure.legend.location = "bottom_right"
        self.figure.y_range.start = 0

    def show(self, readout: Readout) -> None:
        """Show conductances and currents of a readout."""
        row, column = np.indices(readout.conductance.shape)
        self.colours.high = 1e6 * float(readout.conductance.max())
        self.cells.data = {
            "row": row.ravel(),
            "column": column.ravel(),
            "conductance": 1e6 * readout.conductance.ravel(),
        }
        self.rows.data = {
            "row": np.arange(len(readout.ideal)),
            "ideal": 1e6 * readout.ideal,
            "real": 1e6 * readout.real,
        }


class TimeView:
    """Conductance over time: median and the middle 90 % of the cells."""

    def __init__(self) -> None:
        self.figure = new_panel(
            "time after programming (s)", "conductance (uS)", width=420, height=330,
            x_axis_type="log",
        )  # fmt: skip
        self.sources = []
        lines = []
        for _, colour in zip(LEVELS, COLOURS, strict=False):
            source = ColumnDataSource({"time": [], "low": [], "middle": [], "high": []})
            self.figure.varea(
                "time", "low", "high", source=source, fill_color=colour, fill_alpha=0.25
            )
            lines.append(
                self.figure.line("time", "middle", source=source, line_color=colour, line_width=2)
            )
            self.sources.append(source)
        self.now = Span(location=1.0, dimension="height", line_dash="dashed", line_color="#555")
        self.figure.add_layout(self.now)
        self.figure.y_range.start = 0
        tips = [("time", "@time{0.0e+0} s"), ("median", "@middle{0.0} uS"),
                ("5 to 95 %", "@low{0.0} to @high{0.0} uS")]  # fmt: skip
        hover(self.figure, lines, tips)

    def show(self, aging: Aging, seconds: float) -> None:
        """Show the bands, and the time at which the crossbar is read."""
        for source, (low, middle, high) in zip(self.sources, aging.bands.values(), strict=True):
            source.data = {
                "time": aging.times, "low": 1e6 * low, "middle": 1e6 * middle, "high": 1e6 * high
            }  # fmt: skip
        self.now.location = seconds


def read_error(readout: Readout) -> float:
    """Return the largest relative error of a row current due to the wires."""
    error: FloatArray = np.abs(readout.real / readout.ideal - 1.0)
    return float(error.max())


def words(loops: Loops, readout: Readout) -> dict[str, float]:
    """Return the numbers for the text above the figures."""
    _, _, cells = loops.current.shape
    middle = {name: float(np.median(values)) for name, values in loops.features.items()}
    return {"cells": cells, "cycles": len(loops.current), "error": read_error(readout), **middle}
