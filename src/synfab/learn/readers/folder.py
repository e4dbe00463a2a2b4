"""Folders of measurements with one file per device, or one file per loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.learn.features import FeatureTable
from synfab.learn.preparation import DeviceSweeps, loop_count
from synfab.learn.sweeps import Sweeps

LAST_NUMBER = re.compile(r"[\s_.#-]*\d+$")
Reader = Callable[[Path], Sweeps | FeatureTable]


def read_folder(folder: Path, endings: tuple[str, ...], read: Reader) -> Sweeps | FeatureTable:
    """Return the measurements in the files of a folder, ordered by name (2 before 10).

    Each file is one device and names it. If the first file has only one loop, each file is one
    loop, and its name without the last number is the device: D2_007 is a loop of D2. A device in a
    file with several devices is named file/device.

    Raises
    ------
    FileFormatError
        No file can be read, or some files hold loops and others features.
    """
    files = sorted(measured_files(folder, endings), key=_in_order)
    if not files:
        raise FileFormatError(f"{folder}: holds no file that ends in {', '.join(endings)}")
    first = read(files[0])
    if isinstance(first, FeatureTable):
        return _joined([first, *map(read, files[1:])], files)
    few = list(islice(first.open_devices(), 2))
    if len(few) == 1 and loop_count(few[0].voltage) == 1:
        groups: dict[str, list[Path]] = {}
        for file in files:
            name = LAST_NUMBER.sub("", file.stem) or folder.name
            groups.setdefault(name, []).append(file)
        return Sweeps(lambda: (_as_loops(name, some, read) for name, some in groups.items()))
    return Sweeps(lambda: _devices(files, read))


def measured_files(source: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return a file as a list of one, or the files of a folder that ``read_folder`` reads."""
    if not source.is_dir():
        return [source]
    return [file for file in source.iterdir() if _fits(file, endings)]


def _fits(file: Path, endings: tuple[str, ...]) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix.lower() in endings


def _in_order(file: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", file.name)
    return [(int(part), "") if k % 2 else (0, part) for k, part in enumerate(parts)]


def _loops(file: Path, read: Reader) -> Sweeps:
    found = read(file)
    if not isinstance(found, Sweeps):
        raise FileFormatError(f"{file}: holds features; the files before it hold I-V sweeps")
    return found


def _devices(files: list[Path], read: Reader) -> Iterator[DeviceSweeps]:
    for file in files:
        devices = _loops(file, read).open_devices()
        few = list(islice(devices, 2))
        if len(few) == 1:
            yield few[0]._replace(name=file.stem)
            continue
        for some in (few, devices):
            for device in some:
                yield device._replace(name=f"{file.stem}/{device.name}")


def _as_loops(name: str, files: list[Path], read: Reader) -> DeviceSweeps:
    parts = [device for file in files for device in _loops(file, read).open_devices()]
    lengths = [length for part in parts for length in np.diff(part.offsets)]
    return DeviceSweeps(
        name,
        np.arange(len(lengths)),
        np.cumsum([0, *lengths]),
        np.concatenate([part.voltage for part in parts]),
        np.concatenate([part.current for part in parts]),
        {
            key: np.concatenate([one.conditions[key] for one in parts])
            for key in parts[0].conditions
            if all(key in one.conditions for one in parts)
        },
    )


def _joined(tables: Sequence[Sweeps | FeatureTable], files: list[Path]) -> FeatureTable:
    device, cycle, values, conditions = [], [], [], []
    for table, file in zip(tables, files, strict=True):
        if not isinstance(table, FeatureTable):
            raise FileFormatError(f"{file}: holds I-V sweeps; the files before it hold features")
        conditions.append(table.conditions)
        for name, cycles, rows in table.devices():
            own = file.stem if len(table.names) == 1 else f"{file.stem}/{name}"
            device += [own] * len(cycles)
            cycle.append(cycles)
            values.append(rows)
    return FeatureTable.build(
        device, np.concatenate(cycle), np.concatenate(values), notes=tables[0].notes,
        conditions={
            key: np.concatenate([held[key] for held in conditions])
            for key in conditions[0]
            if all(key in held for held in conditions)
        },
    )  # fmt: skip
