"""The folder of an array's checkpoints: which are there, and which of them is whole."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from synfab.archive import is_whole
from synfab.cluster.manifest import read_manifest, shard_file
from synfab.errors import FileFormatError, InvalidValueError

STEP = re.compile(r"step-(\d{12})")

logger = logging.getLogger(__name__)


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

    Raises
    ------
    FileFormatError
        There is none, or a manifest is not one.
    """
    found = steps(folder)
    for number in reversed(found):
        path = step_folder(folder, number)
        count = len(read_manifest(path).shards)
        files = [str(path / shard_file(shard)) for shard in range(count)]
        if all(client.gather(client.map(is_whole, files, pure=False))):
            return path
        logger.warning("%s: damaged, going on from the checkpoint before it", path)
    what = "no checkpoint there is whole" if found else "no checkpoint there"
    raise FileFormatError(f"{folder}: {what}")
