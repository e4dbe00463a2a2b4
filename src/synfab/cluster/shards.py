"""Shards on the workers, and the pulses that have not been sent yet."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from synfab.cells.arguments import Arguments
from synfab.cluster import shard
from synfab.cluster.shard import Event, Pulse, Root, Wait
from synfab.io.files import atomic_folder
from synfab.io.zarr_file import require_zarr
from synfab.random.backend import NUMPY

if TYPE_CHECKING:
    from distributed import Client, Future

Array = npt.NDArray[Any]
Voltage: TypeAlias = npt.ArrayLike | Callable[[int, int], npt.ArrayLike]
Task: TypeAlias = Callable[..., Any]

QUEUE = 32  # pulses sent together, because a message takes milliseconds


class Shards:
    """Parts of one array, each with its root and the pulses since.

    A worker receives only new pulses. One that does not have the shard receives all pulses since
    the root, and computes the same cells.
    """

    def __init__(self, client: Client, roots: Sequence[Root]) -> None:
        self.client, self.roots = client, list(roots)
        self.name = uuid.uuid4().hex  # of the array on the workers
        self._pulses: list[tuple[Event, ...]] = []  # since the roots; one per shard
        self._sent = 0  # number of pulses that the workers have applied
        self._homes: list[str | None] = [None] * len(roots)
        self.freed = False  # whether the workers were asked to free the cells, and none used since
        self._edges = np.cumsum([0, *(root.shape[0] for root in roots)])
        shape = (int(self._edges[-1]), *self.roots[0].shape[1:])
        self.given = Arguments(NUMPY, shape)

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def first_rows(self) -> list[int]:
        """First row of each shard along the first axis."""
        return [int(edge) for edge in self._edges[:-1]]

    @property
    def since(self) -> int:
        """Number of pulses and waits since the roots."""
        return len(self._pulses)

    @property
    def pulses(self) -> int:
        """Number of pulses and waits since the cells were created."""
        return self.roots[0].pulses + self.since

    def split(self, flat: Array) -> list[Array]:
        """Return one value, or the values of all cells in a flat array, split by shard."""
        if len(flat) == 1:
            return [flat[0]] * len(self)
        parts = np.split(flat.reshape(self.given.shape), self._edges[1:-1])
        return [np.ascontiguousarray(part) for part in parts]

    def voltages(self, u: npt.ArrayLike, mask: Array | None = None) -> list[Array]:
        """Return voltages (V) as for ``CellArray``, split by shard."""
        return self.split(self.given.voltages(u, mask))

    def apply(self, u: Voltage, where: npt.ArrayLike | None) -> None:
        """Add a pulse to those to be sent."""
        mask = self.given.mask(where)
        parts = [u] * len(self) if callable(u) else self.voltages(u, mask)
        masks = [None] * len(self) if mask is None else self.split(mask)
        # A single operation, which an interrupt cannot split.
        self._pulses.append(tuple(map(Pulse, parts, masks)))

    def wait(self, seconds: float, temperature: float) -> None:
        """Add a checked time (s) at a temperature (K) to what is to be sent."""
        self._pulses.append((Wait(seconds, temperature),) * len(self))

    def send(self, minimum: int = 1) -> None:
        """Send the pulses to the workers if there are at least ``minimum``."""
        if self.since - self._sent >= minimum:
            self.act(None)

    def act(
        self, task: Task | None, arguments: Sequence[tuple[object, ...]] | None = None
    ) -> list[Any]:
        """Apply outstanding pulses to all shards, then run a task; return results in order."""
        self.freed = False
        given = [()] * len(self) if arguments is None else arguments
        results: list[Any] = [None] * len(self)
        waiting = {
            number: self._submit(number, self._sent, task, given[number])
            for number in range(len(self))
        }
        while waiting:
            try:
                found = self.client.gather(waiting)
            except shard.PulseError:
                del self._pulses[self._sent :]  # they would fail again
                raise
            waiting = {}
            for number, answer in found.items():
                if answer is None:  # the worker does not have the shard
                    waiting[number] = self._submit(number, 0, task, given[number])
                else:
                    self._homes[number], results[number] = answer
        self._sent = self.since
        return results

    def _submit(
        self, number: int, sent: int, task: Task | None, arguments: tuple[object, ...]
    ) -> Future[Any]:
        root, home = self.roots[number], self._homes[number]
        preferred = {} if home is None else {"workers": [home], "allow_other_workers": True}
        return self.client.submit(
            shard.act, (self.name, number), root, root.pulses + sent,
            [pulse[number] for pulse in self._pulses[sent:]], task, arguments, pure=False,
            **preferred,
        )  # fmt: skip

    def read_into(self, path: Path, arguments: Sequence[tuple[object, ...]]) -> None:
        """Let the workers write a Zarr array, which is renamed to ``path`` when it is complete."""
        zarr = require_zarr()
        from zarr.codecs import Crc32cCodec

        first, shape = self.roots[0], self.given.shape
        with atomic_folder(path, "output") as temporary:
            target = zarr.create_array(
                store=str(temporary), shape=(math.prod(shape),), dtype="f4", zarr_format=3,
                chunks=(math.prod(first.shape),), compressors=(Crc32cCodec(),),
            )  # fmt: skip
            target.attrs.update(
                {"first_cell": 0, "seed": int(first.options["seed"]),
                 "model": first.model.fingerprint, "shape": list(shape)}
            )  # fmt: skip
            self.act(shard.read_into, [(str(temporary), *given) for given in arguments])

    def begin_at(self, files: Sequence[str], checksums: Sequence[str | None]) -> None:
        """Use files of the present state as roots."""
        pulses = self.pulses
        roots = [
            replace(root, file=file, pulses=pulses, checksum=noted)
            for root, file, noted in zip(self.roots, files, checksums, strict=True)
        ]
        self.roots, self._pulses, self._sent = roots, [], 0

    def forget(self) -> None:
        """Free the cells on the workers."""
        self.client.run(shard.forget, self.name)
        self.freed = True
