"""Free numbers of a fit of traps: their order in a vector, limits, expectations and defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synfab.common.types import Array, FloatArray
from synfab.learn.traps.data import Changes
from synfab.learn.traps.spectra import Band
from synfab.model.traps import MAX_TRAPS, NOMINAL_TEMPERATURE, Traps

# Defaults of what the data do not carry.
ATTEMPT_TIME = 1e-13  # s, the period of a vibration of the lattice
INITIAL_OCCUPANCY = 0.5  # a switching event leaves traps occupied or empty at random
OCCUPANCY = 0.5
TRAP_SPREAD, CELL_SPREAD = 0.5, 0.0
LONGEST = 1e13  # s at 300 K, about 10 years at 360 K
SMALLEST = 1e-300  # s
HIGHEST = 100  # decade of the longest time constant of a model

# Expectations: standard deviation of each number, or of differences of neighbours.
WIDTHS = {
    "log_amplitude": 3.0, "raising": 0.5, "log_spectrum": 2.0, "logit_occupancy": 3.0,
    "trap_spread": 0.5, "cell_spread": 0.5, "log_noise": 3.0, "log_white": 5.0,
    "log_attempt": math.log(10.0),
}  # fmt: skip
FIRST = {"log_spectrum": 1.0, "logit_occupancy": 1.5}
SECOND = {"log_amplitude": 1.5, "raising": 0.3, "log_spectrum": 0.7, "logit_occupancy": 1.0}


@dataclass(frozen=True, eq=False)
class Layout:
    """Which numbers are free, and what of a model they determine."""

    edges: FloatArray  # s, all intervals of time constants
    free: slice  # intervals that the data reach; others are as the nearest of these
    nodes: FloatArray  # S
    sizes: dict[str, int]  # free numbers by name
    start: FloatArray
    lower: FloatArray
    upper: FloatArray
    centre: FloatArray

    def split(self, vector: Array) -> dict[str, Array]:
        """Return the free numbers by name."""
        found, begin = {}, 0
        for name, size in self.sizes.items():
            found[name] = vector[begin : begin + size]
            begin += size
        return found

    def traps(self, vector: Array) -> Traps:
        """Return the traps of free numbers."""
        values = self.split(vector)
        count = len(self.edges) - 1
        reach = np.clip(np.arange(count), self.free.start, self.free.stop - 1) - self.free.start
        logits = values.get("logit_occupancy")
        q = OCCUPANCY if logits is None else (1.0 / (1.0 + np.exp(-logits)))[reach]
        return Traps(
            self.edges,
            _normalised(np.exp(values["log_spectrum"]))[reach],
            self.nodes,
            np.exp(values["log_amplitude"]),
            raising=values.get("raising", 0.0),
            trap_spread=_one(values, "trap_spread", TRAP_SPREAD),
            cell_spread=_one(values, "cell_spread", CELL_SPREAD),
            initial_occupancy=INITIAL_OCCUPANCY,
            occupancy=q,
            attempt_time=math.exp(_one(values, "log_attempt", math.log(ATTEMPT_TIME))),
        )

    def expectations(self, vector: Array) -> Array:
        """Return deviations from what is expected of the numbers, in standard deviations."""
        values, centre = self.split(vector), self.split(self.centre)
        found = [(values[name] - centre[name]) / WIDTHS[name] for name in values]
        found += [np.diff(values[name]) / width for name, width in FIRST.items() if name in values]
        found += [
            np.diff(values[name], 2) / width for name, width in SECOND.items() if name in values
        ]
        return np.concatenate(found)


def _normalised(spectrum: Array) -> Array:
    """Return a spectrum with a mean square of 1, as data determine the sum of squares.

    The slowest trap is not counted, because data reach only a values of its interval.
    """
    inner = spectrum[:-1] if len(spectrum) > 1 else spectrum
    return np.asarray(spectrum / np.sqrt(np.mean(inner**2)))


def _one(values: dict[str, Array], name: str, default: float) -> float:
    return float(values[name][0]) if name in values else default


def equivalent_time(seconds: float, temperature: float, attempt: float = ATTEMPT_TIME) -> float:
    """Return the time (s) at 300 K in which traps move as in ``seconds`` at a temperature (K)."""
    return float(attempt * (seconds / attempt) ** (temperature / NOMINAL_TEMPERATURE))


def layout_of(
    changes: tuple[Changes, ...], bands: list[Band], nodes: FloatArray, per_decade: int
) -> Layout:
    """Return which numbers the data determine, with starting values."""
    times = [equivalent_time(t, one.temperature)
             for one in changes for t in (one.times[0] - one.start, one.times[-1])]  # fmt: skip
    for band in bands:
        periods = 1.0 / (2.0 * np.pi * band.frequency)
        times += [equivalent_time(t, band.temperature) for t in (periods.min(), periods.max())]
    # From a decade below the shortest time to the end of the decade of the longest.
    bottom, reached = (
        math.floor(math.log10(max(t, SMALLEST)) + 1e-6) for t in (min(times), max(times))
    )
    # Above the attempt time, within which no trap moves.
    lowest = math.floor(math.log10(ATTEMPT_TIME)) + 1
    bottom = min(max(bottom - 1, lowest), HIGHEST - 1)
    reached = min(max(reached + 1, bottom + 1), HIGHEST)
    top = max(reached, math.log10(LONGEST))
    count = int(min(MAX_TRAPS, max(round((top - bottom) * per_decade), 1)))
    edges = np.logspace(bottom, top, count + 1)
    last = int(np.clip(np.searchsorted(edges, 10.0**reached * (1.0 - 1e-9)), 1, count))
    kelvin = {one.temperature for one in changes} | {band.temperature for band in bands}
    level = _level(changes, bands, nodes)
    size = math.sqrt(max(np.mean(level**2), 1e-300))
    blocks: dict[str, tuple[Array, float, float]] = {
        "log_amplitude": (np.log(level), math.log(size) - 12.0, math.log(size) + 12.0),
        "log_spectrum": (np.zeros(last), -12.0, 12.0),
    }
    if changes:
        blocks |= {
            "raising": (np.full(len(nodes), 0.5), 0.0, 1.0),
            "logit_occupancy": (np.full(last, -1.0), -7.0, 0.0),
            "trap_spread": (np.array([TRAP_SPREAD]), 0.0, 2.0),
            "cell_spread": (np.array([0.2]), 0.0, 2.0),
            "log_noise": (np.array([math.log(0.1 * size)]), math.log(size) - 15.0,
                          math.log(size) + 5.0),
        }  # fmt: skip
    if bands:
        white = np.array([math.log(0.3 * band.density.min()) for band in bands])
        blocks["log_white"] = (white, white.min() - 12.0, white.max() + 12.0)
    if len(kelvin) > 1:
        blocks["log_attempt"] = (np.array([math.log(ATTEMPT_TIME)]), math.log(1e-22),
                                 math.log(edges[0]) - 1.0)  # fmt: skip
    start = np.concatenate([block[0] for block in blocks.values()])
    lower, upper = (np.concatenate([np.full(len(block[0]), block[k]) for block in blocks.values()])
                    for k in (1, 2))  # fmt: skip
    sizes = {name: len(block[0]) for name, block in blocks.items()}
    return Layout(edges, slice(0, last), nodes, sizes, start, lower, upper, start.copy())


def _level(changes: tuple[Changes, ...], bands: list[Band], nodes: FloatArray) -> Array:
    """Return a first estimate of the amplitude (S) at the nodes, from the spread of the data."""
    g, spread = list[float](), list[float]()
    for one in changes:
        for rows in np.array_split(np.argsort(one.g), max(min(len(one.g) // 20, 8), 1)):
            g.append(float(one.g[rows].mean()))
            spread.append(float(np.nanstd(one.change[rows])) / 2.0)
    for band in bands:
        g.append(float(band.g.mean()))
        middle = len(band.frequency) // 2
        spread.append(math.sqrt(4.0 * band.density[middle] * band.frequency[middle]))
    order = np.argsort(g)
    found = np.interp(nodes, np.array(g)[order], np.array(spread)[order])
    return np.asarray(np.maximum(found, 1e-3 * max(found.max(), 1e-300)))
