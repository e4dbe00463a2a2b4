"""ShardedCellArray: the cells of a ``CellArray``, on the workers of a Dask cluster."""

from __future__ import annotations

import json
import math
import os
import shutil
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.capacity import require_memory
from synfab.cells import CellArray
from synfab.cluster import shard
from synfab.cluster.client import check_client, check_memory
from synfab.cluster.folder import check_empty, held, newest_whole, step_folder, steps
from synfab.cluster.manifest import (
    FORMAT,
    MANIFEST,
    VERSION,
    first_cells,
    read_manifest,
    shard_file,
)
from synfab.cluster.shard import Pulse, Root
from synfab.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.files import atomic_folder, atomic_path
from synfab.model import FEATURES, CellModel
from synfab.modelfile import document, load_model
from synfab.readout import noise_factors
from synfab.simulate.pulses import read_pulses
from synfab.simulate.zarrfile import require_zarr

Array = npt.NDArray[Any]

SHARD = 2**22
QUEUE = 32  # pulses that are sent together; a message costs milliseconds


class ShardedCellArray:
    """Virtual cells on a cluster: cell c of a seed is the cell c of ``CellArray``, bit for bit.

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
        check_client(client)
        technology = load_model(model)
        one = CellArray(technology, 1, seed=seed, order=order, history=history)  # or what is wrong
        options = {"seed": one.seed, "order": one.order, "history": history}
        axes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        if not axes or any(isinstance(n, bool) or int(n) != n or n < 1 for n in axes):
            raise InvalidValueError(f"shape: expected axes of 1 or more cells, found {shape}")
        for name, value in (("shard_size", shard_size), ("every", every), ("keep", keep)):
            if value is not None and (isinstance(value, bool) or int(value) != value or value < 1):
                raise InvalidValueError(f"{name}: expected a whole number above 0, found {value!r}")
        if every is not None and folder is None:
            raise InvalidValueError("every: expected a folder for the checkpoints as well")
        self.client, self.shape = client, tuple(int(n) for n in axes)
        self.every, self.keep = every, keep
        check_memory(client, self.size, one.order, history)
        self._hold("folder", folder)
        check_empty("folder", self.folder)
        self._start([], technology, options, int(shard_size))

    def _hold(self, argument: str, folder: str | os.PathLike[str] | None) -> None:
        """Take a folder for the checkpoints of this array alone, until ``close``."""
        self.folder = None if folder is None else Path(folder).absolute()
        self._holding = ExitStack()
        if self.folder is not None:
            self._holding.enter_context(held(self.folder, argument))

    def _start(
        self, roots: list[Root], model: CellModel, options: dict[str, Any], shard_size: int
    ) -> None:
        if not roots:
            first = 0
            for shape in shard.shard_shapes(self.shape, shard_size):
                roots.append(Root(model, shape, first, options))
                first += math.prod(shape)
        self.model, self.seed = model, options["seed"]
        self.read_number = self.readout_number = 0
        self._roots, self._name = roots, uuid.uuid4().hex
        self._pulses: list[list[Pulse]] = [[] for _ in roots]  # since the root
        self._sent = 0  # of them, which the workers have
        self._homes: list[str | None] = [None] * len(roots)

    # ---- what the array is ----------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self._roots)

    @property
    def pulses(self) -> int:
        """Number of pulses since the cells were made."""
        return self._roots[0].pulses + len(self._pulses[0])

    def __repr__(self) -> str:
        cells = " x ".join(map(str, self.shape))
        return f"ShardedCellArray({cells} cells of {self.model.name!r}, {self.shards} shards)"

    # ---- changing cells -------------------------------------------------------------------------

    def apply_voltage(self, u: Any, *, where: Any = None) -> ShardedCellArray:
        """Apply a voltage (V) to every cell; see ``CellArray.apply_voltage``.

        Pulses are sent to the workers some at a time, at the latest when something is read.

        Parameters
        ----------
        u
            One voltage, an array that broadcasts to the shape, or a function of (start, stop), the
            numbers of cells, that the workers call.
        where
            Boolean mask that broadcasts to the shape.
        """
        parts = [u] * self.shards if callable(u) else self._split("u", u, "iuf")
        masks = [None] * self.shards if where is None else self._split("where", where, "b")
        for waiting, part, mask in zip(self._pulses, parts, masks, strict=True):
            waiting.append(Pulse(part, mask))
        if self.every is not None and len(self._pulses[0]) >= self.every:
            self.checkpoint()
        elif len(self._pulses[0]) - self._sent >= QUEUE:
            self.flush()
        return self

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
        given = os.fspath(program)
        steps_ = read_pulses(given, self.size).steps
        stamp = shard.stamp(given) if any(map(callable, steps_)) else None
        for number, step in enumerate(steps_):
            place = shard.FromFile(str(Path(given).absolute()), self.size, number, stamp)
            self.apply_voltage(place if callable(step) else step)
        self.flush()  # while the file is what it is
        return self

    def flush(self) -> None:
        """Send what has gathered, and wait until the cells have switched."""
        self._act(None)

    def _split(self, name: str, given: Any, kinds: str) -> list[Any]:
        """One voltage for all, or an array in the parts of the shards."""
        array = np.asarray(given)
        if array.dtype.kind not in kinds:
            raise InvalidTypeError(f"{name}: expected numbers or a mask, found {array.dtype}")
        if array.dtype.kind != "b" and not np.isfinite(array).all():
            raise InvalidValueError(f"{name}: expected finite voltages, found NaN or infinity")
        if array.ndim == 0:
            return [array[()]] * self.shards
        try:
            whole = np.broadcast_to(array, self.shape)
        except ValueError:
            raise InvalidValueError(
                f"{name}: expected a shape that broadcasts to {self.shape}, found {array.shape}"
            ) from None
        edges = np.cumsum([root.shape[0] for root in self._roots])[:-1]
        return [np.ascontiguousarray(part) for part in np.split(whole, edges)]

    def _act(self, task: Any, arguments: Any = None) -> list[Any]:
        """Bring every shard up to date, then do a task with it; results in order."""
        given = [()] * self.shards if arguments is None else arguments
        results: list[Any] = [None] * self.shards
        waiting = {number: self._submit(number, self._sent, task, given) for number in
                   range(self.shards)}  # fmt: skip
        while waiting:
            try:
                found = self.client.gather(waiting)
            except shard.PulseError:
                for unsent in self._pulses:  # they would fail each time
                    del unsent[self._sent :]
                raise
            waiting = {}
            for number, answer in found.items():
                if answer is None:  # its worker is gone, and the cells with it
                    waiting[number] = self._submit(number, 0, task, given)
                else:
                    self._homes[number], results[number] = answer
        self._sent = len(self._pulses[0])
        return results

    def _submit(self, number: int, sent: int, task: Any, given: Any) -> Any:
        root, home = self._roots[number], self._homes[number]
        there = {} if home is None else {"workers": [home], "allow_other_workers": True}
        return self.client.submit(
            shard.act, (self._name, number), root, root.pulses + sent,
            self._pulses[number][sent:], task, given[number], pure=False, **there,
        )  # fmt: skip

    # ---- reading --------------------------------------------------------------------------------

    def read(
        self,
        u: float = 0.2,
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
        given = self.read_number if number is None else number
        options = {"bandwidth": bandwidth, "noise": noise, "number": given}
        if output is None:
            require_memory(2 * 4 * self.size, "read: every current here; output=")
            parts = self._act(shard.read, [(u, options)] * self.shards)
            result: Array | None = np.concatenate(parts)
        else:
            self._read_into(Path(output).absolute(), u, options)
            result = None
        if number is None:
            self.read_number = given + 1
        return result

    def _read_into(self, path: Path, u: float, options: dict[str, Any]) -> None:
        """Let the workers write a Zarr array, which gets its name when it is whole."""
        zarr = require_zarr()
        with atomic_folder(path, "output") as beside:
            target = zarr.create_array(
                store=str(beside), shape=(self.size,), dtype="f4", compressors=None,
                chunks=(math.prod(self._roots[0].shape),),
            )  # fmt: skip
            target.attrs.update(
                {"first_cell": 0, "seed": self.seed, "model": self.model.fingerprint,
                 "shape": list(self.shape)}
            )  # fmt: skip
            self._act(shard.read_into, [(str(beside), u, options)] * self.shards)

    def matvec(
        self, v: Any, *, noise: bool = True, bandwidth: float = 1e8, number: int | None = None
    ) -> Array:
        """Read the array as a crossbar with ideal wires; see ``CellArray.matvec``."""
        if len(self.shape) != 2:
            raise InvalidValueError(
                f"cells: a crossbar readout needs rows x columns, this array has shape {self.shape}"
            )
        voltages = np.asarray(v, np.float32)
        columns = self.shape[1]
        if voltages.ndim not in (1, 2) or voltages.shape[0] != columns:
            raise InvalidValueError(
                f"v: expected shape ({columns},) or ({columns}, B), found {voltages.shape}"
            )
        batch = voltages.reshape(columns, -1)
        given = self.readout_number if number is None else number
        factors = noise_factors(bandwidth) if noise else None
        rows = np.cumsum([0, *(root.shape[0] for root in self._roots)])[:-1]
        parts = self._act(shard.matvec, [(batch, int(row), given, factors) for row in rows])
        if number is None and noise:
            self.readout_number = given + batch.shape[1]
        result = np.concatenate(parts)
        return result[:, 0] if voltages.ndim == 1 else result

    def __matmul__(self, v: Any) -> Array:
        return self.matvec(v)

    @property
    def features(self) -> dict[str, Array]:
        """Features of the current cycle: r_hrs, r_lrs (ohm), u_set, u_reset (V)."""
        parts = self._act(shard.attribute, [("features",)] * self.shards)
        return {name: np.concatenate([part[name] for part in parts]) for name in FEATURES}

    @property
    def r(self) -> Array:
        """Mixing state r of every cell."""
        return np.concatenate(self._act(shard.attribute, [("r",)] * self.shards))

    @property
    def cycle(self) -> Array:
        """Cycle number n of every cell."""
        return np.concatenate(self._act(shard.attribute, [("cycle",)] * self.shards))

    # ---- files ----------------------------------------------------------------------------------

    def checkpoint(self) -> Path:
        """Write every shard to the folder; from here on, lost shards begin there."""
        if self.folder is None:
            raise InvalidValueError("folder: expected one at the making of the array, found none")
        path = step_folder(self.folder, self.pulses)
        if self._roots[0].file == str(path / shard_file(0)):  # still there; reads may have gone on
            self._write_manifest(path)
        else:
            self.save(path)
        self._roots = [
            replace(root, file=str(path / shard_file(number)), pulses=self.pulses)
            for number, root in enumerate(self._roots)
        ]
        self._pulses, self._sent = [[] for _ in self._roots], 0
        for old in steps(self.folder)[: -self.keep]:
            shutil.rmtree(step_folder(self.folder, old))
        return path

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder: a checksummed array file of each shard and a manifest, whole or not."""
        with atomic_folder(Path(folder).absolute(), "folder") as beside:
            files = [(str(beside / shard_file(number)),) for number in range(self.shards)]
            self._act(shard.save, files)
            self._write_manifest(beside)

    def _write_manifest(self, folder: Path) -> None:
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "shape": self.shape,
            "pulses": self.pulses,
            "read_number": self.read_number,
            "readout_number": self.readout_number,
            "shards": [root.shape for root in self._roots],
            "options": self._roots[0].options,
            "model": document(self.model),
        }
        with atomic_path(folder / MANIFEST) as path:
            path.write_text(json.dumps(manifest), encoding="utf-8")

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

        Raises
        ------
        FileFormatError
            The folder is not one of these, or damaged.
        """
        check_client(client)
        result = cls.__new__(cls)
        result.every, result.keep = every, keep
        result._hold("checkpoints", checkpoints)
        check_empty("checkpoints", result.folder)
        result._read(Path(folder).absolute(), client)
        return result

    def _read(self, path: Path, client: Any) -> None:
        found = read_manifest(path)
        self.client, self.shape = client, found.shape
        firsts = zip(found.shards, first_cells(found), strict=True)
        roots = [
            Root(found.model, shape, first, found.options, str(path / shard_file(number)),
                 found.pulses)
            for number, (shape, first) in enumerate(firsts)
        ]  # fmt: skip
        self._start(roots, found.model, found.options, SHARD)
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
        """Go on from the newest whole checkpoint; ``pulses`` says how far it had come.

        Raises
        ------
        FileFormatError
            There is none in the folder.
        """
        check_client(client)
        if not steps(Path(folder)):
            raise FileFormatError(f"{folder}: no checkpoint there")
        result = cls.__new__(cls)
        result.every, result.keep = every, keep
        result._hold("folder", folder)
        result._read(newest_whole(Path(folder).absolute(), client), client)
        return result

    def close(self) -> None:
        """Let the workers forget the cells, and others have the folder."""
        self._holding.close()
        self.client.run(shard.forget, self._name)
