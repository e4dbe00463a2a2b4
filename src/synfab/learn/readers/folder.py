"""Folders of measurements with one file per device, or one file per loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count, groupby, islice
from pathlib import Path

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.learn.features import FeatureTable
from synfab.learn.preparation import DeviceSweeps, loop_count
from synfab.learn.readers.registry import suffix_of
from synfab.learn.sweeps import Sweeps

LAST_NUMBER = re.compile(r"[\s_.#-]*\d+$")
# What remains of names such as "-1.1V_2" is a condition of the measurement and names no device.
CONDITION = re.compile(r"[\s_]*[+-]?\d+([.,p]\d+)?\s*[munkM]?(V|A|s|Hz|C|K)?[\s_]*")
MAX_DEPTH = 8  # folders in folders
MAX_ENTRIES = 200_000  # files and folders that are looked at
Reader = Callable[[Path], Sweeps | FeatureTable]


def read_folder(folder: Path, endings: tuple[str, ...], read: Reader) -> Sweeps | FeatureTable:
    """Return the measurements in the files of a folder, ordered by name (2 before 10).

    Each file is one device and names it. If the first file has only one loop, each file is one
    loop, and its name without the last number is the device: D2_007 is a loop of D2; the folder is
    the device if only a number or a voltage remains (-1.1V_2). A device in a file with several
    devices is named file/device, one in a folder of the folder folder/device. The notes state what
    of the names was used.

    Raises
    ------
    FileFormatError
        No file can be read, or some files hold loops and others features.
    """
    files = measured_files(folder, endings)
    if not files:
        raise FileFormatError(f"{folder}: holds no file that ends in {', '.join(endings)}")
    groups = {parent: list(some) for parent, some in groupby(files, lambda file: file.parent)}
    parts = [_inside(some, read) for some in groups.values()]
    prefixes = ["" if parent == folder else f"{parent.relative_to(folder).as_posix()}/"
                for parent in groups]  # fmt: skip
    if all(isinstance(one, FeatureTable) for one in parts):
        tables = [one for one in parts if isinstance(one, FeatureTable)]
        return _joined(tables, prefixes, [some[0] for some in groups.values()])
    sweeps = [_checked(part, some[0]) for part, some in zip(parts, groups.values(), strict=True)]
    notes = dict(sweeps[0].notes)
    if any(prefixes):
        notes["folders"] = f"{len(groups)} folders; a device is named folder/device"

    def devices() -> Iterator[DeviceSweeps]:
        for prefix, found in zip(prefixes, sweeps, strict=True):
            for device in found.open_devices():
                whole = device.name == prefix.rpartition("/")[0].rpartition("/")[2]
                yield device._replace(name=prefix[:-1] if whole else prefix + device.name)

    return Sweeps(devices, notes=notes)


def _inside(files: list[Path], read: Reader) -> Sweeps | FeatureTable:
    first = read(files[0])
    if isinstance(first, FeatureTable):
        rest = (_features(file, read) for file in files[1:])
        names = [f"{_stem(file)}/" for file in files]
        return _joined([first, *rest], names, files)
    few = list(islice(first.open_devices(), 2))
    if len(few) > 1 or loop_count(few[0].voltage) > 1:
        notes = {**first.notes, "files": "one or more devices per file, named by the file"}
        return Sweeps(lambda: _devices(files, read), notes=notes)
    groups: dict[str, list[Path]] = {}
    for file in files:
        name = LAST_NUMBER.sub("", _stem(file))
        named = name and not CONDITION.fullmatch(name)
        groups.setdefault(name if named else file.parent.name, []).append(file)
    name, some = next(iter(groups.items()))
    notes = {**first.notes, "files": f"one loop per file: {some[0].name} is loop 1 of {len(some)} "
             f"of device {name}; devices are named by files without their last number, or by "
             "the folder"}  # fmt: skip
    return Sweeps(lambda: (_as_loops(name, some, read) for name, some in groups.items()),
                  notes=notes)  # fmt: skip


def measured_files(source: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return a file as a list of one, or the files of a folder that ``read_folder`` reads.

    Files of a folder come before its folders, in the order of their names; links to folders are
    not followed.

    Raises
    ------
    FileFormatError
        A folder cannot be read, or there are too many files, as in the root of a file system.
    """
    if not source.is_dir():
        return [source]
    try:
        return _below(source, endings, MAX_DEPTH, count())
    except OSError as error:
        raise FileFormatError(
            f"{error.filename or source}: cannot be read: {error.strerror}"
        ) from None


def _below(folder: Path, endings: tuple[str, ...], depth: int, number: Iterator[int]) -> list[Path]:
    inside = []
    for entry in folder.iterdir():
        inside.append(entry)
        if next(number) >= MAX_ENTRIES:
            raise FileFormatError(
                f"{folder}: expected a folder of measurements; found more than {MAX_ENTRIES} files "
                "and folders"
            )
    inside.sort(key=_in_order)
    found = [file for file in inside if _fits(file, endings)]
    for other in inside:
        hidden = other.name.startswith(".") or other.is_symlink()
        if depth and not hidden and other.is_dir():
            found += _below(other, endings, depth - 1, number)
    return found


def _fits(file: Path, endings: tuple[str, ...]) -> bool:
    return file.is_file() and not file.name.startswith(".") and suffix_of(file) in endings


def _stem(file: Path) -> str:
    """Return the name of a file without its suffixes: "D2" for D2.csv.gz."""
    return file.name[: -len(suffix_of(file))] or file.name


def _in_order(file: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", file.name)
    return [(int(part), "") if k % 2 else (0, part) for k, part in enumerate(parts)]


def _checked(found: Sweeps | FeatureTable, file: Path) -> Sweeps:
    if not isinstance(found, Sweeps):
        raise FileFormatError(f"{file}: holds features; other files hold I-V sweeps")
    return found


def _features(file: Path, read: Reader) -> FeatureTable:
    found = read(file)
    if not isinstance(found, FeatureTable):
        raise FileFormatError(f"{file}: holds I-V sweeps; the files before it hold features")
    return found


def _devices(files: list[Path], read: Reader) -> Iterator[DeviceSweeps]:
    for file in files:
        devices = _checked(read(file), file).open_devices()
        few = list(islice(devices, 2))
        if len(few) == 1:
            yield few[0]._replace(name=_stem(file))
            continue
        for some in (few, devices):
            for device in some:
                yield device._replace(name=f"{_stem(file)}/{device.name}")


def _as_loops(name: str, files: list[Path], read: Reader) -> DeviceSweeps:
    parts = [device for file in files for device in _checked(read(file), file).open_devices()]
    lengths = [length for one in parts for length in np.diff(one.offsets)]
    return DeviceSweeps(
        name,
        np.arange(len(lengths)),
        np.cumsum([0, *lengths]),
        np.concatenate([one.voltage for one in parts]),
        np.concatenate([one.current for one in parts]),
        {
            key: np.concatenate([one.conditions[key] for one in parts])
            for key in parts[0].conditions
            if all(key in one.conditions for one in parts)
        },
    )


def _joined(
    tables: Sequence[FeatureTable], prefixes: Sequence[str], files: Sequence[Path]
) -> FeatureTable:
    """Return one table; a device is named by its prefix if it is the only one of its table."""
    device, cycle, values, conditions = [], [], [], []
    for table, prefix, file in zip(tables, prefixes, files, strict=True):
        conditions.append(table.conditions)
        for name, cycles, rows in table.devices():
            own = prefix[:-1] if len(table.names) == 1 and prefix else prefix + name
            device += [own or _stem(file)] * len(cycles)
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
