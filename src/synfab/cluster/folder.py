"""Folders of an array on a cluster: saved cells, and the checkpoints of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.cluster import shard
from synfab.cluster.manifest import Manifest, read_manifest, shard_file, write_manifest
from synfab.cluster.shard import Root, make_roots
from synfab.cluster.shards import Shards
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.io import archive
from synfab.io.archive import DamagedError
from synfab.io.files import atomic_folder, make_folder
from synfab.io.steps import StepFolder, check_step

if TYPE_CHECKING:
    from distributed import Client

Counters = tuple[int, int]  # numbers of the next read and of the next readout


class CheckpointFolder:
    """Checkpoints of a ``ShardedCellArray``; ``argument`` names its ``folder`` in messages."""

    def __init__(
        self, argument: str, folder: str | os.PathLike[str] | None, every: int | None, keep: int
    ) -> None:
        self.every = None if every is None else checks.count("every", every)
        keep = checks.count("keep", keep)
        if every is not None and folder is None:
            raise InvalidValueError(f"every: requires a folder for checkpoints; pass {argument}=")
        self._steps = None
        if folder is not None:
            self._steps = StepFolder(checks.path(argument, folder).absolute(), argument, keep)
        self._holding = ExitStack()

    @contextmanager
    def held(self, *, empty: bool) -> Iterator[None]:
        """Lock the folder until ``close``, or until the end of a block that raises an error.

        Raises ``InvalidValueError`` if it cannot be locked, or holds checkpoints and ``empty``.
        """
        with ExitStack() as holding:
            if self._steps:
                make_folder(self._steps.folder, self._steps.argument)
                holding.enter_context(self._steps.held())
                if empty:
                    self._steps.require_empty("continue them with ShardedCellArray.resume")
            yield
            self._holding = holding.pop_all()

    def close(self) -> None:
        """Unlock the folder."""
        self._holding.close()

    @contextmanager
    def newest(self, client: Client) -> Iterator[tuple[Path, Manifest]]:
        """Lock the folder as ``held``, and yield its newest undamaged checkpoint and its manifest.

        Raises ``FileFormatError`` if there is none, if the name of one states another number of
        pulses than its manifest, or if a manifest is of a later version or of cells with int16
        history.
        """

        def read(path: Path) -> Manifest:
            manifest = read_manifest(path)
            if manifest.present != manifest:
                history = manifest.options["history"]
                raise FileFormatError(
                    f"{path}: history: a run with {history} history cannot be resumed to the same "
                    f"bits by this version; ShardedCellArray.load(path) loads its cells as float32"
                )
            check_step(path, manifest.pulses)
            check_shards(path, manifest, client)
            return manifest

        steps = self._steps
        if steps is None or not steps.steps():  # before the folder is created
            raise FileFormatError(f"{steps and steps.folder}: holds no checkpoint")
        with self.held(empty=False):
            step, manifest = steps.newest(read)
            yield steps.path(step), manifest

    def write(self, shards: Shards, counters: Counters) -> Path:
        """Write a checkpoint, use its files as roots of the shards, and return its path."""
        if self._steps is None:
            raise InvalidValueError("folder: expected one when the array was created, found none")
        path = self._steps.path(shards.pulses)
        files = [str(path / shard_file(number)) for number in range(len(shards))]
        if shards.roots[0].file == files[0]:  # unchanged files; only the counters of reads are new
            checksums = tuple(
                root.checksum or archive.checksum(file)
                for root, file in zip(shards.roots, files, strict=True)
            )
            _write_manifest(path, shards, counters, checksums)
        else:
            checksums = save(path, shards, counters)
        shards.begin_at(files, checksums)
        self._steps.prune(shards.pulses)
        return path


def save(folder: Path, shards: Shards, counters: Counters) -> tuple[str, ...]:
    """Write a folder with a file per shard and a manifest, and return the checksums."""
    with atomic_folder(folder, "folder") as temporary:
        files = [(str(temporary / shard_file(number)),) for number in range(len(shards))]
        checksums = tuple(shards.act(shard.save, files))
        _write_manifest(temporary, shards, counters, checksums)
    return checksums


def _write_manifest(
    folder: Path, shards: Shards, counters: Counters, checksums: tuple[str, ...]
) -> None:
    roots = shards.roots
    shapes, options = tuple(root.shape for root in roots), roots[0].options
    content = (shards.given.shape, shapes, options, shards.pulses, *counters, checksums)
    write_manifest(folder, Manifest(roots[0].model, *content))


def check_shards(folder: Path, manifest: Manifest, client: Client) -> None:
    """Let the workers compare every shard with the manifest; ``DamagedError`` if one differs."""
    roots = saved_roots(folder, manifest)
    for found in client.gather(client.map(shard.problem, roots, pure=False)):
        if found is not None:
            raise DamagedError(found)


def saved_roots(folder: Path, manifest: Manifest) -> list[Root]:
    """Return the roots of the shards saved in a folder."""
    return make_roots(
        manifest.model, manifest.shards, manifest.options, folder, manifest.pulses,
        manifest.checksums,
    )  # fmt: skip
