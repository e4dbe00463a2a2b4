"""Empty figures of the explorer; the page fills their sources with columns, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synfab.explore.stages import LEVELS
from synfab.model.cell_model import FEATURES
from synfab.report.panels import LABELS, hover, new_panel

if TYPE_CHECKING:
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure as Figure  # noqa: N812

RAMP = 64  # colours of a scale
PLACEHOLDER = "#808080"  # the page sets all colours, by its scheme


def figures(*, over_time: bool) -> dict[str, Any]:
    """Return the figures by the names of their places in the page."""
    found = {"loops": _loops(), "map": _map(), "rows": _rows()}
    found |= {f"feature-{f}": _feature(f) for f in range(len(FEATURES))}
    return found | ({"time": _time()} if over_time else {})


def ramps() -> dict[str, list[str]]:
    """Return scales of colours from low to high for a light and a dark background."""
    from bokeh.palettes import Blues256, Viridis256

    def picked(palette: tuple[str, ...], first: int, last: int) -> list[str]:
        step = (last - first) / (RAMP - 1)
        return [palette[round(first + k * step)] for k in range(RAMP)]

    return {
        "cycles-light": picked(Viridis256, 0, 215),
        "cycles-dark": picked(Viridis256, 80, 255),
        "map-light": picked(Blues256, 255, 0),
        "map-dark": picked(Viridis256, 0, 255),
    }


def _panel(x_label: str, y_label: str, height: int, **options: Any) -> Figure:
    panel = new_panel(x_label, y_label, height=height, **options)
    panel.sizing_mode, panel.min_width = "stretch_width", 240
    panel.min_border_right = 12
    panel.toolbar.autohide = True
    panel.background_fill_alpha = panel.border_fill_alpha = 0.0
    # A finger scrolls the page; two fingers zoom it.
    panel.stylesheets = [*panel.stylesheets, ".bk-events { touch-action: pan-y pinch-zoom; }"]
    return panel


def _source(name: str, *columns: str, first: object = 1.0) -> ColumnDataSource:
    """Return a source with one row, because axes without data are reported in the console."""
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({column: [first] for column in columns}, name=name)


def _loops() -> Any:
    """Return loops of the model and of the measurement side by side, on equal axes."""
    from bokeh.layouts import column, row

    parts, panels = [], []
    for word, name in (("generated", "loops"), ("measured", "loops-measured")):
        columns = ("xs", "ys", "sizes", "colour", "device", "cycle")
        source = _source(name, *columns, first=[1.0, 2.0])
        pair = []
        for scale, field, label in (("linear", "ys", "current"), ("log", "sizes", "|current|")):
            panel = _panel("voltage (V)", f"{word} {label} (uA)", 420, y_axis_type=scale)
            panel.name = f"{name}-{scale}"
            lines = panel.multi_line("xs", field, source=source, line_color="colour",
                                     line_width=1.1, line_alpha=0.85)  # fmt: skip
            tips = [("device, cycle", "@device, @cycle"), ("V, uA", "$x{0.00}, $y{0.0}")]
            hover(panel, [lines], tips)
            pair.append(panel)
        part = column(*pair, name=f"{name}-part", sizing_mode="stretch_width")
        part.styles = {"flex": "1 1 300px"}  # below each other on narrow screens
        parts.append(part)
        panels.append(pair)
    for model, measured in zip(*panels, strict=True):
        model.x_range = measured.x_range = panels[0][0].x_range
        measured.y_range = model.y_range
    return row(*parts, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})


def _feature(f: int) -> Figure:
    source = _source(f"feature-{f}", "left", "right", "generated")
    outline = _source(f"feature-{f}-measured", "x", "y")
    panel = _panel(LABELS[f], "cycles (%)", 212)
    bars = panel.quad(left="left", right="right", top="generated", bottom=0, source=source,
                      fill_color=PLACEHOLDER, line_alpha=0, fill_alpha=0.75,
                      name=f"series-{f}")  # fmt: skip
    panel.line("x", "y", source=outline, line_color=PLACEHOLDER, line_width=2, name="measured")
    hover(
        panel,
        [bars],
        [("from", "@left"), ("to", "@right"), ("cycles", "@generated{0.0} %")],
    )
    panel.y_range.start = 0
    return panel


def _map() -> Figure:
    from bokeh.models import LinearColorMapper

    source = _source("map", "row", "column", "conductance")
    panel = _panel("column", "row", 330)
    panel.y_range.flipped = True
    panel.x_range.range_padding = panel.y_range.range_padding = 0
    panel.grid.visible = False
    panel.max_width, panel.styles = 420, {"margin": "0 auto"}  # of nearly square cells
    mapper = LinearColorMapper(palette=[PLACEHOLDER], low=0.0, high=1.0, name="map-colours")
    squares = panel.rect("column", "row", 1, 1, source=source, line_alpha=0,
                         fill_color={"field": "conductance", "transform": mapper})  # fmt: skip
    bar = squares.construct_color_bar(width=10, padding=4)
    bar.background_fill_alpha = 0.0
    panel.add_layout(bar, "right")
    hover(panel, [squares], [("row, column", "@row, @column"),
                             ("conductance", "@conductance{0.0} uS")])  # fmt: skip
    return panel


def _rows() -> Figure:
    source = _source("rows", "row", "ideal", "real")
    panel = _panel("row", "read current (uA)", 330)
    dots = panel.scatter("row", "ideal", source=source, line_color=PLACEHOLDER, line_width=1.5,
                         fill_color=None, size=7, name="series-0")  # fmt: skip
    crosses = panel.scatter("row", "real", source=source, line_color=PLACEHOLDER, marker="x",
                            size=7, line_width=2, name="series-1")  # fmt: skip
    tips = [("row", "@row"), ("no wires", "@ideal{0.00} uA"), ("wires", "@real{0.00} uA")]
    hover(panel, [dots, crosses], tips)
    panel.y_range.start = 0
    return panel


def _time() -> Figure:
    from bokeh.models import Span

    panel = _panel("time after programming (s)", "conductance (uS)", 330, x_axis_type="log")
    lines = []
    for k in range(len(LEVELS)):
        source = _source(f"time-{k}", "time", "low", "middle", "high")
        panel.varea("time", "low", "high", source=source, fill_color=PLACEHOLDER, fill_alpha=0.25,
                    name=f"series-{k}")  # fmt: skip
        lines.append(
            panel.line("time", "middle", source=source, line_color=PLACEHOLDER, line_width=2,
                       name=f"series-{k}")
        )  # fmt: skip
    panel.add_layout(Span(location=1.0, dimension="height", line_dash="dashed", name="read-time",
                          line_color=PLACEHOLDER, line_width=1.5))  # fmt: skip
    panel.y_range.start = 0
    tips = [("time", "@time{0.0e+0} s"), ("median", "@middle{0.0} uS"),
            ("5 to 95 %", "@low{0.0} to @high{0.0} uS")]  # fmt: skip
    hover(panel, lines, tips)
    return panel
