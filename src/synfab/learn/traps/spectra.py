"""Spectral densities of traces, and those of traps in equilibrium."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from synfab.common.types import Array, FloatArray
from synfab.learn.traps.data import Trace
from synfab.model.traps import Traps

PARTS = 4  # of a trace, whose spectra are averaged
PER_DECADE = 4  # bands
MAX_GROUPS = 8
NEAR = 0.05  # relative distance of conductances that count as one
HIGHEST = 0.45  # of the rate


class Band(NamedTuple):
    """Mean spectral density of cells of similar conductance in bands of frequency, (F,)."""

    temperature: float
    rate: float
    g: FloatArray  # mean conductances (S) of the cells, (C,)
    frequency: FloatArray  # Hz
    density: FloatArray  # S**2/Hz, mean over the cells
    error: FloatArray  # of its natural logarithm


def spectrum_of(trace: Trace) -> tuple[Array, Array, Array]:
    """Return the frequencies (Hz) of bands, the one-sided density (S**2/Hz), and its error.

    The error is that of the natural logarithm, from the length of the trace.
    """
    from scipy.signal import welch

    length = len(trace.g) // PARTS
    frequency, density = welch(trace.g, trace.rate, nperseg=length, detrend="linear")
    inside = (frequency >= 2.0 * trace.rate / length) & (frequency <= HIGHEST * trace.rate)
    frequency, density = frequency[inside], density[inside]
    band = np.floor(PER_DECADE * np.log10(frequency) + 1e-9).astype(np.intp)
    found = np.unique(band)
    f = np.array([np.exp(np.log(frequency[band == b]).mean()) for b in found])
    s = np.array([density[band == b].mean() for b in found])
    counts = np.array([(band == b).sum() for b in found])
    return f, s, 1.0 / np.sqrt(PARTS * counts)


def bands_of(traces: tuple[Trace, ...]) -> list[Band]:
    """Return spectra of groups of cells, by temperature, rate, length and conductance.

    A cell has few traps, so the logarithm of its density differs from that of others by about 1,
    which is added to the error.
    """
    keys: dict[tuple[float, float, int], list[Trace]] = {}
    for trace in traces:
        keys.setdefault((trace.temperature, round(trace.rate, 9), len(trace.g)), []).append(trace)
    found = []
    for (temperature, rate, _), some in keys.items():
        for group in _by_conductance(sorted(some, key=lambda trace: float(trace.g.mean()))):
            spectra = [spectrum_of(trace) for trace in group]
            density = np.mean([s for _, s, _ in spectra], axis=0)
            error = np.sqrt((spectra[0][2] ** 2 + 1.0) / len(group))
            g = np.array([trace.g.mean() for trace in group])
            positive = density > 0.0
            found.append(Band(temperature, rate, g, spectra[0][0][positive], density[positive],
                              error[positive]))  # fmt: skip
    return found


def _by_conductance(traces: list[Trace]) -> list[list[Trace]]:
    """Return traces in order of conductance in groups, those of nearly equal ones together."""
    g = np.array([trace.g.mean() for trace in traces])
    span = max(float(np.ptp(g)), 1e-300)
    cuts = np.flatnonzero(np.diff(g) > NEAR * span) + 1
    if len(cuts) < MAX_GROUPS:
        return [list(group) for group in _split(traces, cuts)]
    edges = np.linspace(0, len(traces), MAX_GROUPS + 1).astype(np.intp)[1:-1]
    return [list(group) for group in _split(traces, edges)]


def _split(traces: list[Trace], cuts: Array) -> list[list[Trace]]:
    ends = [0, *cuts.tolist(), len(traces)]
    return [traces[a:b] for a, b in pairwise(ends)]


def log_density(traps: Traps, band: Band, white: float) -> Array:
    """Return ln of the density (S**2/Hz) of sampled reads with the noise ``white`` (S**2/Hz).

    What is faster than half the rate appears at lower frequencies; the first two images of the
    spectrum are counted.
    """
    f, rate = band.frequency, band.rate
    unit = sum(traps.unit_density(image, band.temperature) for image in (f, rate - f, rate + f))
    level = float(np.mean(traps.amplitude_at(band.g) ** 2))
    return np.asarray(np.log(level * unit + white))
