"""Figures of measured, extracted and generated features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synfab.figures import cells as report
from synfab.figures.cells import COLOURS
from synfab.figures.panels import new_figure
from synfab.learn.comparison.compare import Comparison
from synfab.learn.comparison.lags import CENTRES, correlations
from synfab.learn.landmarks import NEGATIVE, ONSET, SET, VALID, ZERO
from synfab.learn.loops import Loops
from synfab.model.cell_model import FEATURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synfab.figures.panels import GivenAxes

LABELS = {**report.LABELS, "r_hrs": "log10 R$_{HRS}$ (ohm)"}
SHORT = ("R$_{HRS}$", "U$_{SET}$", "R$_{LRS}$", "U$_{RESET}$")
MEASURED, GENERATED = COLOURS[0], COLOURS[1]
QUANTILES = np.linspace(0.0, 1.0, 203)[1:-1]


def extracted_loops(loops: Loops, count: int = 4, *, axes: GivenAxes = None) -> Figure:
    """Draw ``count`` loops with the extracted voltages and resistances.

    It needs as many ``axes``.
    """
    good = np.flatnonzero(loops.reasons == VALID)
    chosen = good[np.linspace(0, len(good) - 1, min(count, len(good))).astype(int)]
    figure, panels = new_figure(1, len(chosen), (3.3 * len(chosen), 3.4), axes, sharey=True)
    device = loops.device
    for axis, k in zip(panels.flat, chosen, strict=True):
        part = slice(device.offsets[k], device.offsets[k + 1])
        v, i = device.voltage[part], device.current[part] * 1e6
        at, values = loops.points[k], loops.features()[k]
        axis.plot(v, i, ".-", ms=2, lw=0.5, color="0.55")
        for resistance, colour, window, name in (
            (values[0], COLOURS[0], (at[SET], 0), SHORT[0]),
            (values[2], COLOURS[2], (at[NEGATIVE], at[ZERO]), SHORT[2]),
        ):
            low = max(v[window[0]], -0.6)
            line = np.array([low, 0.0])
            shift = np.median(i[np.abs(v) < 0.1]) if (np.abs(v) < 0.1).any() else 0.0
            text = f"{name} = {resistance / 1e3:.2f} kohm"
            axis.plot(line, line / resistance * 1e6 + shift, color=colour, lw=1.8, label=text)
        axis.plot(values[1], i[at[SET]], "v", color=COLOURS[1],
                  label=f"{SHORT[1]} = {values[1]:.2f} V")  # fmt: skip
        axis.plot(values[3], i[at[ONSET]], "^", color=COLOURS[3],
                  label=f"{SHORT[3]} = {values[3]:.2f} V")  # fmt: skip
        axis.set_title(f"device {device.name}, cycle {device.cycles[k]}", fontsize=9)
        axis.set_xlabel("voltage (V)")
        axis.legend(fontsize=6.5, loc="upper left", frameon=False)
    panels[0, 0].set_ylabel("current (uA)")
    return figure


def distributions(found: Comparison, *, axes: GivenAxes = None) -> Figure:
    """Draw the pooled distributions of the features, measured and generated.

    It needs four ``axes``.
    """
    measured, generated = found.measured.pooled(), found.generated.pooled()
    figure, panels = new_figure(1, 4, (12.0, 3.2), axes)
    for f, (axis, name) in enumerate(zip(panels.flat, FEATURES, strict=True)):
        low, high = np.quantile(measured[:, f], [0.0005, 0.9995])
        margin = 0.1 * (high - low) or max(abs(high), 1.0) * 1e-3
        bins = np.linspace(low - margin, high + margin, 70)
        axis.hist(measured[:, f], bins, density=True, color=MEASURED, alpha=0.45, label="measured")
        axis.hist(generated[:, f], bins, density=True, histtype="step", color=GENERATED, lw=1.4,
                  label="generated")  # fmt: skip
        axis.set_xlabel(LABELS[name])
        if name not in found.not_scored:
            result = found.result("distribution", name)
            axis.set_title(f"W = {result.distance:.3f} sigma (yardstick {result.yardstick:.3f})",
                           fontsize=9)  # fmt: skip
    panels[0, 0].set_ylabel("density")
    panels[0, 0].legend(fontsize=8, frameon=False)
    return figure


def quantile_plots(found: Comparison, *, axes: GivenAxes = None) -> Figure:
    """Draw generated against measured quantiles.

    It needs four ``axes``.
    """
    measured, generated = found.measured.pooled(), found.generated.pooled()
    figure, panels = new_figure(1, 4, (12.0, 3.2), axes)
    for f, (axis, name) in enumerate(zip(panels.flat, FEATURES, strict=True)):
        x, y = np.quantile(measured[:, f], QUANTILES), np.quantile(generated[:, f], QUANTILES)
        axis.plot(x, x, color="0.6", lw=0.8)
        axis.plot(x, y, ".", ms=3, color=GENERATED)
        axis.set_xlabel(f"measured {LABELS[name]}")
        axis.set_ylabel("generated")
    return figure


def autocorrelations(found: Comparison, *, axes: GivenAxes = None) -> Figure:
    """Draw auto- and cross-correlations over lags 1 … 100.

    It needs 16 ``axes``.
    """
    measured, generated = correlations(found.measured), correlations(found.generated)
    figure, panels = new_figure(4, 4, (11.0, 8.0), axes, sharex=True, sharey="row")
    shown = CENTRES > 0.0
    lags = CENTRES[shown]
    for a in range(4):
        for b in range(4):
            axis = panels[a, b]
            axis.semilogx(lags, measured[shown, a, b], "o", ms=3, mfc="none", color=MEASURED,
                          label="measured")  # fmt: skip
            axis.plot(lags, generated[shown, a, b], color=GENERATED, label="generated")
            axis.axhline(0.0, color="0.8", lw=0.6)
            axis.set_title(f"{SHORT[a]} now, {SHORT[b]} before", fontsize=8)
    for axis in panels[-1]:
        axis.set_xlabel("lag (cycles)")
    for axis in panels[:, 0]:
        axis.set_ylabel("correlation")
    panels[0, 0].legend(fontsize=7, frameon=False)
    return figure


def device_levels(found: Comparison, *, axes: GivenAxes = None) -> Figure:
    """Draw means and standard deviations of devices, measured and generated.

    It needs four ``axes``.
    """
    figure, panels = new_figure(1, 4, (12.0, 3.2), axes)
    for f, (axis, name) in enumerate(zip(panels.flat, FEATURES, strict=True)):
        for data, colour, marker, label in (
            (found.measured, MEASURED, "o", "measured"),
            (found.generated, GENERATED, "x", "generated"),
        ):
            mean = [y[:, f].mean() for _, y in data.devices]
            spread = [y[:, f].std() for _, y in data.devices]
            axis.plot(mean, spread, marker, ms=3, color=colour, mfc="none", ls="", label=label)
        axis.set_xlabel(f"device's mean {LABELS[name]}")
        axis.set_ylabel("device's standard deviation")
    panels[0, 0].legend(fontsize=8, frameon=False)
    return figure
