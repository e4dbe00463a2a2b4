"""Preparation of a device's points: signs, polarity, and loops that begin before each SET.

A loop can be recorded from any point on and with either polarity, in one piece, in pieces per cycle
or per file. The pieces of a device are treated as one periodic record: the polarity is found from
its half-waves, and the record is cut where the voltage turns to the polarity of the SET.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array


class DeviceSweeps(NamedTuple):
    """Pieces of the record of one device, V and A.

    Piece k is ``voltage[offsets[k]:offsets[k + 1]]``. In what ``Sweeps.devices`` yields, each piece
    is a loop that begins with the half-wave of the SET.
    """

    name: str
    cycles: Array
    offsets: Array
    voltage: Array
    current: Array


# A half-wave exceeds this fraction of the voltages typical of its sign; smaller voltages are reads.
HALF_WAVE = 0.2
# Fraction of the largest voltage below which a point counts as 0 V.
REST = 0.02
# Branches are compared at this many voltages, from this fraction of the extreme on.
GRID, LOWEST = 50, 0.1
# Points that are enough for typical voltages, and for the polarity.
SAMPLE = 20_000
# Half-waves that decide about the polarity of a device, and the least preponderance of one sign.
VOTERS, DECISIVE = 16, 0.05


def head(device: DeviceSweeps, count: int) -> DeviceSweeps:
    """Return the first ``count`` pieces of a device."""
    end = device.offsets[min(count, len(device.cycles))]
    return DeviceSweeps(
        device.name, device.cycles[:count], device.offsets[: count + 1],
        device.voltage[:end], device.current[:end],
    )  # fmt: skip


def cleaned(device: DeviceSweeps) -> DeviceSweeps:
    """Return the device without missing points (NaN, infinity, Keithley's 9.91e37)."""
    v, i = device.voltage, device.current
    good = (np.abs(v) < 1e30) & (np.abs(i) < 1e30)  # NaN compares false
    if good.all():
        return device
    kept = np.concatenate([[0], np.cumsum(good)])
    return device._replace(voltage=v[good], current=i[good], offsets=kept[device.offsets])


def signed(device: DeviceSweeps) -> DeviceSweeps:
    """Return the device with the sign of the voltage on currents stored as magnitudes."""
    v, i = device.voltage, device.current
    if len(v) == 0:
        return device
    if np.abs(v).max() < 0.02 and np.abs(i).max() > 0.1:
        raise InvalidValueError(
            f"voltage: device {device.name} has {v.min():.3g} … {v.max():.3g} V and currents of "
            f"{i.min():.3g} … {i.max():.3g} A; expected voltages beyond 0.02 V or currents up to "
            "0.1 A; check columns and units"
        )
    high = v > 0.5 * v.max()
    if v.max() > 0.0 and float(v @ i) < 0.0 and np.median(i[high]) < 0.0:
        # The instrument measures the current with opposite sign.
        return device._replace(current=-i)
    strong = v < 0.5 * v.min()
    if v.min() < 0.0 and strong.any() and np.median(i[strong]) > 0.1 * np.abs(i).max() * REST:
        return device._replace(current=i * np.where(v < 0.0, -1.0, 1.0))
    return device


def half_waves(voltage: Array) -> tuple[Array, Array]:
    """Return the sign of each half-wave, and its first point beyond small voltages; (N,) each."""
    sign = np.zeros(len(voltage), np.int8)
    sample = voltage[:: max(len(voltage) // SAMPLE, 1)]
    for value in (-1, 1):
        inside = value * sample[value * sample > 0.0]
        if len(inside):
            typical, largest = float(np.quantile(inside, 0.9)), float(np.abs(sample).max())
            sign[value * voltage > max(HALF_WAVE * typical, REST * largest)] = value
    moving = np.flatnonzero(sign)
    if len(moving) == 0:
        return np.empty(0, np.int8), np.empty(0, np.intp)
    first = np.concatenate([[True], np.diff(sign[moving]) != 0])
    return sign[moving][first], moving[first]


def loop_count(voltage: Array) -> int:
    """Return the number of loops in a record, at least 1; a loop can begin inside a half-wave."""
    finite = voltage[np.isfinite(voltage)]
    return max(len(half_waves(finite)[0]) // 2, 1)


def set_side(device: DeviceSweeps) -> float:
    """Return how clearly a device SETs at positive (above 0) or negative voltage, -1 … 1.

    In the half-wave of the SET the way back conducts more than the way out, in that of the RESET
    less. The difference is relative, so that neither a current limit nor rectification of one
    half-wave counts.
    """
    gains: dict[int, list[float]] = {-1: [], 1: []}
    for first, last in _record_parts(device):
        low = device.offsets[first]
        points = slice(low, min(device.offsets[last], low + SAMPLE))
        v, i = device.voltage[points], device.current[points]
        if len(v) == 0:
            continue
        if _is_one_loop(v):
            v, i = np.tile(v, 2), np.tile(i, 2)
        signs, starts = half_waves(v)
        edges = np.append(starts, len(v))
        zero = _current_at_rest(v, i)
        for k, sign in enumerate(signs[:VOTERS]):
            part = slice(edges[k], edges[k + 1])
            gain = _gain(sign * v[part], sign * (i[part] - zero))
            if gain is not None:
                gains[int(sign)].append(gain)
        if sum(map(len, gains.values())) >= VOTERS:
            break
    found = {sign: float(np.median(values)) for sign, values in gains.items() if values}
    return (found.get(1, 0.0) - found.get(-1, 0.0)) / 2.0


def _gain(voltage: Array, current: Array) -> float | None:
    """Return the mean of (I_back - I_out) / (I_back + I_out); None for half of a half-wave."""
    peak = int(np.argmax(voltage))
    lowest = LOWEST * voltage[peak]
    for branch in (voltage[: peak + 1], voltage[peak:]):
        if len(branch) < 4 or branch.min() > 0.5 * voltage[peak]:
            return None
        lowest = max(lowest, float(branch.min()))
    grid = np.linspace(lowest, voltage[peak], GRID)
    out, back = (
        np.interp(grid, voltage[part][order], current[part][order])
        for part in (slice(0, peak + 1), slice(peak, None))
        for order in [np.argsort(voltage[part], kind="stable")]
    )
    total = np.abs(out) + np.abs(back)
    return float(np.mean((back - out) / np.where(total > 0.0, total, 1.0)))


def _current_at_rest(voltage: Array, current: Array) -> float:
    """Return the offset of the current: its median at the points next to 0 V."""
    size = np.abs(voltage)
    near = size <= max(float(np.quantile(size, 0.01)), 0.0)
    return float(np.median(current[near]))


def _record_parts(device: DeviceSweeps) -> list[tuple[int, int]]:
    """Return the parts of the record, first and last piece, that are without gaps."""
    edges = np.concatenate([[0], np.flatnonzero(_gaps(device)) + 1, [len(device.cycles)]])
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def _gaps(device: DeviceSweeps) -> Array:
    """Return a mask of the pieces, but the last, that the next one does not continue."""
    empty = np.diff(device.offsets) == 0
    return np.asarray((np.diff(device.cycles) != 1) | empty[1:] | empty[:-1])


def _is_one_loop(voltage: Array) -> bool:
    """Return True for a single loop that ends at the voltage where it began."""
    signs, _ = half_waves(voltage)
    if not 2 <= len(signs) <= 3:
        return False
    step = float(np.abs(np.diff(voltage)).max())
    return bool(abs(voltage[0] - voltage[-1]) <= 2.0 * step)


def cut_before_set(device: DeviceSweeps) -> DeviceSweeps:
    """Return the loops of a device, which SETs at negative voltage; each begins with its SET.

    What a record without gaps holds before its first SET is left out. A loop without neighbours is
    closed to a ring, so that it can begin anywhere; its RESET may then precede its SET. A loop has
    the cycle number of the piece in which it begins; loops of longer pieces are counted.
    """
    index: list[Array] = []
    label: list[Array] = []
    length: list[Array] = []
    for low, high in _record_parts(device):
        points, pieces, lengths = _cut(device, low, high)
        index.append(points)
        label.append(pieces)
        length.append(lengths)
    pieces = np.concatenate(label)
    if (np.diff(pieces) > 0).all():
        cycles = device.cycles[pieces]
    else:
        # Counted; a gap in the record stays one.
        runs = np.repeat(np.arange(len(label)), [len(x) for x in label])
        cycles = np.arange(len(pieces)) + runs
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(length))])
    where = np.concatenate(index)
    if len(where) == len(device.voltage) and (np.diff(where) == 1).all():
        return device._replace(cycles=cycles, offsets=offsets)  # without a copy of the points
    return DeviceSweeps(device.name, cycles, offsets, device.voltage[where], device.current[where])


def _cut(device: DeviceSweeps, low: int, high: int) -> tuple[Array, Array, Array]:
    """Return the points of the loops in pieces ``low`` … ``high``, their pieces and lengths."""
    borders = device.offsets[low : high + 1]
    v = device.voltage[borders[0] : borders[-1]]
    points = np.arange(borders[0], borders[-1])
    signs, firsts = half_waves(v)
    sets = firsts[signs < 0]
    if len(sets) == 0:
        return points, np.arange(low, high), np.diff(borders)
    owner = np.searchsorted(borders - borders[0], sets, "right") - 1
    # From the first point after positive voltages, or the beginning of a piece that starts at 0 V.
    last = np.maximum.accumulate(np.where(v > 0.0, np.arange(len(v)), -1))
    begin = borders[owner] - borders[0]
    rest = np.abs(v[begin]) <= REST * np.abs(v).max()
    starts = np.maximum(last[sets] + 1, np.where(rest, begin, 0))
    if len(sets) <= 2 and _is_one_loop(v):
        ring = np.roll(points, -int(starts[-1]))
        return ring, np.array([low]), np.array([len(ring)])
    if len(sets) > 1 and v[starts[0]] < 0.5 * v[starts[0] : starts[1]].min():
        owner, starts = owner[1:], starts[1:]  # the record begins after the SET of its first loop
    return points[starts[0] :], low + owner, np.diff(np.append(starts, len(v)))
