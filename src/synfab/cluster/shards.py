"""Shards: the cells on the workers, and the pulses that these have not seen."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from synfab.cells.arguments import Arguments
from synfab.cluster import shard
from synfab.cluster.shard import Pulse, Root
from synfab.random.backend import NUMPY

QUEUE = 32  # pulses that are sent together; a message costs milliseconds


class Shards:
    """The parts of one array, each with its root and the pulses since.

    A worker is sent what is new. One that has lost a shard, or never had it, is sent everything
    since the root, from which it makes the same cells again.
    """

    def __init__(self, client: Any, roots: Sequence[Root]) -> None:
        self.client, self.roots = client, list(roots)
        self.name = uuid.uuid4().hex  # of the array, on the workers
        self._pulses: list[tuple[Pulse, ...]] = []  # since the roots, one for each shard
        self._sent = 0  # of them, which the workers have
        self._homes: list[str | None] = [None] * len(roots)
        self._edges = np.cumsum([0, *(root.shape[0] for root in roots)])
        shape = (int(self._edges[-1]), *self.roots[0].shape[1:])
        self.given = Arguments(NUMPY, shape)

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def first_rows(self) -> list[int]:
        """Number of each shard's first line along the first axis."""
        return [int(edge) for edge in self._edges[:-1]]

    @property
    def since(self) -> int:
        """Number of pulses since the roots."""
        return len(self._pulses)

    @property
    def pulses(self) -> int:
        """Number of pulses since the cells were made."""
        return self.roots[0].pulses + self.since

    def split(self, flat: Any) -> list[Any]:
        """One value for all cells, or each shard's part of one for every cell."""
        if len(flat) == 1:
            return [flat[0]] * len(self)
        parts = np.split(flat.reshape(self.given.shape), self._edges[1:-1])
        return [np.ascontiguousarray(part) for part in parts]

    def voltages(self, u: Any, mask: Any = None) -> list[Any]:
        """Voltages (V) as ``CellArray`` takes them, in parts."""
        return self.split(self.given.voltages(u, mask))

    def apply(self, u: Any, where: Any) -> None:
        """Note a pulse down, and send what has gathered if that is a message's worth."""
        mask = self.given.mask(where)
        parts = [u] * len(self) if callable(u) else self.voltages(u, mask)
        masks = [None] * len(self) if mask is None else self.split(mask)
        # One step, which an interrupt cannot leave half done.
        self._pulses.append(tuple(map(Pulse, parts, masks)))

    def send(self, least: int = 1) -> None:
        """Let the cells see their pulses, if at least so many wait."""
        if self.since - self._sent >= least:
            self.act(None)

    def act(self, task: Any, arguments: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """Bring every shard up to date, then do a task with it; results in order."""
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
                del self._pulses[self._sent :]  # they would fail each time
                raise
            waiting = {}
            for number, answer in found.items():
                if answer is None:  # its worker is gone, and the cells with it
                    waiting[number] = self._submit(number, 0, task, given[number])
                else:
                    self._homes[number], results[number] = answer
        self._sent = self.since
        return results

    def _submit(self, number: int, sent: int, task: Any, arguments: tuple[Any, ...]) -> Any:
        root, home = self.roots[number], self._homes[number]
        there = {} if home is None else {"workers": [home], "allow_other_workers": True}
        return self.client.submit(
            shard.act, (self.name, number), root, root.pulses + sent,
            [pulse[number] for pulse in self._pulses[sent:]], task, arguments, pure=False, **there,
        )  # fmt: skip

    def begin_at(self, files: Sequence[str], checksums: Sequence[str | None]) -> None:
        """Take files of the present state for the roots."""
        pulses = self.pulses
        roots = [
            replace(root, file=file, pulses=pulses, checksum=noted)
            for root, file, noted in zip(self.roots, files, checksums, strict=True)
        ]
        self.roots, self._pulses, self._sent = roots, [], 0

    def forget(self) -> None:
        """Let the workers forget the cells."""
        self.client.run(shard.forget, self.name)
