"""Sections of a report that have figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.loops import MAX_DEVICES
from synfab.learn.traps.data import Relaxation
from synfab.report import panels
from synfab.report.panels import Panel
from synfab.report.sample import MAX_BLOCKS, block_length

if TYPE_CHECKING:
    from synfab.report.picked import Picked


@dataclass(frozen=True)
class Section:
    """Section of the page.

    Attributes
    ----------
    id, title, text
        Target of links to it, heading, and first paragraph.
    panels
        Figures.
    table
        Content of the table of the figures, in words.
    aside
        Heading of the part with the figures that are not shown at first; may be empty.
    picker
        A device can be selected.
    """

    id: str
    title: str
    text: str = ""
    panels: Sequence[Panel] = ()
    table: str = ""
    aside: str = ""
    picker: bool = False


def sections(found: Comparison, one: Picked, step: float | None) -> list[Section]:
    """Return the sections on a measurement whose sweeps have a step (V), if it is known."""
    return [
        Section("one", "One device", _one_device(found, one), [*one.loops, *one.series],
                picker=True),
        Section("distributions", "Distributions", f"All cycles of all devices.{_binned(step)}",
                panels.distributions(found, step), "shares of the cycles in bins"),
        Section("quantiles", "Quantiles",
                "The points of a model that fits lie on the dashed line, including the tails.",
                panels.quantiles(found), "quantiles of all cycles"),
        Section("memory", "Memory",
                "Dependence of a cycle on earlier ones: correlations within devices; above lag 20 "
                "averages over bands of lags.",
                panels.memory(found), "correlations over lags",
                aside="Twelve cross-correlations between features"),
        Section("devices", "Device to device",
                "Mean and standard deviation over the cycles of each device.",
                panels.devices(found), "mean and deviation of each device"),
    ]  # fmt: skip


def over_time(found: Comparison, relaxation: Relaxation) -> Section:
    """Return the section on conductances over time."""
    from synfab.report.time_panels import time_panels

    return Section(
        "time", "Over time",
        "Generated cells are programmed to the measured conductances and wait for the measured "
        "times, without read noise.",
        time_panels(found.model, relaxation, found.seed), "conductances over time",
    )  # fmt: skip


def _one_device(found: Comparison, one: Picked) -> str:
    number = len(found.names)
    text = (
        "" if number == 1 else f"{min(MAX_DEVICES, number)} of {number} devices can be selected. "
    )
    text += (
        "The generated cell is not a copy of the measured device: it is another device of the same "
        "population, swept with the same voltages. "
        if one.loops
        else "The measurement is a table of features, so there are no loops to show. "
    )
    length = block_length(found)
    if length == 1:
        return f"{text}Over the cycles: every cycle."
    return (
        f"{text}Over the cycles: medians of {length} cycles each (at most {MAX_BLOCKS} blocks); "
        "the bands contain 80 % of them."
    )


def _binned(step: float | None) -> str:
    if step is None:
        return ""
    return f" The bins of voltages are multiples of the step of the sweep, {1e3 * step:.3g} mV."
