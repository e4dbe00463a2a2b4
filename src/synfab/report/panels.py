"""Interactive panels of measured and generated data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common.natural import natural_order
from synfab.common.types import Array
from synfab.figures.cells import COLOURS
from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.lags import CENTRES, correlations
from synfab.learn.comparison.properties import NAMES
from synfab.report.bins import bin_edges

if TYPE_CHECKING:
    from bokeh.models import GlyphRenderer
    from bokeh.plotting import figure as Figure  # noqa: N812

MEASURED, GENERATED = COLOURS[0], COLOURS[1]
LABELS = ("log10 R_HRS (ohm)", "U_SET (V)", "R_LRS (ohm)", "U_RESET (V)")
UNITS = ("decades", "V", "ohm", "V")
# Formats of the axes and of values at the pointer; resistances have "k" and "M".
TICKS = ("0.[00]", "0.[000]", "0.[00]a", "0.[000]")
FORMATS = ("{0.00}", "{0.000} V", "{0,0} ohm", "{0.000} V")
VOLTAGES = (1, 3)
SHORT = tuple(NAMES.values())
TOOLS = "box_zoom,pan,wheel_zoom,reset,save"
QUANTILES = np.concatenate([[0.001], np.linspace(0.0, 1.0, 203)[1:-1], [0.999]])


@dataclass(frozen=True)
class Panel:
    """Interactive figure with a description in words and its data as a table."""

    name: str
    title: str
    description: str
    figure: Any  # a Bokeh figure or a row of figures
    table: dict[str, Array]
    height: int = 250
    wide: bool = False  # as wide as the page, otherwise one of several side by side
    aside: bool = False  # in a part of the page that is closed at first


def new_panel(
    x_label: str,
    y_label: str,
    width: int = 255,
    height: int = 235,
    x_axis_type: str = "auto",
    y_axis_type: str = "auto",
) -> Figure:
    """Return an empty figure with zoom tools and readable axes."""
    from bokeh.plotting import figure

    made = figure(
        width=width, height=height, tools=TOOLS, active_drag="box_zoom", active_scroll=None,
        x_axis_label=x_label, y_axis_label=y_label, toolbar_location="above",
        x_axis_type=x_axis_type, y_axis_type=y_axis_type,
        background_fill_color="#ffffff", outline_line_color="#8a8a8a",
    )  # fmt: skip
    made.toolbar.logo = None
    made.toolbar.stylesheets = ["@media print { :host { visibility: hidden; } }"]
    for axis in (made.xaxis, made.yaxis):
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_color = axis.major_label_text_color = "#222222"
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
        axis.ticker.desired_num_ticks = 5
    made.xaxis.ticker.desired_num_ticks = 4
    made.axis.minor_tick_line_color = None
    return made


def report_panel(
    x_label: str,
    y_label: str,
    *,
    x_ticks: str = "",
    y_ticks: str = "",
    x_axis_type: str = "auto",
    y_axis_type: str = "auto",
    height: int = 250,
) -> Figure:
    """Return an empty figure as wide as its place in the page, controlled by its toolbar.

    ``x_ticks`` and ``y_ticks`` are formats of Bokeh's ``NumeralTickFormatter``.
    """
    from bokeh.models import NumeralTickFormatter

    made = new_panel(
        x_label, y_label, height=height, x_axis_type=x_axis_type, y_axis_type=y_axis_type
    )
    made.sizing_mode, made.min_width = "stretch_width", 200
    made.toolbar_location, made.outline_line_color = None, None
    made.axis.axis_line_color = made.axis.major_tick_line_color = "#8a8a8a"
    made.grid.grid_line_color = "#e6e6e6"
    made.axis.axis_label_text_font_size = "13px"
    for axis, ticks in ((made.xaxis, x_ticks), (made.yaxis, y_ticks)):
        if ticks:
            axis.formatter = NumeralTickFormatter(format=ticks)
    return made


def hover(panel: Figure, renderers: list[GlyphRenderer], tips: list[tuple[str, str]]) -> None:
    """Show values of the renderers at the pointer."""
    from bokeh.models import HoverTool

    panel.add_tools(HoverTool(renderers=renderers, tooltips=tips))


def distributions(found: Comparison, step: float | None = None) -> list[Panel]:
    """Return the shares of all cycles of all devices in equal bins; ``step`` is the sweep's (V)."""
    measured, generated = found.measured.pooled(), found.generated.pooled()
    panels = []
    for f, label in enumerate(LABELS):
        edges = bin_edges(measured[:, f], step if f in VOLTAGES else None)
        share = [_percent(data[:, f], edges) for data in (measured, generated)]
        data = {"left": edges[:-1], "right": edges[1:], "measured": share[0],
                "generated": share[1]}  # fmt: skip
        panel = report_panel(label, "share of cycles (%)", x_ticks=TICKS[f], y_ticks="0.[0]")
        panel.y_range.start = 0
        bars = panel.quad(left="left", right="right", top="measured", bottom=0, source=data,
                          color=MEASURED, alpha=0.45, line_alpha=0)  # fmt: skip
        # Generated data as an outline, because overlaid areas would hide each other.
        panel.line(np.repeat(edges, 2)[1:-1], np.repeat(share[1], 2), color=GENERATED,
                   line_width=2)  # fmt: skip
        hover(panel, [bars], [("from", f"@left{FORMATS[f]}"), ("to", f"@right{FORMATS[f]}"),
                              ("measured", "@measured{0.00} %"),
                              ("generated", "@generated{0.00} %")])  # fmt: skip
        text = f"{SHORT[f]}: {_spread('measured', measured[:, f])}, " + _spread(
            "generated", generated[:, f]
        )
        panels.append(Panel(f"distribution-{f}", SHORT[f], text, panel, data))
    return panels


