"""Panels of one device that the reader picks: their data travels with the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common.errors import InvalidValueError
from synfab.learn.compare import Comparison
from synfab.learn.sweeps import Sweeps
from synfab.report.panels import GENERATED, LABELS, MEASURED, SHORT, Panel, hover, new_panel
from synfab.report.sample import (
    Loops,
    Series,
    chosen_devices,
    device_series,
    generated_loops,
    measured_loops,
)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Picked:
    """Panels of the first device, and the columns of every device on offer.

    ``columns[source][k]`` are the columns, as base64 of float32, that the data source named
    ``source`` has for device ``names[k]``.
    """

    names: list[str]
    loops: list[Panel]
    series: list[Panel]
    columns: dict[str, list[dict[str, str]]]


def picked(found: Comparison, sweeps: Sweeps | None) -> Picked:
    """Choose devices, and make their panels."""
    index = chosen_devices(len(found.names))
    names = [found.names[k] for k in index]
    columns: dict[str, list[dict[str, str]]] = {}
    loop_panels = [] if sweeps is None else _loop_panels(found, sweeps, names, columns)
    return Picked(names, loop_panels, _series_panels(found, index, columns), columns)


def _loop_panels(
    found: Comparison, sweeps: Sweeps, names: list[str], columns: dict[str, list[dict[str, str]]]
) -> list[Panel]:
    there = measured_loops(sweeps, names)
    missing = [name for name in names if name not in there]
    if missing:
        raise InvalidValueError(f"sweeps: no loops of device {missing[0]}, which was compared")
    measured = [there[name] for name in names]
    generated = generated_loops(found.model, measured, found.seed)
    from bokeh.layouts import row
    from bokeh.models import ColumnDataSource

    figures: list[Any] = []
    for word, loops, colour in (
        ("measured", measured, MEASURED),
        ("generated", generated, GENERATED),
    ):
        data = [_loop_columns(one) for one in loops]
        columns[f"loops-{word}"] = [_encoded(one) for one in data]
        figure = new_panel("voltage (V)", f"{word} current (uA)", width=520, height=370)
        # One beside the other where there is room, one below the other on a telephone.
        figure.sizing_mode, figure.max_width, figure.min_width = "stretch_width", 520, 300
        figure.styles = {"flex": "1 1 340px"}
        if figures:
            figure.x_range, figure.y_range = figures[0].x_range, figures[0].y_range
        source = ColumnDataSource(data[0], name=f"loops-{word}")
        figure.line("voltage", "current", source=source, color=colour, line_width=1.2)
        dots = figure.scatter("voltage", "current", source=source, color=colour, size=2.5)
        hover(figure, [dots], [("loop", "@loop"), ("voltage", "@voltage{0.000} V"),
                               ("current", "@current{0.00} uA")])  # fmt: skip
        figures.append(figure)
    text = (
        "I-V loops of the device that is picked, up to ten of its record, beside those of a "
        "generated cell under the same voltages, on the same axes"
    )
    title = "I-V loops: measured on the left, generated on the right"
    both = row(*figures, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
    return [Panel("loops", title, text, both, {}, 1040, 370)]


def _series_panels(
    found: Comparison, index: list[int], columns: dict[str, list[dict[str, str]]]
) -> list[Panel]:
    from bokeh.models import ColumnDataSource

    record = {
        "measured": [device_series(found.measured, k) for k in index],
        "generated": [device_series(found.generated, k) for k in index],
    }
    for word, series in record.items():
        columns[f"series-{word}"] = [_encoded(_series_columns(one)) for one in series]
    panels = []
    for f, label in enumerate(LABELS):
        panel = new_panel("cycle", label)
        for word, colour, marker in (
            ("measured", MEASURED, "circle"),
            ("generated", GENERATED, "x"),
        ):
            # A source of its own for every panel: each is a document by itself.
            source = ColumnDataSource(_series_columns(record[word][0]), name=f"series-{word}")
            panel.varea("cycle", f"low_{f}", f"high_{f}", source=source, color=colour,
                        alpha=0.2)  # fmt: skip
            dots = panel.scatter("cycle", f"median_{f}", source=source, size=4,
                                 marker=marker, line_color=colour, fill_color=None)  # fmt: skip
            hover(panel, [dots], [(word, f"@median_{f}"), ("cycle", "@cycle{0}")])
        text = f"{SHORT[f]} of the picked device over its cycles, measured and generated"
        panels.append(Panel(f"series-{f}", SHORT[f], text, panel, {}))
    return panels


def _loop_columns(loops: Loops) -> dict[str, Array]:
    """All loops in one line: not-a-number lifts the pen between them."""
    count, points = loops.voltage.shape
    gap = np.full((count, 1), np.nan)
    return {
        "loop": np.repeat(np.arange(1, count + 1, dtype=np.float32), points + 1),
        "voltage": np.hstack([loops.voltage, gap]).ravel().astype(np.float32),
        "current": np.hstack([1e6 * loops.current, gap]).ravel().astype(np.float32),
    }


def _series_columns(series: Series) -> dict[str, Array]:
    columns = {"cycle": series.cycle.astype(np.float32)}
    for f in range(4):
        for name in ("median", "low", "high"):
            columns[f"{name}_{f}"] = getattr(series, name)[:, f].astype(np.float32)
    return columns


def _encoded(columns: dict[str, Array]) -> dict[str, str]:
    return {
        name: base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()
        for name, values in columns.items()
    }
