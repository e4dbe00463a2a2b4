"""Folder of checkpoints of an array: finding, verifying and locking them."""

from __future__ import annotations

import logging
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.cluster.manifest import DamagedError, Manifest, read_manifest
from synfab.cluster.shard import Root, make_roots, problem
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.io.files import locked, make_folder

STEP = re.compile(r"step-(\d{12})")
INCOMPLETE = re.compile(r"\.step-\d{12}\.[0-9a-f]{32}")  # names of ``atomic_folder``

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)


@contextmanager
def held(folder: Path, argument: str) -> Iterator[None]:
    """Lock the folder for one array, and remove incomplete checkpoints of a killed process.

    Raises
    ------
    InvalidValueError
        Another array has locked it, or it cannot be written; the message names ``argument``.
    """
    make_folder(folder, argument)
    with locked(folder, argument):
        for path in folder.iterdir():
            if INCOMPLETE.fullmatch(path.name) and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        yield


def step_folder(folder: Path, pulses: int) -> Path:
    """Return the folder of the checkpoint after a number of pulses."""
    return folder / f"step-{pulses:012d}"


def steps(folder: Path) -> list[int]:
    """Return the numbers of pulses of the checkpoints in a folder, ascending."""
    if not folder.is_dir():
        return []
    found = (STEP.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def check_empty(argument: str, folder: Path | None) -> None:
    """Raise ``InvalidValueError`` if a folder holds checkpoints of another array."""
    if folder is not None and steps(folder):
        raise InvalidValueError(
            f"{argument}: {folder} already holds checkpoints; continue them with "
            f"ShardedCellArray.resume, or choose another folder"
        )


def newest_whole(folder: Path, client: Client) -> tuple[Path, Manifest]:
    """Return the newest undamaged checkpoint and its manifest; the workers verify its shards.

    A checkpoint whose manifest or shards are missing or changed is skipped with a warning and
    renamed, so that it does not count for ``keep``.

    Raises
    ------
    FileFormatError
        There is none, the name of one states another number of pulses than its manifest, or a
        manifest is of a later version.
    """
    found = steps(folder)
    damaged: list[Path] = []
    for number in reversed(found):
        path = step_folder(folder, number)
        try:
            manifest = read_manifest(path)
            if manifest.pulses != number:
                raise FileFormatError(
                    f"{path}: the name states {number} pulses, the manifest {manifest.pulses}; "
                    f"rename or remove it"
                )
            check_shards(path, manifest, client)
        except DamagedError as error:
            logger.warning("%s: damaged; resuming from the checkpoint before it (%s)", path, error)
            damaged.append(path)
            continue
        for other in damaged:
            other.rename(other.with_name(f"{other.name}.{uuid.uuid4().hex[:8]}.damaged"))
        return path, manifest
    what = "all checkpoints are damaged" if found else "holds no checkpoint"
    raise FileFormatError(f"{folder}: {what}")


def read_folder(folder: Path, client: Client) -> tuple[Path, Manifest]:
    """Return a folder of saved cells and its manifest after the workers verified its shards.

    Raises
    ------
    FileFormatError
        The folder does not hold saved cells, or is damaged.
    """
    manifest = read_manifest(folder)
    check_shards(folder, manifest, client)
    return folder, manifest


def check_shards(folder: Path, manifest: Manifest, client: Client) -> None:
    """Let the workers compare every shard with the manifest.

    Raises
    ------
    DamagedError
        The file of a shard is damaged, or holds other cells than the manifest states.
    """
    for found in client.gather(client.map(problem, saved_roots(folder, manifest), pure=False)):
        if found is not None:
            raise DamagedError(found)


def saved_roots(folder: Path, manifest: Manifest) -> list[Root]:
    """Return the roots of the shards saved in a folder."""
    return make_roots(
        manifest.model, manifest.shards, manifest.options, folder, manifest.pulses,
        manifest.checksums,
    )  # fmt: skip
