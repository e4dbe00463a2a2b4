"""Fit traps to public measurements, compare them with cells left out, and write the tables.

Run it with: python -m benchmarks.relaxation

The measurements are those of the folder RRAM-Relaxation-Master-Model in SYNFAB_DATA (A. Levy, MIT
licence). The tables replace what is between the two marks in docs/validation.md, and relaxation.png
shows them.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import synfab as sf
from synfab import learn
from synfab.common.types import Array
from synfab.learn.traps.data import Changes, Trace
from synfab.learn.traps.moments import expected
from synfab.learn.traps.spectra import bands_of
from synfab.learn.traps.statistics import Statistics, bootstrapped, statistics

PAGE = Path("docs/validation.md")
MARKS = ("<!-- relaxation: begin -->", "<!-- relaxation: end -->")
QUARTERS = 4
REPLICATES = 200
BAND = (0.1, 20.0)  # Hz, where slopes and levels of spectra are compared
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Wong's
NAMES = ("mean (uS)", "standard deviation (uS)", "excess kurtosis", "correlation of increments")
Judged = tuple[str, Statistics, Statistics, list[Array]]


def data_folder() -> Path:
    """Return the folder of the measurements."""
    folder = Path(os.environ.get("SYNFAB_DATA", "")) / "RRAM-Relaxation-Master-Model"
    if not folder.is_dir():
        sys.exit("SYNFAB_DATA: expected a folder that contains RRAM-Relaxation-Master-Model")
    return folder


def technology_c() -> Changes:
    """Return the relaxation of 16,292 cells from 10 ms to 28 hours."""
    columns = ["device", "time", "_", "conductance", "programmed", "_", "_"]
    found = learn.read_relaxation(data_folder() / "techC_relaxation.tsv.gz", columns=columns)
    return found.changes[0]


def technology_a() -> tuple[learn.Relaxation, learn.Relaxation]:
    """Return five traces of 250 s, and bakes of 16,384 cells at five temperatures."""
    folder = data_folder()
    traces = learn.read_relaxation(
        folder / "techA_timeseries.tsv.gz", columns=["device", "_"], rate=400.0
    )
    columns = ["device", "time", "_", "conductance", "temperature [degC]"]
    return traces, learn.read_relaxation(folder / "techA_bake.tsv.gz", columns=columns)


def halves(changes: Changes) -> tuple[Changes, Changes]:
    """Return every other cell in order of conductance, and the rest."""
    order = np.argsort(changes.g, kind="stable")
    return changes.part(order[::2]), changes.part(order[1::2])


def natural(found: Statistics) -> list[Array]:
    """Return mean and deviation (uS), excess kurtosis and correlation."""
    return [1e6 * found.mean, 1e6 * np.exp(found.log_sd), np.exp(found.log_kurtosis) - 3.0,
            found.correlation]  # fmt: skip


def judged(fit: learn.TrapFit, held: Changes) -> Iterator[Judged]:
    """Yield the range of conductance, measured and modelled statistics, and their errors."""
    quarters = np.array_split(np.argsort(held.g, kind="stable"), QUARTERS)
    for k, rows in enumerate(quarters):
        part = held.part(rows)
        measured, replicates, _ = bootstrapped(part.change, REPLICATES, 1, k)
        errors = [np.std(values, axis=0, ddof=1) for values in natural(replicates)]
        text = f"{1e6 * part.g.min():.1f} to {1e6 * part.g.max():.1f}"
        yield text, measured, expected(fit.traps, part, fit.read_noise), errors


def relaxation_table(results: list[Judged], fitted: Changes, held: Changes) -> tuple[str, int, int]:
    """Return the table, and how many numbers are outside: of the model, of the fitted half."""
    lines = [
        "| conductance (uS) | time (s) | " + " | ".join(NAMES) + " |",
        "|---|---|---|---|---|---|",
    ]
    outside = between = total = 0
    quarters = np.array_split(np.argsort(fitted.g, kind="stable"), QUARTERS)
    for (text, measured, modelled, errors), rows in zip(results, quarters, strict=True):
        other = natural(statistics(fitted.part(rows).change))
        columns = list(zip(natural(measured), natural(modelled), errors, other, strict=True))
        for k, t in enumerate(held.times):
            cells = []
            for m, g, e, o in columns:
                if k >= len(m):
                    cells.append("")
                    continue
                far = abs(g[k] - m[k]) > 2.0 * e[k]
                outside, total = outside + far, total + 1
                between += abs(o[k] - m[k]) > 2.0 * e[k]
                mark = "**" if far else ""
                cells.append(f"{m[k]:.2f} ± {e[k]:.2f}, {mark}{g[k]:.2f}{mark}")
            lines.append(f"| {text} | {t:.3g} | {' | '.join(cells)} |")
    summary = (
        f"{total - outside} of {total} numbers are within twice the bootstrap error of the held "
        f"half; those in bold are not. Of the fitted half itself, {total - between} are."
    )
    return f"{summary}\n\n" + "\n".join(lines), outside, total


def slope_and_level(frequency: Array, density: Array) -> tuple[float, float]:
    """Return the slope of ln S over ln f in ``BAND``, and the mean of ln S."""
    inside = (frequency >= BAND[0]) & (frequency <= BAND[1])
    x, y = np.log(frequency[inside]), np.log(density[inside])
    return float(np.polyfit(x, y, 1)[0]), float(y.mean())


def trace_table(fit: learn.TrapFit, traces: tuple[Trace, ...]) -> str:
    """Return slope and level of each trace and of the model."""
    lines = ["| conductance (uS) | slope | model | level, model / measured |", "|---|---|---|---|"]
    slopes, levels = [], []
    for band in bands_of(traces):
        slope, level = slope_and_level(band.frequency, band.density)
        modelled = fit.traps.spectral_density(band.frequency, float(band.g.mean()))
        own, height = slope_and_level(band.frequency, modelled)
        slopes.append((slope, own))
        levels.append(height - level)
        lines.append(f"| {1e6 * band.g.mean():.0f} | {slope:.2f} | {own:.2f} | "
                     f"{np.exp(height - level):.2f} |")  # fmt: skip
    mean, own = np.mean(slopes, axis=0)
    lines.append(f"| mean | {mean:.2f} | {own:.2f} | {np.exp(np.mean(levels)):.2f} |")
    return "\n".join(lines)


def spread(changes: Changes) -> float:
    return float(1e6 * np.exp(statistics(changes.change).log_sd[0]))


def predicted_spread(fit: learn.TrapFit, changes: Changes) -> float:
    return float(1e6 * np.exp(expected(fit.traps, changes, fit.read_noise).log_sd[0]))


def left_out(traces: learn.Relaxation, bakes: tuple[Changes, ...]) -> list[float]:
    """Return the spread after each bake that traces and the other bakes predict, over measured."""
    found = []
    for one in bakes:
        others = learn.Relaxation(tuple(other for other in bakes if other is not one))
        fit = learn.fit_traps([traces, others], replicates=20)
        found.append(predicted_spread(fit, one) / spread(one))
        print(f"without {one.temperature:.0f} K: {found[-1]:.2f}", flush=True)
    return found


def bake_table(fit: learn.TrapFit, bakes: tuple[Changes, ...], without: list[float]) -> str:
    """Return the spread after each bake, measured and modelled, of all cells and of quarters."""
    lines = [
        "| bake (°C) | measured (uS) | model / measured | in quarters | bake not fitted |",
        "|---|---|---|---|---|",
    ]
    for one, predicted in zip(bakes, without, strict=True):
        parts = [one.part(rows) for rows in np.array_split(np.argsort(one.g), QUARTERS)]
        ratios = ", ".join(f"{predicted_spread(fit, p) / spread(p):.2f}" for p in parts)
        own = spread(one)
        lines.append(
            f"| {one.temperature - 273.15:.0f} | {own:.1f} | "
            f"{predicted_spread(fit, one) / own:.2f} | {ratios} | {predicted:.2f} |"
        )
    return "\n".join(lines)


def separable(bakes: tuple[Changes, ...], rank: int) -> float:
    """Return the largest relative deviation of the spreads of eighths from ``rank`` amplitudes.

    The variances after each bake, in eighths of the conductance, are a sum of ``rank`` products of
    a function of conductance and one of temperature; the deviation is that of the best one.
    """
    from sklearn.decomposition import NMF

    variance = np.array([
        [spread(one.part(rows)) ** 2 for rows in np.array_split(np.argsort(one.g), 8)]
        for one in bakes
    ])  # fmt: skip
    fitted = NMF(rank, beta_loss="itakura-saito", solver="mu", init="nndsvda", max_iter=20_000,
                 tol=1e-9)  # fmt: skip
    weights = fitted.fit_transform(variance)
    return float(np.abs(np.sqrt(weights @ fitted.components_ / variance) - 1.0).max())


def draw(
    results: list[Judged], held: Changes, fit: learn.TrapFit, traces: tuple[Trace, ...]
) -> None:
    """Draw measured and modelled statistics over time, and the spectra of the traces."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(13.0, 3.6), layout="constrained")
    for (text, measured, modelled, errors), colour in zip(results, COLOURS, strict=False):
        for axis, k in zip(axes, (1, 2, 0), strict=False):
            points = {"yerr": 2.0 * errors[k], "fmt": "o", "ms": 4, "color": colour}
            axis.errorbar(held.times, natural(measured)[k], **points, label=f"{text} uS")
            axis.plot(held.times, natural(modelled)[k], color=colour)
            axis.set_ylabel(NAMES[k])
            axis.set_xscale("log")
            axis.set_xlabel("time after programming (s)")
    axes[1].set_yscale("log")
    axes[0].legend(fontsize=7, frameon=False, title="measured; lines: model")
    for band, colour in zip(bands_of(traces), COLOURS, strict=False):
        modelled = fit.traps.spectral_density(band.frequency, float(band.g.mean()))
        axes[3].loglog(band.frequency, 1e12 * band.density, "o", ms=3, color=colour,
                       label=f"{1e6 * band.g.mean():.0f} uS")  # fmt: skip
        axes[3].loglog(band.frequency, 1e12 * modelled, color=colour)
    axes[3].set_xlabel("frequency (Hz)")
    axes[3].set_ylabel("spectral density (uS²/Hz)")
    axes[3].legend(fontsize=7, frameon=False)
    figure.savefig("relaxation-fit.png", dpi=150)


