"""Interactive panels of conductances over time, measured and generated."""

from __future__ import annotations

from typing import Any

import numpy as np

from synfab.common.types import FloatArray
from synfab.figures.time import BANDS, excess_kurtosis, generated_changes
from synfab.learn.traps.data import Changes, Relaxation, Trace
from synfab.model.cell_model import CellModel
from synfab.report.panels import GENERATED, MEASURED, Panel, hover, report_panel

MIN_KURTOSIS = 150  # cells, below which a kurtosis is mostly chance
HEIGHT = 270


def time_panels(model: CellModel, relaxation: Relaxation, seed: int) -> list[Panel]:
    """Return panels of relaxation, its spread and kurtosis, spectra and bakes, as far as measured.

    Generated cells are programmed to the measured conductances and wait for the measured times.
    """
    found = []
    for k, changes in enumerate(relaxation.changes):
        if len(changes.times) > 1:
            found += _relaxation_panels(k, changes, generated_changes(model, changes, seed))
    if len(relaxation.changes) > 1:
        found.append(_bake_panel(model, relaxation.changes, seed))
    if relaxation.traces:
        found.append(_spectrum_panel(model, relaxation.traces))
    return found


def _relaxation_panels(k: int, changes: Changes, made: FloatArray) -> list[Panel]:
    times, kelvin = changes.times, changes.temperature
    bands = [1e6 * np.nanpercentile(x, BANDS, axis=0) for x in (changes.change, made)]
    spreads = [1e6 * np.nanstd(x, axis=0) for x in (changes.change, made)]
    where = f"{len(changes.g)} cells at {kelvin:.0f} K"
    table = {"time": times} | {
        f"{word}_{name}": band[i]
        for word, band in zip(("measured", "generated"), bands, strict=True)
        for i, name in enumerate(("low", "median", "high"))
    }
    panel = report_panel("time (s)", "change of G (uS)", x_axis_type="log", height=HEIGHT)
    panel.varea("time", "generated_low", "generated_high", source=table, fill_color=GENERATED,
                fill_alpha=0.25)  # fmt: skip
    panel.line("time", "generated_median", source=table, color=GENERATED, line_width=2)
    panel.segment("time", "measured_low", "time", "measured_high", source=table, color=MEASURED,
                  line_width=1.5)  # fmt: skip
    dots = panel.scatter("time", "measured_median", source=table, size=7, line_color=MEASURED,
                         fill_color=None, line_width=1.5)  # fmt: skip
    hover(panel, [dots], [("time", "@time s"), ("measured", "@measured_median{0.00} uS"),
                          ("generated", "@generated_median{0.00} uS")])  # fmt: skip
    text = (
        f"Change of the conductance of {where}: median and the middle 90 %; after "
        f"{times[-1]:.3g} s the median is {bands[0][1, -1]:.2f} uS measured, "
        f"{bands[1][1, -1]:.2f} uS generated"
    )
    found = [Panel(f"time-change-{k}", f"Change, {kelvin:.0f} K", text, panel, table, HEIGHT)]
    found.append(_pair(f"time-spread-{k}", f"Standard deviation, {kelvin:.0f} K",
                       "standard deviation (uS)", times, *spreads))  # fmt: skip
    if np.isfinite(changes.change).sum(axis=0).min() >= MIN_KURTOSIS:
        tails = [excess_kurtosis(x.T) for x in (changes.change, made)]
        found.append(_pair(f"time-kurtosis-{k}", f"Excess kurtosis, {kelvin:.0f} K",
                           "excess kurtosis", times, *tails))  # fmt: skip
    return found


def _pair(
    name: str, title: str, label: str, times: FloatArray, measured: FloatArray, made: FloatArray
) -> Panel:
    """Return a panel of one statistic over time."""
    table = {"time": times, "measured": measured, "generated": made}
    panel = report_panel("time (s)", label, x_axis_type="log", height=HEIGHT)
    panel.line("time", "generated", source=table, color=GENERATED, line_width=2)
    dots = panel.scatter("time", "measured", source=table, size=7, line_color=MEASURED,
                         fill_color=None, line_width=1.5)  # fmt: skip
    hover(panel, [dots], [("time", "@time s"), ("measured", "@measured{0.00}"),
                          ("generated", "@generated{0.00}")])  # fmt: skip
    text = (
        f"{title}: {measured[0]:.3g} at {times[0]:.3g} s and {measured[-1]:.3g} at "
        f"{times[-1]:.3g} s measured, {made[0]:.3g} and {made[-1]:.3g} generated"
    )
    return Panel(name, title, text, panel, table, HEIGHT)


def _bake_panel(model: CellModel, sets: tuple[Changes, ...], seed: int) -> Panel:
    """Return the spread of the last change at each temperature."""
    kelvin = np.array([one.temperature for one in sets])
    measured = np.array([1e6 * np.nanstd(one.change[:, -1]) for one in sets])
    made = np.array([1e6 * np.std(generated_changes(model, one, seed)[:, -1]) for one in sets])
    table = {"temperature": kelvin, "measured": measured, "generated": made}
    panel = report_panel("temperature (K)", "standard deviation (uS)", height=HEIGHT)
    panel.line("temperature", "generated", source=table, color=GENERATED, line_width=2)
    dots = panel.scatter("temperature", "measured", source=table, size=7, line_color=MEASURED,
                         fill_color=None, line_width=1.5)  # fmt: skip
    hover(panel, [dots], [("temperature", "@temperature K"), ("measured", "@measured{0.00} uS"),
                          ("generated", "@generated{0.00} uS")])  # fmt: skip
    worst = int(np.argmax(np.abs(made / measured - 1.0)))
    text = (
        f"Standard deviation of the last change at each temperature: the largest difference is "
        f"{abs(made[worst] / measured[worst] - 1.0):.0%}, at {kelvin[worst]:.0f} K"
    )
    return Panel("time-bakes", "Bakes", text, panel, table, HEIGHT)


def _spectrum_panel(model: CellModel, traces: tuple[Trace, ...]) -> Panel:
    """Return the spectral densities of traces, and of the traps at their conductances."""
    from scipy.signal import welch

    assert model.traps is not None
    panel = report_panel(
        "frequency (Hz)", "density (uS²/Hz)", x_axis_type="log", y_axis_type="log", height=HEIGHT
    )
    columns: dict[str, list[Any]] = {
        name: [] for name in ("trace", "frequency", "measured", "generated")
    }
    ratios = []
    for k, trace in enumerate(traces[:8]):
        f, density = welch(trace.g, trace.rate, nperseg=max(256, len(trace.g) // 16))
        inside = (f > 0.0) & (f < 0.4 * trace.rate)
        pick = np.unique(np.geomspace(1, inside.sum(), 60).astype(int)) - 1
        f, density = f[inside][pick], 1e12 * density[inside][pick]
        exact = 1e12 * model.traps.spectral_density(f, float(np.mean(trace.g)), trace.temperature)
        panel.line(f, exact, color=GENERATED, line_width=2)
        panel.line(f, density, color=MEASURED, line_width=1)
        ratios.append(np.median(density / exact))
        for name, values in zip(columns, (np.full(len(f), k), f, density, exact), strict=True):
            columns[name].append(values)
    table = {name: np.concatenate(values) for name, values in columns.items()}
    text = (
        f"Spectral density of {len(ratios)} traces and, as lines, of the traps at their mean "
        f"conductances: measured over generated, the median over frequency is "
        f"{min(ratios):.2f} to {max(ratios):.2f}"
    )
    return Panel("time-spectrum", "Spectrum", text, panel, table, HEIGHT)