def quantiles(found: Comparison) -> list[Panel]:
    """Return plots of generated against measured quantiles."""
    measured, generated = found.measured.pooled(), found.generated.pooled()
    panels = []
    for f, label in enumerate(LABELS):
        x, y = (np.quantile(data[:, f], QUANTILES) for data in (measured, generated))
        data = {"probability": QUANTILES, "measured": x, "generated": y}
        panel = report_panel(
            f"measured {label}", f"generated {label}", x_ticks=TICKS[f], y_ticks=TICKS[f]
        )
        panel.line(x[[0, -1]], x[[0, -1]], color="#767676", line_width=1.5, line_dash="dashed")
        dots = panel.scatter("measured", "generated", source=data, color=GENERATED, size=4)
        hover(panel, [dots], [("quantile", "@probability{0.0 %}"),
                              ("measured", f"@measured{FORMATS[f]}"),
                              ("generated", f"@generated{FORMATS[f]}")])  # fmt: skip
        spread = float(np.std(measured[:, f])) or 1.0
        worst = int(np.argmax(np.abs(x - y)))
        text = (
            f"{SHORT[f]}: quantiles are at most {abs(x - y)[worst] / spread:.2f} standard "
            f"deviations from the diagonal, at the {QUANTILES[worst]:.1%} quantile"
        )
        panels.append(Panel(f"quantiles-{f}", SHORT[f], text, panel, data))
    return panels


def memory(found: Comparison) -> list[Panel]:
    """Return auto- and cross-correlations over lags for all pairs of features."""
    measured, generated = correlations(found.measured), correlations(found.generated)
    panels = []
    for a in range(4):
        for b in range(4):
            # Lag 0 of an autocorrelation is 1, and a logarithmic axis does not contain it.
            shown = (CENTRES > 0.0) & np.isfinite(measured[:, 0, 0])
            data = {"lag": CENTRES[shown], "measured": measured[shown, a, b],
                    "generated": generated[shown, a, b]}  # fmt: skip
            panel = report_panel(
                "lag (cycles)", "correlation", x_axis_type="log", x_ticks="0", y_ticks="0.[00]"
            )
            panel.line([1, 100], [0, 0], color="#767676", line_width=1)
            panel.line("lag", "generated", source=data, color=GENERATED, line_width=2)
            dots = panel.scatter("lag", "measured", source=data, size=6, line_color=MEASURED,
                                 fill_color=None, line_width=1.5)  # fmt: skip
            tips = [("lag", "@lag"), ("measured", "@measured{0.000}"),
                    ("generated", "@generated{0.000}")]  # fmt: skip
            hover(panel, [dots], tips)
            error = float(np.abs(data["measured"] - data["generated"]).max())
            title = SHORT[a] if a == b else f"{SHORT[a]} now, {SHORT[b]} before"
            text = (
                f"{title}: correlation at lag 1 is {measured[1, a, b]:.3f} measured, "
                f"{generated[1, a, b]:.3f} generated; largest difference {error:.3f}"
            )
            panels.append(Panel(f"memory-{a}{b}", title, text, panel, data, aside=a != b))
    return panels


def devices(found: Comparison) -> list[Panel]:
    """Return plots of the standard deviation against the mean of each device."""
    moments = [
        np.array([[y.mean(axis=0), y.std(axis=0)] for _, y in data.devices])
        for data in (found.measured, found.generated)
    ]
    order = natural_order(found.names)
    moments = [values[order] for values in moments]
    names = np.asarray(found.names)[order]
    panels = []
    for f, label in enumerate(LABELS):
        panel = report_panel(
            f"mean {label}", f"standard deviation ({UNITS[f]})", x_ticks=TICKS[f], y_ticks=TICKS[f]
        )
        table: dict[str, Array] = {"device": names}
        for word, values, colour, marker in (
            ("measured", moments[0], MEASURED, "circle"),
            ("generated", moments[1], GENERATED, "x"),
        ):
            data = {"device": names, "mean": values[:, 0, f], "deviation": values[:, 1, f]}
            table |= {f"{word}_mean": data["mean"], f"{word}_deviation": data["deviation"]}
            dots = panel.scatter("mean", "deviation", source=data, marker=marker, size=6,
                                 line_color=colour, fill_color=None, line_width=1.3)  # fmt: skip
            kind = "device" if word == "measured" else "generated cell for device"
            spread = "@deviation{0.000} decades" if f == 0 else f"@deviation{FORMATS[f]}"
            hover(panel, [dots], [(kind, "@device"), ("mean", f"@mean{FORMATS[f]}"),
                                  ("standard deviation", spread)])  # fmt: skip
        text = f"{SHORT[f]}: {_spread('device means measured', moments[0][:, 0, f])}, " + _spread(
            "generated", moments[1][:, 0, f]
        )
        panels.append(Panel(f"devices-{f}", SHORT[f], text, panel, table))
    return panels


def _percent(values: Array, edges: Array) -> Array:
    counts, _ = np.histogram(values, edges)
    return np.asarray(100.0 * counts / len(values))


def _spread(word: str, values: Array) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{word} median {middle:.4g}, from {low:.4g} to {high:.4g} (5 to 95 %)"
