"""Functions that run on a worker, which keeps shards between calls and can restore lost ones.

A shard is defined by its root (new cells, or a checkpoint) and the pulses applied since, to which
waits belong. A worker
that has the shard applies only the new pulses. One that does not have it reports this, receives all
pulses since the root, and computes bit-identical cells, because every random number is a function
of the cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.cells.earlier import present_history
from synfab.cells.identity import CellOptions
from synfab.cells.reading import currents, row_currents
from synfab.cluster.manifest import shard_file
from synfab.common.errors import FileFormatError, InvalidValueError, SynfabError
from synfab.common.interrupts import pass_on
from synfab.io.archive import checksum, open_checked
from synfab.io.limits import one_line_errors
from synfab.io.zarr_file import METADATA
from synfab.model.cell_model import CellModel
from synfab.model.model_file import parse
from synfab.physics.noise import NONE, ReadNoise
from synfab.pulses.blocks import Pulses, read_pulses

Key = tuple[str, int]
ENGINE = "numba"  # of all shards
IDENTITY = ("shape", "first_cell", "engine", "seed", "order", "history")


@dataclass(frozen=True)
class Root:
    """Start of a shard: new cells, or the cells in a file."""

    model: CellModel
    shape: tuple[int, ...]
    first_cell: int
    options: CellOptions
    file: str | None = None
    pulses: int = 0  # applied before the file was written
    checksum: str | None = None  # of the file; None: written by version 1

    def make(self) -> CellArray[Any]:
        """Return new cells, or those in the file.

        Raises
        ------
        FileFormatError
            The file is damaged, or is not the one that was saved for this shard.
        """
        if self.file is None:
            return CellArray(self.model, self.shape, first_cell=self.first_cell, **self.options)
        self._check_file(self.file)
        cells = CellArray.load(self.file)
        self._check_identity({name: getattr(cells, name) for name in IDENTITY}, cells.model)
        return cells

    def check(self) -> None:
        """Raise the errors of ``make`` without creating cells; all of the file is read."""
        if self.file is not None:
            self._check_file(self.file)
            with (
                open_checked(self.file, "an array file") as archive,
                one_line_errors("not an array file"),
            ):
                found = archive.manifest
                model = parse(json.dumps(found["model"]).encode(), "model")
                present = {
                    "shape": tuple(found["shape"]), "history": present_history(found["history"]),
                }  # fmt: skip
                self._check_identity(found | present, model)

    def _check_file(self, file: str) -> None:
        if self.checksum is not None and checksum(file) != self.checksum:
            raise FileFormatError(f"{file}: not the file that was saved for this shard")

    def _check_identity(self, found: Mapping[str, object], model: CellModel) -> None:
        wanted = {
            "shape": self.shape, "first_cell": self.first_cell, "engine": ENGINE, **self.options,
        }  # fmt: skip
        for name, value in wanted.items():
            if found[name] != value:
                raise FileFormatError(
                    f"{self.file}: {name}: expected {value}, the file has {found[name]}"
                )
        if model.fingerprint != self.model.fingerprint:
            raise FileFormatError(f"{self.file}: model: differs from the model of the array")


def make_roots(
    model: CellModel,
    shapes: Iterable[tuple[int, ...]],
    options: CellOptions,
    folder: Path | None = None,
    pulses: int = 0,
    checksums: Sequence[str | None] | None = None,
) -> list[Root]:
    """Return the roots of the consecutive shards of an array, new or saved in ``folder``."""
    roots, first = [], 0
    for number, shape in enumerate(shapes):
        file = None if folder is None else str(folder / shard_file(number))
        noted = None if checksums is None else checksums[number]
        roots.append(Root(model, shape, first, options, file, pulses, noted))
        first += math.prod(shape)
    return roots


def problem(root: Root) -> str | None:
    """Return the error of the file of a shard as text, or None."""
    try:
        root.check()
    except SynfabError as error:
        return str(error)
    return None


class PulseError(InvalidValueError):
    """A pulse is not valid, so that retrying is useless."""


Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class FromFile:
    """Voltages of one pulse in a file of (pulses, cells), read by the worker."""

    path: str
    cells: int
    pulse: int
    stamp: Stamp | None
    content: str  # digest from ``read_pulses``

    def __call__(self, start: int, stop: int) -> npt.ArrayLike:
        """Return the voltages (V) of cells ``start`` … ``stop - 1``."""
        if stamp(self.path) != self.stamp:
            raise FileFormatError(f"{self.path}: changed after its pulses were applied")
        pulses = _opened(self.path, self.cells, self.stamp)
        if pulses.name != self.content:  # chunks of a Zarr array can change without its metadata
            raise FileFormatError(f"{self.path}: changed after its pulses were applied")
        return pulses.voltages(self.pulse, start, stop)


def stamp(path: str) -> Stamp:
    """Return inode, size and time of a file or of Zarr metadata, to detect changes."""
    metadata = [Path(path) / name for name in METADATA]
    status = next((p for p in metadata if p.is_file()), Path(path)).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _opened(path: str, cells: int, _stamp: Stamp | None) -> Pulses:
    return read_pulses(path, cells)


@dataclass(frozen=True)
class Pulse:
    """Voltage (V) for all cells of a shard, one per cell, or a function of (start, stop)."""

    u: npt.ArrayLike | Callable[[int, int], npt.ArrayLike]
    where: npt.ArrayLike | None = None

    def apply(self, cells: CellArray[Any]) -> None:
        """Apply the pulse to the cells of a shard."""
        u = self.u
        if callable(u):
            start = cells.first_cell
            u = np.asarray(u(start, start + cells.size))
            u = u if u.ndim == 0 else u.reshape(cells.shape)
        cells.apply_voltage(u, where=self.where)


@dataclass(frozen=True)
class Wait:
    """Time (s) that passes for the cells of a shard, at a temperature (K)."""

    seconds: float
    temperature: float

    def apply(self, cells: CellArray) -> None:
        """Let the time pass."""
        cells.wait(self.seconds, self.temperature)


Event = Pulse | Wait
_held: dict[Key, tuple[int, CellArray]] = {}
_lock = Lock()


def act(
    key: Key,
    root: Root,
    done: int,
    pulses: Sequence[Event],
    task: Callable[..., Any] | None,
    arguments: tuple[object, ...],
) -> tuple[str, Any] | None:
    """Apply the pulses after the first ``done`` ones, then run a task on the shard.

    Returns
    -------
    tuple or None
        Address of the worker and result of the task; None if the worker does not have the shard and
        ``pulses`` do not start at the root.
    """
    from distributed import get_worker

    with _lock:
        count, cells = _held.pop(key, (-1, None))
    if cells is None or not done <= count <= done + len(pulses):
        if done != root.pulses:
            return None
        _opened.cache_clear()  # programs are read and compared again before a replay
        count, cells = done, root.make()
    for number, pulse in enumerate(pulses[count - done :], count):
        try:
            pulse.apply(cells)
        except Exception as error:
            pass_on(error)
            what = "wait" if isinstance(pulse, Wait) else "pulse"
            raise PulseError(f"{what} {number}: {error}") from None
    try:
        result = None if task is None else task(cells, *arguments)
    finally:  # the cells are valid even if the task failed
        with _lock:
            _held[key] = (done + len(pulses), cells)
    return get_worker().address, result


def forget(name: str) -> None:
    """Free all shards of an array on this worker."""
    with _lock:
        for key in [key for key in _held if key[0] == name]:
            del _held[key]


# ---- tasks --------------------------------------------------------------------------------------


def read(cells: CellArray[Any], u: npt.ArrayLike, noise: ReadNoise | None, number: int) -> Any:
    """Return the currents of a shard, with the noise of read ``number`` or without."""
    return cells.current(u) if noise is None else currents(cells, u, noise, number)


def read_into(
    cells: CellArray[Any], path: str, u: npt.ArrayLike, noise: ReadNoise | None, number: int
) -> None:
    """Write the currents of a shard into a Zarr array of all cells."""
    import zarr

    target: Any = zarr.open_array(store=path, mode="r+")
    start = cells.first_cell - int(target.attrs["first_cell"])
    target[start : start + cells.size] = read(cells, u, noise, number).reshape(-1)


def matvec(
    cells: CellArray[Any],
    first_row: int,
    batch: npt.NDArray[np.float64],
    number: int,
    noise: ReadNoise | None,
) -> Any:
    """Return the row currents of a shard with the noise of these rows in the whole array."""
    if noise is None:
        return row_currents(cells, batch, NONE, None)
    z = cells.readout_noise(len(batch), number, first_row=first_row)
    return row_currents(cells, batch, noise, z)


def save(cells: CellArray[Any], path: str) -> str:
    """Write a shard to a file and return its checksum."""
    cells.save(path)
    return checksum(path)


def shard_shapes(shape: tuple[int, ...], shard_size: int) -> list[tuple[int, ...]]:
    """Return the shapes of the shards: whole rows of the first axis."""
    line = math.prod(shape[1:])
    rows = max(1, shard_size // line)
    return [(min(rows, shape[0] - low), *shape[1:]) for low in range(0, shape[0], rows)]
