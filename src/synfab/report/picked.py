"""Panels of one selectable device; the page contains the data of all of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.layouts import row
from bokeh.models import ColumnDataSource

from synfab.common.errors import InvalidValueError
from synfab.common.natural import natural_order
from synfab.common.types import Array
from synfab.figures.cells import COLOURS
from synfab.learn.comparison.compare import Comparison, loop_features
from synfab.learn.comparison.loops import Loops, chosen_devices, generated_loops, measured_loops
from synfab.learn.sweeps import Sweeps
from synfab.report.panels import (
    FORMATS,
    GENERATED,
    LABELS,
    MEASURED,
    SHORT,
    TICKS,
    Panel,
    hover,
    report_panel,
)
from synfab.report.sample import MAX_LOOPS, Marks, Series, device_series, switching_marks

SET, RESET = COLOURS[3], COLOURS[2]
LOOP_HEIGHT = 380


@dataclass(frozen=True)
class Picked:
    """Panels of the first device, and the data of all selectable devices.

    ``columns[source][k]`` are the columns of the data source ``source`` for device ``names[k]``, as
    base64 of float32.
    """

    names: list[str]
    loops: list[Panel]
    series: list[Panel]
    columns: dict[str, list[dict[str, str]]]


def picked(found: Comparison, sweeps: Sweeps | None) -> Picked:
    """Return the selectable devices with their panels and data."""
    order = natural_order(found.names)
    index = [order[k] for k in chosen_devices(len(order))]
    names = [found.names[k] for k in index]
    columns: dict[str, list[dict[str, str]]] = {}
    loop_panels = [] if sweeps is None else _loop_panels(found, sweeps, index, columns)
    return Picked(names, loop_panels, _series_panels(found, index, columns), columns)


def _loop_panels(
    found: Comparison, sweeps: Sweeps, index: list[int], columns: dict[str, list[dict[str, str]]]
) -> list[Panel]:
    names = [found.names[k] for k in index]
    by_name = measured_loops(sweeps, names, MAX_LOOPS)
    missing = [name for name in names if name not in by_name]
    if missing:
        raise InvalidValueError(f"sweeps: no loops of device {missing[0]}, which was compared")
    measured = [by_name[name] for name in names]
    generated = generated_loops(found.model, measured, found.seed)
    figures: list[Any] = []
    for word, loops, colour in (
        ("measured", measured, MEASURED),
        ("generated", generated, GENERATED),
    ):
        data = [_loop_columns(one) for one in loops]
        columns[f"loops-{word}"] = [_encoded(one) for one in data]
        figure = report_panel("voltage (V)", f"{word} current (uA)", height=LOOP_HEIGHT)
        # Side by side on wide screens, otherwise below each other.
        figure.min_width, figure.styles = 280, {"flex": "1 1 320px"}
        if figures:
            figure.x_range, figure.y_range = figures[0].x_range, figures[0].y_range
        source = ColumnDataSource(data[0], name=f"loops-{word}")
        figure.line("voltage", "current", source=source, color=colour, line_width=1.2)
        dots = figure.scatter("voltage", "current", source=source, color=colour, size=2.5)
        hover(figure, [dots], [("loop", "@loop"), ("voltage", "@voltage{0.000} V"),
                               ("current", "@current{0.00} uA")])  # fmt: skip
        figures.append(figure)
    marks = [
        switching_marks(one, *loop_features(found, k))
        for one, k in zip(measured, index, strict=True)
    ]
    for name, marker, colour in (("set", "inverted_triangle", SET), ("reset", "triangle", RESET)):
        points = [_mark_columns(one[name]) for one in marks]
        columns[f"marks-{name}"] = [_encoded(one) for one in points]
        source = ColumnDataSource(points[0], name=f"marks-{name}")
        dots = figures[0].scatter("voltage", "current", source=source, marker=marker, size=9,
                                  fill_color=colour, line_color="#ffffff")  # fmt: skip
        hover(figures[0], [dots], [("loop", "@loop"), (f"u_{name}", "@voltage{0.000} V")])
    text = (
        "Up to ten I-V loops of the selected device, and those of a generated cell at the same "
        "voltages, on equal axes. Triangles on the measured loops: the SET (pointing down) and the "
        "RESET (pointing up) as extracted; loops without them could not be evaluated"
    )
    title = "I-V loops, measured and generated"
    both = row(*figures, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
    return [Panel("loops", title, text, both, {}, LOOP_HEIGHT, wide=True)]


def _series_panels(
    found: Comparison, index: list[int], columns: dict[str, list[dict[str, str]]]
) -> list[Panel]:
    record = {
        "measured": [device_series(found.measured, k) for k in index],
        "generated": [device_series(found.generated, k) for k in index],
    }
    for word, series in record.items():
        columns[f"series-{word}"] = [_encoded(_series_columns(one)) for one in series]
    panels = []
    for f, label in enumerate(LABELS):
        panel = report_panel("cycle", label, x_ticks="0", y_ticks=TICKS[f])
        for word, colour, marker in (
            ("measured", MEASURED, "circle"),
            ("generated", GENERATED, "x"),
        ):
            # One source per panel, because each panel is a document of its own.
            source = ColumnDataSource(_series_columns(record[word][0]), name=f"series-{word}")
            panel.varea("cycle", f"low_{f}", f"high_{f}", source=source, color=colour,
                        alpha=0.2)  # fmt: skip
            dots = panel.scatter("cycle", f"median_{f}", source=source, size=5,
                                 marker=marker, line_color=colour, fill_color=None)  # fmt: skip
            hover(panel, [dots], [(word, f"@median_{f}{FORMATS[f]}"), ("cycle", "@cycle{0}")])
        text = f"{SHORT[f]} of the selected device over its cycles, measured and generated"
        panels.append(Panel(f"series-{f}", SHORT[f], text, panel, {}))
    return panels


def _loop_columns(loops: Loops) -> dict[str, Array]:
    """Return all loops as one line that NaN interrupts between them."""
    count, points = loops.voltage.shape
    gap = np.full((count, 1), np.nan)
    return {
        "loop": np.repeat(np.arange(1, count + 1, dtype=np.float32), points + 1),
        "voltage": np.hstack([loops.voltage, gap]).ravel().astype(np.float32),
        "current": np.hstack([1e6 * loops.current, gap]).ravel().astype(np.float32),
    }


def _mark_columns(marks: Marks) -> dict[str, Array]:
    return {
        "loop": marks.loop.astype(np.float32),
        "voltage": marks.voltage.astype(np.float32),
        "current": (1e6 * marks.current).astype(np.float32),
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
