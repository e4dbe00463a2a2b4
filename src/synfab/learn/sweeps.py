"""Sweeps: measured I-V loops, one device at a time, in memory or streamed from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike
from synfab.learn.html import sweeps_html
from synfab.learn.preparation import (
    DECISIVE,
    DeviceSweeps,
    cleaned,
    cut_before_set,
    selected,
    set_side,
    signed,
)
from synfab.model.conditions import UNITS

# Devices that are read to find one whose polarity is clear.
UNCLEAR = 32


@no_array("sweeps.u and sweeps.i")
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

    def _repr_html_(self) -> str:
        return sweeps_html(self)

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
        """Yield the loops of each device, cleaned, with SET at negative voltage and as first half.

        Raises
        ------
        InvalidValueError
            Devices SET at voltages of opposite sign.
        """
        for device, mirrored in self._with_polarity():
            yield cut_before_set(
                device._replace(voltage=-device.voltage, current=-device.current)
                if mirrored
                else device
            )

    def mirrored(self) -> bool:
        """Return True if the devices were measured with SET at positive voltage."""
        for _, mirrored in self._with_polarity():
            return mirrored
        raise InvalidValueError("sweeps: found no loop with numbers")

    def _with_polarity(self) -> Iterator[tuple[DeviceSweeps, bool]]:
        """Yield cleaned records, and whether the devices SET at positive voltage.

        A device that hardly switches does not decide: it has the polarity of the others.
        """
        waiting: list[DeviceSweeps] = []
        votes = 0.0
        known: tuple[str, bool] | None = None
        for raw in self._records():
            device = signed(cleaned(raw))
            if len(device.voltage) == 0:
                continue
            vote = set_side(device)
            if abs(vote) >= DECISIVE:
                if known is None:
                    known = (device.name, vote > 0.0)
                elif (vote > 0.0) != known[1]:
                    raise InvalidValueError(
                        f"polarity: device {known[0]} and device {device.name} SET at voltages of "
                        "opposite sign; fit them separately, or mirror one of them"
                    )
            waiting.append(device)
            votes += vote
            if known is None and len(waiting) >= UNCLEAR:
                known = (device.name, votes > 0.0)
            if known is not None:
                yield from ((one, known[1]) for one in waiting)
                waiting.clear()
        yield from ((one, votes > 0.0) for one in waiting)


def sweeps_from_arrays(
    voltage: ArrayLike, current: ArrayLike, names: tuple[str, ...] | None = None
) -> Sweeps:
    """Return sweeps from arrays (device, cycle, point), or (cycle, point) of one device, V and A.

    ``voltage`` can have fewer axes if loops share it; a record (point,) is split into loops.

    Examples
    --------
    >>> u = np.concatenate([np.linspace(0, -1.5, 60), np.linspace(-1.5, 1.5, 120)])
    >>> cells = sf.CellArray("published", 12, seed=1)
    >>> i = cells.apply_program(np.tile(u, 30), read="pulse").reshape(30, len(u), 12)
    >>> loops = sf.learn.sweeps_from_arrays(u, i.transpose(2, 0, 1))
    >>> len(list(loops.devices()))
    12
    """
    i = checks.real_array("current", current).astype(np.float64, copy=False)
    u = checks.real_array("voltage", voltage).astype(np.float64, copy=False)
    if i.ndim == 1:
        if u.shape != i.shape:
            raise InvalidValueError(f"voltage: expected shape {i.shape}, found {u.shape}")
        label = "0" if names is None else checks.texts("names", names, 1)[0]
        return Sweeps(lambda: iter([one_record(label, u, i)]))
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
    """Return the record of a device from points: voltage, current; cycle and conditions, if any."""
    record = one_record(name, data["voltage"], data["current"])._replace(
        conditions={key: np.abs(data[key]) for key in UNITS if key in data}
    )
    return pieces_by_cycle(record, data["cycle"]) if "cycle" in data else record


def pieces_by_cycle(record: DeviceSweeps, cycle: Array) -> DeviceSweeps:
    """Return points grouped by cycle number, sorted; within a cycle they keep their order."""
    if not np.isfinite(cycle).all():
        raise InvalidValueError(f"cycle: device {record.name} has points without a cycle number")
    steps = np.diff(cycle)
    order: Array | slice = slice(None)
    if (steps < 0).any():
        order = np.argsort(cycle, kind="stable")
        cycle = cycle[order]
        steps = np.diff(cycle)
    starts = np.concatenate([[0], np.flatnonzero(steps) + 1])
    return selected(record, order, cycle[starts].astype(np.int64), np.append(starts, len(cycle)))


def one_record(name: str, voltage: Array, current: Array) -> DeviceSweeps:
    """Return a record of any number of loops as one piece; ``Sweeps.devices`` finds its loops."""
    return DeviceSweeps(name, np.zeros(1, np.int64), np.array([0, len(voltage)]), voltage, current)
