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

from synfab.archive import is_whole
from synfab.cluster.manifest import read_manifest, shard_file
from synfab.errors import FileFormatError, InvalidValueError
from synfab.files import locked, make_folder

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


def newest_whole(folder: Path, client: Any) -> Path:
    """Newest checkpoint whose shards have the right checksums, which the workers look at.

    Damaged ones after it are put out of the way, so that they count as none of those kept.

    Raises
    ------
    FileFormatError
        There is none, or a manifest is not one.
    """
    found = steps(folder)
    damaged: list[Path] = []
    for number in reversed(found):
        path = step_folder(folder, number)
        count = len(read_manifest(path).shards)
        files = [str(path / shard_file(shard)) for shard in range(count)]
        if all(client.gather(client.map(is_whole, files, pure=False))):
            for other in damaged:
                other.rename(other.with_name(f"{other.name}.{uuid.uuid4().hex[:8]}.damaged"))
            return path
        logger.warning("%s: damaged, going on from the checkpoint before it", path)
        damaged.append(path)
    what = "no checkpoint there is whole" if found else "no checkpoint there"
    raise FileFormatError(f"{folder}: {what}")
