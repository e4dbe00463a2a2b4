"""Figures of arrays and models; each function draws one and returns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synfab.common import extras
from synfab.common.types import Array
from synfab.figures.panels import new_figure
from synfab.model.cell_model import FEATURES, CellModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synfab.figures.panels import GivenAxes

LABELS = {
    "r_hrs": "R$_{HRS}$ (ohm)",
    "u_set": "U$_{SET}$ (V)",
    "r_lrs": "R$_{LRS}$ (ohm)",
    "u_reset": "U$_{RESET}$ (V)",
}
# Colours of Okabe and Ito, which are distinguishable with colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def iv_loops(voltages: Array, currents: Array, *, axes: GivenAxes = None) -> Figure:
    """Draw a grid of I-V loops: ``voltages`` (points,), ``currents`` (cycles, points, cells).

    ``axes``: one for each cell; None: a new figure.
    """
    extras.check("matplotlib")
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    cycles, _, cells = currents.shape
    side = int(np.ceil(np.sqrt(cells)))
    rows, columns = (side, side) if axes is None else (1, cells)
    figure, panels = new_figure(rows, columns, (8.5, 7.5), axes, sharex=True, sharey=True)
    colours = colormaps["viridis"](np.linspace(0.0, 1.0, cycles))
    for cell, axis in enumerate(panels.flat):
        if cell >= cells:
            axis.set_axis_off()
            continue
        for cycle in range(cycles):
            axis.plot(voltages, currents[cycle, :, cell] * 1e6, color=colours[cycle], lw=0.4)
        axis.text(0.04, 0.9, f"cell {cell}", transform=axis.transAxes, fontsize=8)
        if axes is not None:
            axis.set(xlabel="voltage (V)", ylabel="current (uA)")
    if axes is None:
        figure.supxlabel("voltage (V)")
        figure.supylabel("current (uA)")
    scale = ScalarMappable(Normalize(0, cycles - 1), colormaps["viridis"])
    figure.colorbar(scale, ax=panels, label="cycle", shrink=0.6)
    return figure


def feature_series(features: dict[str, Array], *, axes: GivenAxes = None) -> Figure:
    """Draw features (devices, cycles) over the cycles of some devices.

    It needs four ``axes``.
    """
    figure, panels = new_figure(len(FEATURES), 1, (9.0, 7.0), axes, sharex=True)
    for axis, name in zip(panels[:, 0], FEATURES, strict=True):
        for device, colour in zip(features[name], COLOURS, strict=False):
            axis.plot(device, ".", ms=2.5, color=colour)
        axis.set_ylabel(LABELS[name])
        if name == "r_hrs":
            axis.set_yscale("log")
    panels[-1, 0].set_xlabel("cycle")
    panels[0, 0].set_title("Four devices (colours) with different means and memory", fontsize=10)
    return figure


def feature_distributions(features: dict[str, Array], *, axes: GivenAxes = None) -> Figure:
    """Draw the distributions of features (devices, cycles): all cycles, and device medians.

    It needs four ``axes``.
    """
    figure, panels = new_figure(2, 2, (9.0, 6.5), axes)
    for axis, name in zip(panels.flat, FEATURES, strict=True):
        values = features[name]
        low, high = np.quantile(values, [0.0005, 0.9995])
        if name == "r_hrs":
            bins = np.geomspace(low, high, 80)
            axis.set_xscale("log")
            axis.xaxis.set_minor_formatter("")  # its labels would overlap
        else:
            bins = np.linspace(low, high, 80)
        axis.hist(values.ravel(), bins, density=True, color=COLOURS[0], alpha=0.5, label="cycles")
        medians = np.median(values, axis=1)
        axis.hist(
            medians, bins, density=True, histtype="step", color=COLOURS[1], label="device medians"
        )
        axis.set_xlabel(LABELS[name])
        axis.set_ylabel("density")
    panels[0, 0].legend(fontsize=8)
    return figure


def autocorrelation(
    vectors: Array, model: CellModel, order: int, n_lags: int = 30, *, axes: GivenAxes = None
) -> Figure:
    """Draw the autocorrelation of x* (cycles, 4, devices) and the exact one (from A and B).

    It needs four ``axes``.
    """
    exact = model.history(order).autocorrelation(n_lags)
    figure, panels = new_figure(2, 2, (9.0, 6.0), axes, sharex=True)
    lags = np.arange(n_lags + 1)
    for f, (axis, name) in enumerate(zip(panels.flat, FEATURES, strict=True)):
        x = vectors[:, f].astype(np.float64)
        estimate = np.array([np.mean(x[k:] * x[: len(x) - k]) for k in lags]) / np.mean(x * x)
        axis.plot(lags, exact[:, f], color=COLOURS[1], label="exact, from A and B")
        axis.plot(lags, estimate, "o", ms=4, mfc="none", color=COLOURS[0], label="generated")
        axis.set_ylim(-0.05, 0.6 if name != "r_hrs" else 0.3)
        axis.set_title(f"x* of {name}", fontsize=10)
        axis.set_ylabel("autocorrelation")
    for axis in panels[-1]:
        axis.set_xlabel("lag (cycles)")
    panels[0, 0].legend(fontsize=8)
    return figure


def device_map(parameters: Array, model: CellModel, *, axes: GivenAxes = None) -> Figure:
    """Draw the mean features of devices, ``parameters`` (devices, 8), with outliers marked.

    Outliers are devices whose most probable component of the mixture is the rarest one. It needs
    three ``axes``.
    """
    population = model.population
    outlier = population.component(parameters) == int(np.argmin(population.weights))
    means = model.to_features(parameters[:, :4])
    means[:, 0] = np.log10(means[:, 0])
    figure, panels = new_figure(1, 3, (11.0, 4.0), axes)
    pairs = ((0, 2), (1, 3), (2, 3))
    names = ("log10 R$_{HRS}$", "U$_{SET}$ (V)", "R$_{LRS}$ (ohm)", "U$_{RESET}$ (V)")
    for axis, (a, b) in zip(panels.flat, pairs, strict=True):
        inside, outside = means[~outlier], means[outlier]
        axis.plot(inside[:, a], inside[:, b], ".", ms=2, color=COLOURS[0], alpha=0.4)
        label = f"outliers: {outlier.mean():.1%} of {len(outlier)} devices"
        axis.plot(outside[:, a], outside[:, b], "x", ms=4, color=COLOURS[1], label=label)
        axis.set_xlabel(f"device's mean {names[a]}")
        axis.set_ylabel(f"device's mean {names[b]}")
    panels[0, 0].legend(fontsize=8)
    return figure
