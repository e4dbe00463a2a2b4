"""ShardedCellArray: a ``CellArray`` distributed over the workers of a Dask cluster."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.cells.identity import CellOptions
from synfab.cells.traps import checked_pause, checked_temperature, checked_time, without_traps
from synfab.cluster import shard
from synfab.cluster.client import check_client, check_memory
from synfab.cluster.folder import CheckpointFolder, check_shards, save, saved_roots
from synfab.cluster.html import sharded_html
from synfab.cluster.manifest import Manifest, read_manifest
from synfab.cluster.shard import make_roots
from synfab.cluster.shards import QUEUE, Array, Shards, Voltage
from synfab.common import checks
from synfab.common.locking import add_lock, locked
from synfab.common.no_array import no_array
from synfab.io.memory import require_memory
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.model_file import load_model
from synfab.physics.noise import ReadNoise
from synfab.pulses.blocks import read_pulses
from synfab.random.streams import WORD

if TYPE_CHECKING:
    from distributed import Client


SHARD = 2**22


@no_array("array.r or array.read()")
class ShardedCellArray:
    """Array of cells on a cluster; cell c of a seed is bit-identical to cell c of ``CellArray``.

    Threads can share an array: each method call holds its lock.

    Parameters
    ----------
    model, shape, seed, order, history
        As of ``CellArray``.
    client
        ``distributed.Client`` of the cluster.
    shard_size
        Largest number of cells per shard; a shard consists of whole rows of the first axis.
    folder
        Folder for checkpoints on a file system shared by client and workers. Without it, a shard
        that is lost with its worker is computed again from its first pulse.
    every
        Pulses between checkpoints; None: only ``checkpoint`` writes one.
    keep
        Number of checkpoints to keep.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not valid.
    """

    def __init__(
        self,
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        *,
        seed: int,
        client: Client,
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
        one = CellArray(technology, 1, seed=seed, order=order, history=history)  # checks them
        options: CellOptions = {"seed": one.seed, "order": one.order, "history": history}
        axes, largest = checks.axes("shape", shape), checks.count("shard_size", shard_size)
        check_memory(client, math.prod(axes), one.order, history, technology)
        self._checkpoints = CheckpointFolder("folder", folder, every, keep)
        shapes = shard.shard_shapes(axes, largest)
        with self._checkpoints.held(empty=True):
            self._shards = Shards(client, make_roots(technology, shapes, options))
        self.read_number = self.readout_number = 0

    # ---- properties -----------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """Client of the cluster."""
        return self._shards.client

    @property
    def model(self) -> CellModel:
        """Model of the cells."""
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
        """Number of pulses applied since the cells were created; a wait counts as one."""
        return self._shards.pulses

    def __repr__(self) -> str:
        cells = " x ".join(map(str, self.shape))
        return f"ShardedCellArray({cells} cells of {self.model.name!r}, {self.shards} shards)"

    def _repr_html_(self) -> str:
        return sharded_html(self, freed=self._shards.freed)

    # ---- changing cells -------------------------------------------------------------------------

    @locked
    def apply_voltage(self, u: Voltage, *, where: npt.ArrayLike | None = None) -> ShardedCellArray:
        """Apply a voltage (V) to every cell; see ``CellArray.apply_voltage``.

        Pulses are collected and sent to the workers together, at the latest before a read.

        Parameters
        ----------
        u
            One voltage, an array that broadcasts to the shape, or a function that the workers call
            with (start, stop) for the voltages of cells start … stop - 1.
        where
            Boolean mask that broadcasts to the shape; other cells do not receive the pulse.
        """
        self._shards.apply(u, where)
        return self._collected()

    @locked
    def wait(self, seconds: float, temperature: float = 300.0) -> ShardedCellArray:
        """Let time (s) pass at a temperature (K) for every cell; see ``CellArray.wait``.

        Waits are collected, counted and sent in order with the pulses, so that a lost shard
        repeats them.

        Raises
        ------
        InvalidValueError
            An argument is out of range, or the model has no traps.
        """
        duration, kelvin = checked_time("seconds", seconds), checked_temperature(temperature)
        if self.model.traps is None:
            raise without_traps(self.model)
        self._shards.wait(duration, kelvin)
        return self._collected()

    def _collected(self) -> ShardedCellArray:
        """Write a checkpoint if one is due, or send the pulses if there are many."""
        if self._checkpoints.every and self._shards.since >= self._checkpoints.every:
            self.checkpoint()
        else:
            self._shards.send(QUEUE)
        return self

    @locked
    def apply_program(self, program: str | os.PathLike[str]) -> ShardedCellArray:
        """Apply the pulse program of an expression or a file; workers read the parts they need.

        Parameters
        ----------
        program
            ``"-2, 0.9"``; a CSV or Parquet file with a column ``voltage``; or, on a file system
            that the workers share, a ``.npy`` or Zarr array of voltages (pulses, cells), in V. It
            must not change until the next checkpoint: another worker reads it again if one is lost.

        Raises
        ------
        InvalidValueError, FileFormatError
            The program is not valid, is for another number of cells, or has a voltage that is not
            finite. ``pulses`` is the number of pulses that were applied.
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
        self.flush()  # before the file can change
        return self

    @locked
    def flush(self) -> None:
        """Send the collected pulses, and wait until the workers have applied them."""
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
        interval: float | None = None,
        temperature: float = 300.0,
        output: str | os.PathLike[str] | None = None,
    ) -> Array | None:
        """Measure the current (A) of every cell; see ``CellArray.read``.

        With ``output``, a path on a shared file system, the workers write a Zarr array (cells,) and
        None is returned, so that no machine holds all currents.
        """
        given = self.read_number if number is None else checks.word("number", number)
        read_noise = ReadNoise.of_bandwidth(bandwidth)
        noise = checks.flag("noise", noise)
        target = None if output is None else checks.path("output", output).absolute()
        used = read_noise if noise else None
        if target is None:
            require_memory(2 * 4 * self.size, "read: all currents on this machine (use output=)")
        parts = self._shards.voltages(u)
        duration, kelvin = checked_pause(interval, temperature)
        if duration is not None:
            self.wait(duration, kelvin)
        arguments = [(part, used, given) for part in parts]
        if target is None:
            result: Array | None = np.concatenate(self._shards.act(shard.read, arguments))
        else:
            self._shards.read_into(target, arguments)
            result = None
        if number is None and noise:
            self.read_number = (given + 1) & WORD
        return result

    @locked
    def matvec(
        self,
        v: npt.ArrayLike,
        *,
        noise: bool = True,
        bandwidth: float = 1e8,
        number: int | None = None,
    ) -> Array:
        """Return row currents (A) for column voltages ``v`` (V); see ``CellArray.matvec``."""
        voltages = self._shards.given.column_voltages(v)
        batch = np.ascontiguousarray(voltages.reshape(self.shape[1], -1).T, np.float64)
        count, read_noise = len(batch), ReadNoise.of_bandwidth(bandwidth)
        noise = checks.flag("noise", noise)
        given = self.readout_number if number is None else checks.word("number", number, count)
        options = (batch, given, read_noise if noise else None)
        parts = self._shards.act(shard.matvec, [(row, *options) for row in self._shards.first_rows])
        if number is None and noise:
            self.readout_number = (given + count) & WORD
        result = np.concatenate(parts)
        return result[:, 0] if voltages.ndim == 1 else result

    def __matmul__(self, v: npt.ArrayLike) -> Array:
        return self.matvec(v)

    @property
    def features(self) -> dict[str, Array]:
        """Features of the current cycle of every cell: r_hrs, r_lrs (ohm), u_set, u_reset (V)."""
        parts = self._attribute("features")
        return {name: np.concatenate([part[name] for part in parts]) for name in FEATURES}

    @property
    def r(self) -> Array:
        """State r of every cell."""
        return np.concatenate(self._attribute("r"))

    @property
    def cycle(self) -> Array:
        """Cycle number n of every cell."""
        return np.concatenate(self._attribute("cycle"))

    @locked
    def _attribute(self, name: str) -> list[Any]:
        return self._shards.act(getattr, [(name,)] * self.shards)

    # ---- files ----------------------------------------------------------------------------------

    @locked
    def checkpoint(self) -> Path:
        """Write all shards to the folder and return its path; lost shards restart from there."""
        return self._checkpoints.write(self._shards, (self.read_number, self.readout_number))

    @locked
    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder with a checksummed file per shard and a manifest; an error leaves none."""
        counters = (self.read_number, self.readout_number)
        save(checks.path("folder", folder).absolute(), self._shards, counters)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        client: Client,
        *,
        checkpoints: str | os.PathLike[str] | None = None,
        every: int | None = None,
        keep: int = 2,
    ) -> ShardedCellArray:
        """Return the array that ``save`` wrote, on any cluster with access to the folder.

        The workers compare every shard with the manifest: checksum, shape, cell numbers, seed,
        order, history, engine and model. An int16 history of version 0.1 becomes float32.

        Raises
        ------
        FileFormatError
            The folder does not hold such an array, is damaged, or a shard was exchanged.
        """
        check_client(client)
        place = checks.path("folder", folder).absolute()
        kept = CheckpointFolder("checkpoints", checkpoints, every, keep)
        manifest = read_manifest(place).present  # before the folder of checkpoints is created
        with kept.held(empty=True):
            check_shards(place, manifest, client)
            return cls._restored(place, manifest, client, kept)

    @classmethod
    def resume(
        cls,
        folder: str | os.PathLike[str],
        client: Client,
        *,
        every: int | None = None,
        keep: int = 2,
    ) -> ShardedCellArray:
        """Return the array of the newest undamaged checkpoint; ``pulses`` tells how far it was.

        A checkpoint with a damaged manifest, or with a shard that is damaged, missing or exchanged,
        is skipped with a warning.

        Raises
        ------
        FileFormatError
            No checkpoint is undamaged, the name of one states another number of pulses than its
            content, one was written by a later version, or the history is int16, which only
            ``load`` converts.
        """
        check_client(client)
        kept = CheckpointFolder("folder", checks.path("folder", folder), every, keep)
        with kept.newest(client) as (path, manifest):
            return cls._restored(path, manifest, client, kept)

    @classmethod
    def _restored(
        cls, folder: Path, saved: Manifest, client: Client, kept: CheckpointFolder
    ) -> ShardedCellArray:
        """Return the cells in a folder, with checkpoints in another one."""
        result = cls(saved.model, saved.shape, client=client, **saved.options)
        result._checkpoints, result._shards = kept, Shards(client, saved_roots(folder, saved))
        result.read_number, result.readout_number = saved.read_number, saved.readout_number
        return result

    @locked
    def close(self) -> None:
        """Free the cells on the workers and unlock the folder of checkpoints."""
        self._checkpoints.close()
        self._shards.forget()
