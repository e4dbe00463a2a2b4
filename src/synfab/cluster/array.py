"""ShardedCellArray: the cells of a ``CellArray``, on the workers of a Dask cluster."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.cluster import shard
from synfab.cluster.client import check_client, check_memory
from synfab.cluster.folder import (
    check_empty,
    held,
    newest_whole,
    read_folder,
    saved_roots,
    step_folder,
    steps,
)
from synfab.cluster.manifest import Manifest, read_manifest, shard_file, write_manifest
from synfab.cluster.shard import make_roots
from synfab.cluster.shards import QUEUE, Shards
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.common.locking import add_lock, locked
from synfab.io import archive
from synfab.io.files import atomic_folder
from synfab.io.memory import require_memory
from synfab.io.zarr_file import require_zarr
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.model_file import load_model
from synfab.physics.noise import ReadNoise
from synfab.pulses.blocks import read_pulses
from synfab.random.streams import WORD

Array = npt.NDArray[Any]

SHARD = 2**22


class ShardedCellArray:
    """Virtual cells on a cluster: cell c of a seed is the cell c of ``CellArray``, bit for bit.

    Threads may share an array: each method call holds the array's lock.

    Parameters
    ----------
    model, shape, seed, order, history
        As of ``CellArray``.
    client
        ``distributed.Client`` of the cluster.
    shard_size
        Largest number of cells a shard; shards are whole lines of the first axis.
    folder
        For checkpoints, on a file system that client and workers share. Without it, a shard that is
        lost with its worker is made again from its first pulse on.
    every
        Pulses between checkpoints.
    keep
        Checkpoints that are kept.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """

    def __init__(
        self,
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        client: Any,
        order: int | None = None,
        history: str = "float32",
        shard_size: int = SHARD,
        folder: str | os.PathLike[str] | None = None,
        every: int | None = None,
        keep: int = 2,
    ) -> None:
        add_lock(self)
        check_client(client)
        technology = load_model(model)
        one = CellArray(technology, 1, seed=seed, order=order, history=history)  # or what is wrong
        options = {"seed": one.seed, "order": one.order, "history": history}
        axes, largest = checks.axes("shape", shape), checks.count("shard_size", shard_size)
        check_memory(client, math.prod(axes), one.order, history)
        self._plan("folder", folder, every, keep)
        self._hold("folder")
        shapes = shard.shard_shapes(axes, largest)
        self._shards = Shards(client, make_roots(technology, shapes, options))
        self.read_number = self.readout_number = 0

    def _plan(
        self,
        argument: str,
        folder: str | os.PathLike[str] | None,
        every: int | None,
        keep: int,
    ) -> None:
        """Note where checkpoints of this array go, and when; nothing is written."""
        self.every = None if every is None else checks.count("every", every)
        self.keep = checks.count("keep", keep)
        if every is not None and folder is None:
            raise InvalidValueError(
                f"every: expected a folder for the checkpoints as well ({argument}=)"
            )
        self.folder = None if folder is None else checks.path(argument, folder).absolute()

    def _hold(self, argument: str, *, empty: bool = True) -> None:
        """Take the folder of the checkpoints for this array alone, until ``close``."""
        with ExitStack() as holding:  # let go if the folder is not what it should be
            if self.folder is not None:
                holding.enter_context(held(self.folder, argument))
            if empty:
                check_empty(argument, self.folder)
            self._holding = holding.pop_all()

    # ---- what the array is ----------------------------------------------------------------------

    @property
    def client(self) -> Any:
        """``distributed.Client`` of the cluster."""
        return self._shards.client

    @property
    def model(self) -> CellModel:
        """The technology of the cells."""
        return self._shards.roots[0].model

    @property
    def seed(self) -> int:
        """Seed of the cells."""
        return int(self._shards.roots[0].options["seed"])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return self._shards.given.shape

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self._shards)

    @property
    def pulses(self) -> int:
        """Number of pulses since the cells were made."""
        return self._shards.pulses

    def __repr__(self) -> str:
        cells = " x ".join(map(str, self.shape))
        return f"ShardedCellArray({cells} cells of {self.model.name!r}, {self.shards} shards)"

    # ---- changing cells -------------------------------------------------------------------------

    @locked
    def apply_voltage(self, u: Any, *, where: Any = None) -> ShardedCellArray:
        """Apply a voltage (V) to every cell; see ``CellArray.apply_voltage``.

        Pulses are sent to the workers some at a time, at the latest when something is read.

        Parameters
        ----------
        u
            One voltage, an array that broadcasts to the shape, or a function of (start, stop), the
            numbers of cells, that the workers call.
        where
            Boolean mask that broadcasts to the shape; what ``u`` holds elsewhere is ignored.
        """
        self._shards.apply(u, where)
        if self.every is not None and self._shards.since >= self.every:
            self.checkpoint()
        else:
            self._shards.send(QUEUE)
        return self

    @locked
    def apply_program(self, program: str | os.PathLike[str]) -> ShardedCellArray:
        """Apply the pulses of an expression or a file, which the workers read in parts.

        Parameters
        ----------
        program
            ``"-2, 0.9"``; a CSV or Parquet file with a column ``voltage``; or, on a file system
            that the workers share, a ``.npy`` or Zarr array of voltages (pulses, cells), in V.

        Raises
        ------
        InvalidValueError, FileFormatError
            The program is not understood, is for another number of cells, or has a voltage that is
            not finite; ``pulses`` says how many were applied.

        Notes
        -----
        A worker that is lost is replaced by one that reads the file again: it must stay as it is
        until the next checkpoint.
        """
        if not isinstance(program, str):
            checks.path("program", program)
        given = os.fspath(program)
        program_ = read_pulses(given, self.size)
        steps_ = program_.steps
        stamp = shard.stamp(given) if any(map(callable, steps_)) else None
        for number, step in enumerate(steps_):
            place = shard.FromFile(
                str(Path(given).absolute()), self.size, number, stamp, program_.name
            )
            self.apply_voltage(place if callable(step) else step)
        self.flush()  # while the file is what it is
        return self

    @locked
    def flush(self) -> None:
        """Send what has gathered, and wait until the cells have switched."""
        self._shards.send()

    # ---- reading --------------------------------------------------------------------------------

    @locked
    def read(
        self,
        u: npt.ArrayLike = 0.2,
        *,
        bandwidth: float = 1e8,
        noise: bool = True,
        number: int | None = None,
        output: str | os.PathLike[str] | None = None,
    ) -> Array | None:
        """Measure the current (A) of every cell; see ``CellArray.read``.

        With ``output``, a path that workers share, they write a Zarr array (cells,) and nothing is
        returned, so that no machine holds all.
        """
        given = self.read_number if number is None else checks.word("number", number)
        read_noise = ReadNoise.of_bandwidth(bandwidth)
        noise = checks.flag("noise", noise)
        target = None if output is None else checks.path("output", output).absolute()
        options = (read_noise if noise else None, given)
        arguments = [(part, *options) for part in self._shards.voltages(u)]
        if target is None:
            require_memory(2 * 4 * self.size, "read: every current here; output=")
            result: Array | None = np.concatenate(self._shards.act(shard.read, arguments))
        else:
            self._read_into(target, arguments)
            result = None
        if number is None and noise:
            self.read_number = (given + 1) & WORD
        return result

    def _read_into(self, path: Path, arguments: list[tuple[Array, ReadNoise | None, int]]) -> None:
        """Let the workers write a Zarr array, which gets its name when it is whole."""
        zarr = require_zarr()
        from zarr.codecs import Crc32cCodec

        with atomic_folder(path, "output") as beside:
            target = zarr.create_array(
                store=str(beside), shape=(self.size,), dtype="f4", zarr_format=3,
                chunks=(math.prod(self._shards.roots[0].shape),), compressors=(Crc32cCodec(),),
            )  # fmt: skip
            target.attrs.update(
                {"first_cell": 0, "seed": self.seed, "model": self.model.fingerprint,
                 "shape": list(self.shape)}
            )  # fmt: skip
            self._shards.act(shard.read_into, [(str(beside), *given) for given in arguments])

    @locked
    def matvec(
        self, v: Any, *, noise: bool = True, bandwidth: float = 1e8, number: int | None = None
    ) -> Array:
        """Read the array as a crossbar with ideal wires; see ``CellArray.matvec``."""
        voltages = self._shards.given.column_voltages(v)
        batch = np.ascontiguousarray(voltages.reshape(self.shape[1], -1).T, np.float64)
        count, read_noise = len(batch), ReadNoise.of_bandwidth(bandwidth)
        noise = checks.flag("noise", noise)
        given = self.readout_number if number is None else checks.word("number", number, count)
        options = (batch, given, read_noise if noise else None)
        rows = self._shards.first_rows
        parts = self._shards.act(shard.matvec, [(row, *options) for row in rows])
        if number is None and noise:
            self.readout_number = (given + count) & WORD
        result = np.concatenate(parts)
        return result[:, 0] if voltages.ndim == 1 else result

    def __matmul__(self, v: Any) -> Array:
        return self.matvec(v)

    @property
    def features(self) -> dict[str, Array]:
        """Features of the current cycle: r_hrs, r_lrs (ohm), u_set, u_reset (V)."""
        parts = self._attribute("features")
        return {name: np.concatenate([part[name] for part in parts]) for name in FEATURES}

    @property
    def r(self) -> Array:
        """Mixing state r of every cell."""
        return np.concatenate(self._attribute("r"))

    @property
    def cycle(self) -> Array:
        """Cycle number n of every cell."""
        return np.concatenate(self._attribute("cycle"))

    @locked
    def _attribute(self, name: str) -> list[Any]:
        return self._shards.act(shard.attribute, [(name,)] * self.shards)

    # ---- files ----------------------------------------------------------------------------------

    @locked
    def checkpoint(self) -> Path:
        """Write every shard to the folder; from here on, lost shards begin there."""
        if self.folder is None:
            raise InvalidValueError("folder: expected one at the making of the array, found none")
        path = step_folder(self.folder, self.pulses)
        roots = self._shards.roots
        files = [str(path / shard_file(number)) for number in range(self.shards)]
        if roots[0].file == files[0]:  # still there; reads may have gone on
            checksums = tuple(
                root.checksum or archive.checksum(file)
                for root, file in zip(roots, files, strict=True)
            )
            self._write_manifest(path, checksums)
        else:
            checksums = self._save(path)
        self._shards.begin_at(files, checksums)
        for old in steps(self.folder)[: -self.keep]:
            shutil.rmtree(step_folder(self.folder, old))
        return path

    @locked
    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder: a checksummed array file of each shard and a manifest, whole or not."""
        self._save(checks.path("folder", folder).absolute())

    def _save(self, folder: Path) -> tuple[str, ...]:
        with atomic_folder(folder, "folder") as beside:
            files = [(str(beside / shard_file(number)),) for number in range(self.shards)]
            checksums = tuple(self._shards.act(shard.save, files))
            self._write_manifest(beside, checksums)
        return checksums

    def _write_manifest(self, folder: Path, checksums: tuple[str, ...]) -> None:
        roots = self._shards.roots
        shapes, options = tuple(root.shape for root in roots), roots[0].options
        counters = (self.pulses, self.read_number, self.readout_number)
        write_manifest(
            folder, Manifest(self.model, self.shape, shapes, options, *counters, checksums)
        )

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        client: Any,
        *,
        checkpoints: str | os.PathLike[str] | None = None,
        every: int | None = None,
        keep: int = 2,
    ) -> ShardedCellArray:
        """Read what ``save`` wrote, onto any cluster that sees the folder.

        The workers compare every shard with the manifest: its checksum, shape, numbers of cells,
        seed, order, history, engine and model.

        Raises
        ------
        FileFormatError
            The folder is not one of these, damaged, or a shard in it is another.
        """
        check_client(client)
        place = checks.path("folder", folder).absolute()
        result = cls.__new__(cls)
        add_lock(result)
        result._plan("checkpoints", checkpoints, every, keep)
        read_manifest(place)  # before a folder is made for the checkpoints
        result._hold("checkpoints")
        result._read(lambda: read_folder(place, client), client)
        return result

    def _read(self, find: Callable[[], tuple[Path, Manifest]], client: Any) -> None:
        """Take over the cells in the folder that is found, or let go of the one that is held."""
        try:
            path, found = find()
        except BaseException:
            self._holding.close()
            raise
        self._shards = Shards(client, saved_roots(path, found))
        self.read_number, self.readout_number = found.read_number, found.readout_number

    @classmethod
    def resume(
        cls,
        folder: str | os.PathLike[str],
        client: Any,
        *,
        every: int | None = None,
        keep: int = 2,
    ) -> ShardedCellArray:
        """Resume from the newest undamaged checkpoint; ``pulses`` says how many it has seen.

        A checkpoint with a damaged manifest, or a shard that is damaged, missing or another, is
        passed over with a warning.

        Raises
        ------
        FileFormatError
            There is no undamaged one; one has the name of another number of pulses than its own; or
            one is of a later version.
        """
        check_client(client)
        place = checks.path("folder", folder).absolute()
        if not steps(place):
            raise FileFormatError(f"{folder}: no checkpoint there")
        result = cls.__new__(cls)
        add_lock(result)
        result._plan("folder", place, every, keep)
        result._hold("folder", empty=False)
        result._read(lambda: newest_whole(place, client), client)
        return result

    @locked
    def close(self) -> None:
        """Let the workers forget the cells, and others have the folder."""
        self._holding.close()
        self._shards.forget()
