"""Reads of cells over time: changes since programming, and long traces at one rate."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synfab.common.array_checks import numbers
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, FloatArray

MIN_TRACE = 256  # reads at one rate from which a cell has a trace
UNEVEN = 0.1  # largest deviation of a step from the usual one within a trace
# Times within such steps of log10(time) are one time, up to such a width in all.
GAP, WIDTH = 0.1, 0.3


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes of N cells at T times after the reference, at one temperature.

    ``start`` is the time (s) of the reference after programming: 0 for the programmed value.
    """

    temperature: float
    start: float
    times: FloatArray  # s after programming, (T,)
    g: FloatArray  # S, the reference, (N,)
    change: FloatArray  # S, (N, T); NaN where a cell was not read

    def part(self, cells: Array) -> Changes:
        """Return some of the cells, by a mask or numbers."""
        return Changes(self.temperature, self.start, self.times, self.g[cells], self.change[cells])


@dataclass(frozen=True, eq=False)
class Trace:
    """Reads of one cell at a constant rate (Hz)."""

    temperature: float
    rate: float
    g: FloatArray  # S, (n,)


@no_array("relaxation.changes or relaxation.traces")
@dataclass(frozen=True, eq=False)
class Relaxation:
    """What a table of reads over time holds; from ``read_relaxation``.

    Attributes
    ----------
    changes
        Changes of the conductances since programming, one for each temperature.
    traces
        Long traces at a constant rate.
    notes
        What was decided when the table was read.
    """

    changes: tuple[Changes, ...] = ()
    traces: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        parts = [
            f"{len(one.g)} cells at {len(one.times)} times, {one.temperature:.0f} K"
            for one in self.changes
        ]
        if self.traces:
            parts.append(f"{len(self.traces)} traces")
        return f"Relaxation({'; '.join(parts)})"


@dataclass(frozen=True, eq=False)
class Reads:
    """Reads in any order: cell codes, times (s), conductances, programmed values (S), K, (N,)."""

    cell: Array
    time: Array
    g: Array
    programmed: Array  # NaN where it is unknown
    temperature: Array


def relaxation_of(reads: Reads, notes: list[str]) -> Relaxation:
    """Return the traces and changes that reads hold.

    Raises
    ------
    InvalidValueError
        No cell was read twice, or no conductance changes.
    """
    order = np.lexsort((reads.time, reads.temperature, reads.cell))
    cell, time, g, programmed, kelvin = (
        getattr(reads, name)[order] for name in ("cell", "time", "g", "programmed", "temperature")
    )
    new = np.flatnonzero((np.diff(cell) != 0) | (np.diff(kelvin) != 0.0)) + 1
    starts, ends = np.r_[0, new], np.r_[new, len(cell)]
    is_trace = np.zeros(len(cell), bool)
    traces = []
    for a, b in zip(starts, ends, strict=True):
        if b - a >= MIN_TRACE and (rate := _rate_of(time[a:b])) is not None:
            is_trace[a:b] = True
            traces.append(Trace(float(kelvin[a]), rate, g[a:b]))
    changes = []
    for temperature in np.unique(kelvin[~is_trace]):
        rows = ~is_trace & (kelvin == temperature)
        found = _changes(cell[rows], time[rows], g[rows], programmed[rows], temperature, notes)
        if found is not None:
            changes.append(found)
    if not changes and not traces:
        raise InvalidValueError(
            "relaxation: every cell was read once; expected two or more reads of a cell at "
            "different times, or the column programmed"
        )
    moves = [np.nanmax(np.abs(one.change)) for one in changes] + [np.ptp(t.g) for t in traces]
    if not max(moves) > 0.0:
        raise InvalidValueError(
            "conductance: expected changes over time, found the same value at all times"
        )
    return Relaxation(tuple(changes), tuple(traces), tuple(notes))


def traces_of(rows: Array, rate: float, temperature: float, notes: list[str]) -> Relaxation:
    """Return traces from an array of conductances (S), one row per cell.

    Raises
    ------
    InvalidValueError
        There are too few samples, one is missing, or none differs.
    """
    if rows.ndim != 2 or rows.shape[1] < MIN_TRACE:
        raise InvalidValueError(f"conductance: expected rows of {MIN_TRACE} or more samples")
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise InvalidValueError(
            f"conductance: expected finite samples, found others in data row {np.argmax(bad) + 1}"
        )
    if not (np.ptp(rows, axis=1) > 0.0).all():
        row = int(np.argmin(np.ptp(rows, axis=1) > 0.0))
        raise InvalidValueError(f"conductance: data row {row + 1} has the same value at all times")
    found = tuple(Trace(temperature, rate, numbers("conductance", x, (None,))) for x in rows)
    return Relaxation((), found, tuple(notes))


def _rate_of(time: Array) -> float | None:
    """Return the rate (Hz) of reads in order of time; None if it is not constant."""
    steps = np.diff(time)
    usual = float(np.median(steps))
    return 1.0 / usual if usual > 0.0 and np.abs(steps - usual).max() < UNEVEN * usual else None


def _changes(
    cell: Array, time: Array, g: Array, programmed: Array, temperature: float, notes: list[str]
) -> Changes | None:
    """Return the changes of cells at one temperature; the reads are in order of cell and time."""
    place, times = time_bins(time)
    code = np.unique(cell, return_inverse=True)[1]
    table = np.full((code.max() + 1, len(times)), np.nan)
    table[code[::-1], place[::-1]] = g[::-1]  # of several reads in a bin, the first
    reference = np.full(len(table), np.nan)
    reference[code] = programmed
    start = 0.0
    if np.isnan(reference).all():
        reference, start = table[:, 0], float(times[0])
        table, times = table[:, 1:], times[1:]
        if start > 0.0:
            notes.append(f"changes are counted from the first read, {start:.3g} s: no programmed "
                         "value")  # fmt: skip
    elif times[0] == 0.0:
        table, times = table[:, 1:], times[1:]
    known = np.isfinite(reference) & np.isfinite(table).any(axis=1)
    if not known.all():
        notes.append(f"{(~known).sum()} of {len(known)} cells at {temperature:.0f} K are left out: "
                     "read once, or without a reference")  # fmt: skip
    if not known.any():
        return None
    change = table[known] - reference[known, None]
    read = np.isfinite(change).any(axis=0)
    return Changes(float(temperature), start, times[read], reference[known], change[:, read])


def time_bins(time: Array) -> tuple[Array, Array]:
    """Return the bin of each time, and the times (geometric means) of the bins; 0 is one bin."""
    found, place = np.unique(time, return_inverse=True)
    group = np.zeros(len(found), np.intp)
    low = last = 0.0
    for k, value in enumerate(found):
        log = np.log10(value) if value > 0.0 else -np.inf
        if k and (log - last > GAP or log - low > WIDTH):
            group[k:] += 1
            low = log
        elif not k:
            low = log
        last = log
    bins = group[place]
    count = np.bincount(bins)
    with np.errstate(divide="ignore"):
        sums = np.bincount(bins, weights=np.log(time))
    return bins, np.exp(sums / count)
