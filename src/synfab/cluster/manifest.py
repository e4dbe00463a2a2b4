"""Manifest of a folder of shards: model, shapes, options, counters and checksums."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from synfab.cells.earlier import present_history
from synfab.cells.identity import CellOptions
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError, SynfabError
from synfab.io.archive import DamagedError
from synfab.io.files import atomic_path
from synfab.io.json_file import exact_digest, newer, read_object
from synfab.io.limits import read_whole
from synfab.model.cell_model import CellModel
from synfab.model.model_file import document, parse
from synfab.random.streams import check_seed

FORMAT, VERSION = "synfab-sharded-cells", 2
MANIFEST = "manifest.json"
OPTIONS = ("seed", "order", "history")

logger = logging.getLogger(__name__)


class Manifest(NamedTuple):
    """Content of a folder of shards.

    ``shards`` are the shapes of the shards, ``options`` those of the cells. ``checksums`` are the
    SHA-256 of the files of the shards, all None in a folder of version 1.
    """

    model: CellModel
    shape: tuple[int, ...]
    shards: tuple[tuple[int, ...], ...]
    options: CellOptions
    pulses: int
    read_number: int
    readout_number: int
    checksums: tuple[str | None, ...]

    @property
    def present(self) -> Manifest:
        """The manifest with the history that the cells have after ``CellArray.load``."""
        history = present_history(self.options["history"])
        return self._replace(options={**self.options, "history": history})


def shard_file(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:06d}.npz"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder."""
    content = {
        "format": FORMAT, "version": VERSION,
        **manifest._asdict(), "model": document(manifest.model),
    }  # fmt: skip
    with atomic_path(folder / MANIFEST) as path:
        text = json.dumps({**content, "digest": exact_digest(content)})
        path.write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder after checking that the files of the shards exist.

    Raises
    ------
    DamagedError
        The manifest or a shard is missing, or the manifest was changed.
    FileFormatError
        The manifest is not valid, or of a later version.
    """
    try:
        found = _undamaged(folder)
        return _checked(folder, found)
    except KeyError as error:
        raise FileFormatError(f"{folder}: not the cells of a cluster: {error} missing") from None
    except SynfabError as error:
        text = " ".join(str(error).split())
        kind = DamagedError if isinstance(error, DamagedError) else FileFormatError
        raise kind(text if text.startswith(str(folder)) else f"{folder}: {text}") from None


def _undamaged(folder: Path) -> dict[str, Any]:
    """Return the content of a manifest after comparing its digest, which version 1 lacks."""
    try:
        data = read_whole(folder / MANIFEST, "the cells of a cluster")
        found = read_object(data, f"{folder}: not the cells of a cluster")
    except FileFormatError as error:
        raise DamagedError(str(error)) from None
    if found.get("format") != FORMAT:
        raise DamagedError("not the cells of a cluster")
    version = found.get("version")
    if version == 1:
        logger.warning(
            "%s: written by an earlier version without checksums; only the identity of the cells "
            "is compared",
            folder,
        )
    elif version != VERSION:
        raise newer(version, VERSION)
    elif found.pop("digest", None) != exact_digest(found):
        raise DamagedError(f"{MANIFEST}: damaged: the digest does not match the content")
    return found


def _checked(folder: Path, found: dict[str, Any]) -> Manifest:
    shape, shards = checks.axes("shape", found["shape"]), found["shards"]
    if not isinstance(shards, list) or not shards:
        raise InvalidValueError("shards: expected a list of shapes")
    shapes = tuple(checks.axes("shards", one) for one in shards)
    if sum(one[0] for one in shapes) != shape[0] or any(one[1:] != shape[1:] for one in shapes):
        raise InvalidValueError(f"shards: expected whole rows of an array of shape {shape}")
    for number in range(len(shapes)):
        if not (folder / shard_file(number)).is_file():
            raise DamagedError(f"{shard_file(number)}: missing")
    options = found["options"]
    if not isinstance(options, dict) or set(options) != set(OPTIONS):
        raise InvalidValueError(f"options: expected {', '.join(OPTIONS)}")
    check_seed(options["seed"])
    known = CellOptions(seed=options["seed"], order=options["order"], history=options["history"])
    checksums = found["checksums"] if found["version"] > 1 else [None] * len(shapes)
    if not isinstance(checksums, list) or len(checksums) != len(shapes):
        raise InvalidValueError("checksums: expected one per shard")
    pulses, read_number, readout_number = (
        checks.word(name, found[name]) for name in ("pulses", "read_number", "readout_number")
    )
    model = parse(json.dumps(found["model"]).encode(), f"{folder}: model")
    return Manifest(
        model, shape, shapes, known, pulses, read_number, readout_number, tuple(checksums)
    )
