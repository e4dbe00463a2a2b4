"""The folder of an array's checkpoints: which are there, and which of them is whole."""

from __future__ import annotations

import logging
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synfab.cluster.manifest import DamagedError, Manifest, read_manifest
from synfab.cluster.shard import Root, make_roots, problem
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.io.files import locked, make_folder

STEP = re.compile(r"step-(\d{12})")
HALF = re.compile(r"\.step-\d{12}\.[0-9a-f]{32}")  # as ``atomic_folder`` calls it

logger = logging.getLogger(__name__)


@contextmanager
def held(folder: Path, argument: str) -> Iterator[None]:
    """Hold the folder for one array, and remove what a killed one left half written.

    Raises
    ------
    InvalidValueError
        Another array writes there, or it cannot be written; ``argument`` names who asked.
    """
    make_folder(folder, argument)
    with locked(folder, argument):
        for path in folder.iterdir():
            if HALF.fullmatch(path.name) and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        yield


def step_folder(folder: Path, pulses: int) -> Path:
    """Folder of the checkpoint after so many pulses."""
    return folder / f"step-{pulses:012d}"


def steps(folder: Path) -> list[int]:
    """Numbers of pulses after which there are checkpoints, in order."""
    if not folder.is_dir():
        return []
    found = (STEP.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def check_empty(argument: str, folder: Path | None) -> None:
    """Raise where checkpoints of another array are: one could be taken for one of these."""
    if folder is not None and steps(folder):
        raise InvalidValueError(
            f"{argument}: {folder} holds checkpoints already; resume goes on with them, another "
            f"folder begins anew"
        )


def newest_whole(folder: Path, client: Any) -> tuple[Path, Manifest]:
    """Newest checkpoint that is undamaged, and its manifest; the workers verify its shards.

    A checkpoint is damaged if its manifest, or a shard, is missing or not as it was written. It is
    passed over with a warning, and renamed, so that it counts as none of those kept.

    Raises
    ------
    FileFormatError
        There is none; a folder has the name of another number of pulses than its manifest; or a
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
                    f"{path}: named for {number} pulses, its cells have seen {manifest.pulses}; "
                    f"rename or remove it"
                )
            check_shards(path, manifest, client)
        except DamagedError as error:
            logger.warning("%s: damaged, going on from the checkpoint before it (%s)", path, error)
            damaged.append(path)
            continue
        for other in damaged:
            other.rename(other.with_name(f"{other.name}.{uuid.uuid4().hex[:8]}.damaged"))
        return path, manifest
    what = "no checkpoint there is whole" if found else "no checkpoint there"
    raise FileFormatError(f"{folder}: {what}")


def read_folder(folder: Path, client: Any) -> tuple[Path, Manifest]:
    """Return a folder of saved cells and its manifest, once the workers have verified its shards.

    Raises
    ------
    FileFormatError
        It is not one of these, or damaged.
    """
    manifest = read_manifest(folder)
    check_shards(folder, manifest, client)
    return folder, manifest


def check_shards(folder: Path, manifest: Manifest, client: Any) -> None:
    """Let the workers compare every shard with the manifest.

    Raises
    ------
    DamagedError
        The file of a shard is damaged, or holds other cells than the manifest says.
    """
    for found in client.gather(client.map(problem, saved_roots(folder, manifest), pure=False)):
        if found is not None:
            raise DamagedError(found)


def saved_roots(folder: Path, manifest: Manifest) -> list[Root]:
    """Make the roots of shards that were saved in a folder."""
    return make_roots(
        manifest.model, manifest.shards, manifest.options, folder, manifest.pulses,
        manifest.checksums,
    )  # fmt: skip
