"""Interactive panels of measured and generated data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common.types import Array
from synfab.figures.cells import COLOURS
from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.lags import CENTRES, correlations
from synfab.learn.comparison.properties import NAMES

if TYPE_CHECKING:
    from bokeh.models import GlyphRenderer
    from bokeh.plotting import figure as Figure  # noqa: N812

MEASURED, GENERATED = COLOURS[0], COLOURS[1]
LABELS = ("log10 R_HRS (ohm)", "U_SET (V)", "R_LRS (ohm)", "U_RESET (V)")
SHORT = tuple(NAMES.values())
TOOLS = "box_zoom,pan,wheel_zoom,reset,save"
BINS = 60
QUANTILES = np.concatenate([[0.001], np.linspace(0.0, 1.0, 203)[1:-1], [0.999]])


@dataclass(frozen=True)
class Panel:
    """Interactive figure with a description in words and its data as a table."""

    name: str
    title: str
    description: str
    figure: Any  # a Bokeh figure or a row of figures
    table: dict[str, Array]
    width: int = 255
    height: int = 235
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


def hover(panel: Figure, renderers: list[GlyphRenderer], tips: list[tuple[str, str]]) -> None:
    """Show values of the renderers at the pointer."""
    from bokeh.models import HoverTool

    panel.add_tools(HoverTool(renderers=renderers, tooltips=tips))


def distributions(found: Comparison) -> list[Panel]:
    """Return the densities of all cycles of all devices, on equal bins."""
    measured, generated = found.measured.pooled(), found.generated.pooled()
    panels = []
    for f, label in enumerate(LABELS):
        low, high = np.quantile(measured[:, f], [0.0005, 0.9995])
        margin = 0.1 * (high - low) or max(abs(high), 1.0) * 1e-3
        edges = np.linspace(low - margin, high + margin, BINS + 1)
        density = [_density(data[:, f], edges) for data in (measured, generated)]
        data = {"left": edges[:-1], "right": edges[1:], "measured": density[0],
                "generated": density[1]}  # fmt: skip
        panel = new_panel(label, "density" if f == 0 else "")
        bars = panel.quad(left="left", right="right", top="measured", bottom=0, source=data,
                          color=MEASURED, alpha=0.45, line_alpha=0)  # fmt: skip
        # Generated data as an outline, because overlaid areas would hide each other.
        panel.line(np.repeat(edges, 2)[1:-1], np.repeat(density[1], 2), color=GENERATED,
                   line_width=2)  # fmt: skip
        hover(panel, [bars], [("from", "@left"), ("to", "@right"), ("measured", "@measured"),
                              ("generated", "@generated")])  # fmt: skip
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
        panel = new_panel(f"measured {label}", f"generated {label}")
        panel.line(x[[0, -1]], x[[0, -1]], color="#767676", line_width=1.5, line_dash="dashed")
        dots = panel.scatter("measured", "generated", source=data, color=GENERATED, size=4)
        hover(panel, [dots], [("quantile", "@probability{0.000}"), ("measured", "@measured"),
                              ("generated", "@generated")])  # fmt: skip
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
            panel = new_panel("lag (cycles)", "correlation", x_axis_type="log")
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
    names = np.asarray(found.names)
    panels = []
    for f, label in enumerate(LABELS):
        panel = new_panel(f"mean {label}", "standard deviation" if f == 0 else "")
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
            hover(panel, [dots], [(kind, "@device"), ("mean", "@mean"),
                                  ("standard deviation", "@deviation")])  # fmt: skip
        text = f"{SHORT[f]}: {_spread('device means measured', moments[0][:, 0, f])}, " + _spread(
            "generated", moments[1][:, 0, f]
        )
        panels.append(Panel(f"devices-{f}", SHORT[f], text, panel, table))
    return panels


def _density(values: Array, edges: Array) -> Array:
    counts, _ = np.histogram(values, edges)
    return np.asarray(counts / (len(values) * np.diff(edges)))


def _spread(word: str, values: Array) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{word} median {middle:.4g}, from {low:.4g} to {high:.4g} (5 to 95 %)"
