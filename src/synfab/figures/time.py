"""Figures of cells that change with time, and the simulations that they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import extras
from synfab.common.types import Array, FloatArray
from synfab.figures.cells import COLOURS
from synfab.figures.panels import given_axes, new_figure
from synfab.model.cell_model import CellModel
from synfab.model.traps import BOLTZMANN_EV, NOMINAL_TEMPERATURE
from synfab.physics.rules import highest_state

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from synfab.figures.panels import GivenAxes
    from synfab.learn.traps.data import Changes, Relaxation

CELLS = 20_000
BANDS = (5.0, 50.0, 95.0)
FOLDS = 200  # multiples of the rate whose traps are folded into the band of a sampled record
STATISTICS: tuple[Callable[..., FloatArray], ...] = (np.nanmedian, np.nanstd)
YEAR = 3.156e7  # s
# Times (s) at which axes have a name, among those shown.
NAMED = {1.0: "1 s", 3600.0: "1 h", 86400.0: "1 day", YEAR: "1 year", 10 * YEAR: "10 years"}


def retained(
    model: CellModel,
    conductance: float,
    times: Sequence[float] | FloatArray,
    *,
    temperature: float = NOMINAL_TEMPERATURE,
    cells: int = CELLS,
    seed: int = 1,
) -> FloatArray:
    """Return the conductance (S) of cells at times (s) after programming, (times, cells)."""
    array = CellArray(model, cells, seed=seed).set_conductance(conductance)
    steps = np.diff(np.concatenate([[0.0], np.asarray(times, np.float64)]))
    found = [model.conduction.conductance(array.wait(float(step), temperature).r) for step in steps]
    return np.stack(found)


def excess_kurtosis(changes: FloatArray) -> FloatArray:
    """Return the excess kurtosis of changes (times, cells) at each time; NaN without a change.

    Changes of cells that were not read are NaN and left out.
    """
    centred = changes - np.nanmean(changes, axis=1, keepdims=True)
    variance = np.nanmean(centred**2, axis=1)
    safe = np.where(variance > 0.0, variance, np.nan)
    return np.asarray(np.nanmean(centred**4, axis=1) / safe**2 - 3.0)


def relaxation(
    model: CellModel,
    conductances: Sequence[float],
    times: FloatArray,
    temperature: float = NOMINAL_TEMPERATURE,
    *,
    axes: GivenAxes = None,
) -> Figure:
    """Draw the conductance over time: median, 5 to 95 % of the cells, and the kurtosis.

    It needs two ``axes``.
    """
    figure, panels = new_figure(1, 2, (10.0, 4.0), axes)
    bands, tails = panels[0]
    for g, colour in zip(conductances, COLOURS, strict=False):
        found = retained(model, g, times, temperature=temperature)
        low, middle, high = 1e6 * np.percentile(found, BANDS, axis=1)
        bands.fill_between(times, low, high, color=colour, alpha=0.25, lw=0)
        bands.plot(times, middle, color=colour, label=f"programmed to {1e6 * g:.0f} uS")
        tails.plot(times, excess_kurtosis(found - g), color=colour, lw=1.0)
    for axis in (bands, tails):
        _name_times(axis, times)
    bands.set_ylabel("conductance (uS): median, 5 to 95 %")
    bands.legend(fontsize=8, frameon=False)
    tails.axhline(0.0, color="0.6", lw=0.8)
    tails.set_ylabel("excess kurtosis of the change")
    return figure


def noise_spectrum(
    model: CellModel, conductance: float, *, rate: float = 400.0, seconds: float = 200.0,
    cells: int = 64, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw the spectral density of reads over time, generated and from the equations.

    ``ax``: the axes to draw on; None: those of a new figure of pyplot.
    """
    extras.check("matplotlib")
    from scipy.signal import welch

    array = CellArray(model, cells, seed=1).set_conductance(conductance).wait(1e6)
    current = np.asarray(array.trace(seconds, rate, noise=False), np.float64)
    scale = conductance * 0.2 / float(model.conduction.current(
        model.conduction.state(conductance), 0.2))  # fmt: skip
    f, density = welch(current / 0.2 * scale, rate, nperseg=len(current) // 8, axis=0)
    assert model.traps is not None
    axis, inside = _single(ax, (5.6, 4.0)), (f > 0.0) & (f < 0.4 * rate)
    exact = model.traps.spectral_density(f[inside], conductance)
    slope = float(np.polyfit(np.log(f[inside]), np.log(exact), 1)[0])
    folded = np.abs(f[inside, None] + rate * np.arange(-FOLDS, FOLDS + 1))
    sampled = model.traps.spectral_density(folded, conductance).sum(axis=1)
    axis.loglog(f[inside], 1e12 * density[inside][:, :8], color="0.75", lw=0.5)
    axis.loglog(f[inside], 1e12 * density[inside].mean(axis=1), color=COLOURS[0],
                label=f"mean of {cells} cells; eight of them in grey")  # fmt: skip
    axis.loglog(f[inside], 1e12 * exact, "--", color=COLOURS[1],
                label=f"from the traps, slope {slope:.2f}")  # fmt: skip
    axis.loglog(f[inside], 1e12 * sampled, ":", color="black",
                label=f"sampled at {rate:g} Hz, which folds faster traps back")  # fmt: skip
    axis.set_xlabel("frequency (Hz)")
    axis.set_ylabel("spectral density (uS$^2$/Hz)")
    axis.legend(fontsize=7, frameon=False)
    return axis


def _single(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the axes of the caller, or those of a new figure of pyplot, which notebooks show."""
    if ax is not None:
        found: Axes = given_axes("ax", ax, 1)[0]
        return found
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def retention(
    model: CellModel,
    conductance: float,
    window: float,
    *,
    share: float = 0.01,
    temperatures: Sequence[float] = (300.0, 330.0, 360.0, 390.0, 420.0, 450.0),
    cells: int = CELLS,
    axes: GivenAxes = None,
) -> Figure:
    """Draw the share of cells that left a window (S), and the time to a share over 1/T.

    It needs two ``axes``.
    """
    times = np.logspace(-3.0, 9.5, 51)
    figure, panels = new_figure(1, 2, (10.0, 4.0), axes)
    lost, arrhenius = panels[0]
    reached = []
    shades = np.linspace(0.0, 0.75, len(temperatures))
    for kelvin, shade in zip(temperatures, shades, strict=True):
        found = retained(model, conductance, times, temperature=kelvin, cells=cells)
        failed = np.mean(np.abs(found - conductance) > window, axis=1)
        lost.plot(times, 100.0 * failed, color=_shade(shade), label=f"{kelvin:.0f} K")
        past = np.flatnonzero(failed >= share)
        reached.append(times[past[0]] if past.size and past[0] > 0 else np.nan)
    lost.axhline(100.0 * share, color="0.6", lw=0.8)
    _name_times(lost, times)
    lost.set_ylabel(f"cells that changed by more than {1e6 * window:.1f} uS (%)")
    lost.legend(fontsize=8, frameon=False)
    _arrhenius(arrhenius, np.array(temperatures), np.array(reached), share)
    return figure


def _arrhenius(axis: Axes, kelvin: FloatArray, reached: FloatArray, share: float) -> None:
    """Draw times (s) over 1/(k_B T) with the line of the activation energy."""
    known = np.isfinite(reached)
    inverse = 1.0 / (BOLTZMANN_EV * kelvin[known])
    axis.semilogy(inverse, reached[known], "o", color=COLOURS[0])
    if known.sum() > 1:
        energy, offset = np.polyfit(inverse, np.log(reached[known]), 1)
        axis.semilogy(
            inverse, np.exp(energy * inverse + offset), color=COLOURS[1],
            label=f"{energy:.2f} eV",
        )  # fmt: skip
        axis.legend(fontsize=8, frameon=False)
    axis.set_xlabel("1 / (k$_B$ T) (1/eV)")
    axis.set_ylabel(f"time until {share:.0%} of the cells have failed (s)")


def _shade(level: float) -> tuple[float, float, float, float]:
    from matplotlib import colormaps

    return colormaps["viridis"](level)


def _name_times(axis: Axes, times: Array) -> None:
    """Make the axis of times logarithmic, with names of hours and years above it."""
    axis.set_xscale("log")
    axis.set_xlabel("time after programming (s)")
    low, high = float(np.min(times)), float(np.max(times))
    axis.set_xlim(low, high)
    shown = {t: name for t, name in NAMED.items() if low <= t <= high and name != "1 year"}
    upper = axis.secondary_xaxis("top")
    upper.set_xticks(list(shown), labels=list(shown.values()), fontsize=8)
    upper.minorticks_off()


def relaxation_fit(
    model: CellModel, measured: Relaxation, seed: int = 1, *, axes: GivenAxes = None
) -> Figure:
    """Draw median and standard deviation of the change over time, measured and generated.

    It needs two ``axes``.

    Generated cells are programmed to the measured conductances and wait for the measured times.
    """
    figure, panels = new_figure(1, 2, (9.0, 3.6), axes)
    for k, changes in enumerate(one for one in measured.changes if len(one.times) > 1):
        made = generated_changes(model, changes, seed)
        colour = COLOURS[k % len(COLOURS)]
        for axis, statistic in zip(panels[0], STATISTICS, strict=True):
            label = f"{changes.temperature:.0f} K"
            axis.plot(changes.times, 1e6 * statistic(changes.change, axis=0), "o", mfc="none",
                      color=colour, label=f"measured, {label}")  # fmt: skip
            axis.plot(changes.times, 1e6 * statistic(made, axis=0), color=colour,
                      label=f"generated, {label}")  # fmt: skip
            _name_times(axis, changes.times)
    for axis, text in zip(panels[0], ("median", "standard deviation"), strict=True):
        axis.set_ylabel(f"{text} of the change (uS)")
    panels[0, 0].legend(fontsize=8, frameon=False)
    return figure


def generated_changes(model: CellModel, changes: Changes, seed: int) -> FloatArray:
    """Return changes (S), (cells, times), of generated cells programmed to measured conductances.

    Conductances outside the range of the model are programmed to its limit.
    """
    conduction, g = model.conduction, changes.g
    if len(g) > CELLS:
        g = g[np.linspace(0, len(g) - 1, CELLS).astype(int)]
    low = float(conduction.conductance(highest_state(model)))
    g = np.clip(g, low * (1.0 + 1e-6), conduction.g_llrs * (1.0 - 1e-6))
    cells = CellArray(model, len(g), seed=seed).set_conductance(g)
    if changes.start > 0.0:
        cells.wait(changes.start, NOMINAL_TEMPERATURE)
    reference = conduction.conductance(cells.r)
    result, now = [], changes.start
    for time in changes.times:
        cells.wait(float(time - now), changes.temperature)
        now = float(time)
        result.append(conduction.conductance(cells.r) - reference)
    return np.array(result).T