def main() -> None:
    begin = time.perf_counter()
    fitted, held = halves(technology_c())
    fit_c = learn.fit_traps(learn.Relaxation((fitted,)))
    results = list(judged(fit_c, held))
    table, outside, total = relaxation_table(results, fitted, held)
    print(f"{fit_c}\n{outside} of {total} outside, {time.perf_counter() - begin:.0f} s", flush=True)
    traces, bakes = technology_a()
    fit_traces = learn.fit_traps(traces)
    spectra = trace_table(fit_traces, traces.traces)
    print(spectra, flush=True)
    draw(results, held, fit_traces, traces.traces)
    if not PAGE.exists():  # called for the figure only
        return
    both = learn.fit_traps([traces, bakes])
    baked = bake_table(both, bakes.changes, left_out(traces, bakes.changes))
    print(f"{both}\n{baked}\n{time.perf_counter() - begin:.0f} s", flush=True)
    one, two = (separable(bakes.changes, rank) for rank in (1, 2))
    date = dt.datetime.now(tz=dt.UTC).date()
    text = f"""Written by `python -m benchmarks.relaxation` (synfab {sf.__version__}, {date}).

**Technology C**: {len(fitted.g)} cells were fitted, {len(held.g)} others compared. Each entry
is the measured number ± its bootstrap error, and that of the model. {table}

**Technology A, traces** of 250 s at 400 Hz, {BAND[0]:g} to {BAND[1]:g} Hz. One cell at each
conductance has few traps, so its slope differs from the mean of such cells:

{spectra}

**Technology A, bakes** of 75 to 120 minutes, fitted together with the traces with one attempt time
({both.traps.attempt_time:.1e} s): spread of the change after each bake, and as predicted from the
traces and the other bakes.

{baked}

One amplitude A(G) for all time constants cannot describe the spread at each conductance: the best
one deviates by up to {one:.0%} in eighths of the conductance, two by up to {two:.0%}. Above
200 °C, high conductances lose what they were programmed to; reads at 300 K do not show it."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
