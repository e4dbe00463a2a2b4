"""Sweeps: measured I-V loops, one device at a time, in memory or streamed from a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array, ArrayLike

logger = logging.getLogger(__name__)

# Fraction of the largest voltage below which a point counts as 0 V when loops are split.
REST = 0.02


class DeviceSweeps(NamedTuple):
    """Loops of one device: loop k is ``voltage[offsets[k]:offsets[k + 1]]``, V and A."""

    name: str
    cycles: Array
    offsets: Array
    voltage: Array
    current: Array


@dataclass(frozen=True, eq=False)
class Sweeps:
    """Measured I-V loops of many devices, with SET at negative voltage.

    Attributes
    ----------
    open_devices
        Returns an iterator over the devices, starting with the first at each call.
    notes
        Properties of the measurement, such as polarity and source.
    files
        Files that the devices are read from, which outputs must not overwrite.
    """

    open_devices: Callable[[], Iterator[DeviceSweeps]]
    notes: Mapping[str, object] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        checks.function("open_devices", self.open_devices)
        checks.mapping("notes", self.notes)
        files = checks.instance("files", self.files, tuple)
        object.__setattr__(self, "files", tuple(checks.path("files", file) for file in files))

    def _records(self) -> Iterator[DeviceSweeps]:
        """Yield the devices as they were measured."""
        found = self.open_devices()
        if not isinstance(found, Iterable):
            raise InvalidTypeError(
                f"open_devices: expected an iterable of DeviceSweeps, found {checks.kind_of(found)}"
            )
        for device in found:
            yield checks.instance("open_devices", device, DeviceSweeps)

    def devices(self) -> Iterator[DeviceSweeps]:
        """Yield the loops of each device, cleaned and with SET at negative voltage."""
        first: tuple[str, bool] | None = None
        for raw in self._records():
            device = _clean(raw)
            if len(device.cycles) == 0:
                continue
            device = _bipolar(device)
            mirrored = sets_at_positive_voltage(device)
            if first is None:
                first = (device.name, mirrored)
            elif mirrored != first[1]:
                raise InvalidValueError(
                    f"polarity: device {first[0]} and device {device.name} SET at voltages of "
                    "opposite sign; fit them separately, or mirror one of them"
                )
            if mirrored:
                device = device._replace(voltage=-device.voltage, current=-device.current)
            yield _set_first(device)

    def mirrored(self) -> bool:
        """Return True if the first device was measured with SET at positive voltage."""
        for raw in self._records():
            device = _clean(raw)
            if len(device.cycles):
                return sets_at_positive_voltage(_bipolar(device))
        raise InvalidValueError("sweeps: found no loop with numbers")


def sweeps_from_arrays(
    voltage: ArrayLike, current: ArrayLike, names: tuple[str, ...] | None = None
) -> Sweeps:
    """Return sweeps from arrays (device, cycle, point), or (cycle, point) of one device, V and A.

    ``voltage`` can have fewer axes if loops share it; a record (point,) is split into loops.
    """
    i = checks.real_array("current", current).astype(np.float64, copy=False)
    u = checks.real_array("voltage", voltage).astype(np.float64, copy=False)
    if i.ndim == 1:
        if u.shape != i.shape:
            raise InvalidValueError(f"voltage: expected shape {i.shape}, found {u.shape}")
        label = "0" if names is None else checks.texts("names", names, 1)[0]
        return Sweeps(lambda: iter([split_loops(label, u, i)]))
    if i.ndim == 2:
        i = i[None]
    if i.ndim != 3:
        raise InvalidValueError(
            f"current: expected (device, cycle, point) or (cycle, point), found {i.ndim} axes"
        )
    if i.size == 0:
        raise InvalidValueError(f"current: expected numbers, found shape {i.shape}")
    checks.broadcasts("voltage", u.shape, i.shape)
    v = np.broadcast_to(u, i.shape)
    numbered = tuple(str(k) for k in range(len(i)))
    labels = numbered if names is None else checks.texts("names", names, len(i))
    _, cycles, points = i.shape
    offsets = np.arange(cycles + 1) * points

    def devices() -> Iterator[DeviceSweeps]:
        for k, label in enumerate(labels):
            yield DeviceSweeps(label, np.arange(cycles), offsets, v[k].ravel(), i[k].ravel())

    return Sweeps(devices)


def device_sweeps(name: str, data: dict[str, Array]) -> DeviceSweeps:
    """Return the loops of one device from points: voltage (V), current (A) and optionally cycle."""
    voltage, current = data["voltage"], data["current"]
    if "cycle" not in data:
        return split_loops(name, voltage, current)
    found = loops_by_cycle(name, data["cycle"], voltage, current)
    if len(found.cycles) > 1:
        return found
    split = split_loops(name, voltage, current)  # ignores a cycle counter that is constant
    return split if len(split.cycles) > 1 else found


def loops_by_cycle(name: str, cycle: Array, voltage: Array, current: Array) -> DeviceSweeps:
    """Return loops grouped by cycle number, sorted; points keep their order."""
    if not np.isfinite(cycle).all():
        raise InvalidValueError(f"cycle: device {name} has points without a cycle number")
    steps = np.diff(cycle)
    if (steps < 0).any():
        order = np.argsort(cycle, kind="stable")
        cycle, voltage, current = cycle[order], voltage[order], current[order]
        steps = np.diff(cycle)
    starts = np.concatenate([[0], np.flatnonzero(steps) + 1])
    return DeviceSweeps(
        name, cycle[starts].astype(np.int64), np.append(starts, len(cycle)), voltage, current
    )


def split_loops(name: str, voltage: Array, current: Array) -> DeviceSweeps:
    """Return loops, split where the voltage changes from positive to negative."""
    finite = np.isfinite(voltage) & np.isfinite(current)
    voltage, current = voltage[finite], current[finite]
    if len(voltage) == 0:
        return DeviceSweeps(name, np.empty(0, int), np.zeros(1, int), voltage, current)
    sign = np.sign(np.where(np.abs(voltage) < REST * np.abs(voltage).max(), 0.0, voltage))
    moving = np.flatnonzero(sign)
    falls = moving[1:][(sign[moving[1:]] < 0) & (sign[moving[:-1]] > 0)]
    # A loop starts at 0 V, before the first negative point.
    starts = [0, *(_rest_before(voltage, sign, int(at)) for at in falls)]
    if len(falls) and sign[moving[0]] > 0 and len(starts) > 1:
        starts = starts[1:]  # the record starts with a RESET without a SET
        logger.info("device %s: skipping the positive half at the start of the record", name)
    edges = np.unique([*starts, len(voltage)])
    low = edges[0]
    return DeviceSweeps(name, np.arange(len(edges) - 1), edges - low, voltage[low:], current[low:])


def _rest_before(voltage: Array, sign: Array, at: int) -> int:
    while at > 0 and (sign[at - 1] == 0 or voltage[at - 1] <= 0.0) and voltage[at - 1] <= 0.0:
        at -= 1
    return at


def _clean(device: DeviceSweeps) -> DeviceSweeps:
    """Return the device without missing points (NaN, infinity, Keithley's 9.91e37)."""
    v, i = device.voltage, device.current
    good = (np.abs(v) < 1e30) & (np.abs(i) < 1e30)  # NaN compares false
    if good.all():
        return device
    kept = np.concatenate([[0], np.cumsum(good)])
    return device._replace(voltage=v[good], current=i[good], offsets=kept[device.offsets])


def _bipolar(device: DeviceSweeps) -> DeviceSweeps:
    """Return the device with the sign of the voltage on currents stored as magnitudes."""
    v, i = device.voltage, device.current
    if len(v) == 0:
        return device
    if np.abs(v).max() < 0.02 and np.abs(i).max() > 0.1:
        raise InvalidValueError(
            f"voltage: device {device.name} has at most {np.abs(v).max():.3g} V and "
            f"{np.abs(i).max():.3g} A: the columns seem to be swapped"
        )
    high = v > 0.5 * v.max()
    if v.max() > 0.0 and float(v @ i) < 0.0 and np.median(i[high]) < 0.0:
        # The instrument measures the current with opposite sign.
        return device._replace(current=-i)
    strong = v < 0.5 * v.min()
    if v.min() < 0.0 and strong.any() and np.median(i[strong]) > 0.1 * np.abs(i).max() * REST:
        return device._replace(current=i * np.where(v < 0.0, -1.0, 1.0))
    return device


def _set_first(device: DeviceSweeps) -> DeviceSweeps:
    """Return loops that start with SET: those that start with RESET end with the next one instead.

    A RESET belongs to the SET before it; the last loop of a run has none.
    """
    starts = []
    for low, high in pairwise(device.offsets):
        v = device.voltage[low:high]
        if len(v) == 0 or np.argmax(v) > np.argmin(v):
            starts.append(-1)
            continue
        k = int(np.argmin(v))
        while k > 0 and v[k - 1] <= 0.0:
            k -= 1
        starts.append(low + k)
    if np.mean(np.asarray(starts) < 0) > 0.5:
        return device
    pieces, cycles = [], []
    for n, start in enumerate(starts):
        if start < 0:
            continue
        follows = n + 1 < len(starts) and device.cycles[n + 1] == device.cycles[n] + 1
        end = device.offsets[n + 1]
        if follows and starts[n + 1] >= 0:
            end = starts[n + 1]
        pieces.append(np.arange(start, end))
        cycles.append(device.cycles[n])
    index = np.concatenate(pieces)
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    return DeviceSweeps(
        device.name, np.asarray(cycles), offsets, device.voltage[index], device.current[index]
    )


def sets_at_positive_voltage(device: DeviceSweeps) -> bool:
    """Return True if cells SET at positive voltage, where the backward branch conducts more."""
    gain: float = 0.0
    for k in range(min(len(device.cycles), 50)):
        low, high = device.offsets[k], device.offsets[k + 1]
        v, i = device.voltage[low:high], device.current[low:high]
        if len(v) < 8:
            continue
        for sign in (-1.0, 1.0):
            u, current = sign * v, sign * i
            peak = int(np.argmax(u))
            # Area under the backward minus the forward branch, for voltages of this sign.
            inside = np.clip(u, 0.0, None)
            out = np.trapezoid(current[: peak + 1], inside[: peak + 1])
            back = -np.trapezoid(current[peak:], inside[peak:])
            gain += sign * float(back - out)
    return gain > 0.0
