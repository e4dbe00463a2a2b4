"""The manifest of saved shards: what a folder says that it holds, checked before it is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from synfab import checks
from synfab.errors import FileFormatError, InvalidValueError, SynfabError
from synfab.files import atomic_path
from synfab.jsonfile import read_object
from synfab.limits import read_whole
from synfab.model import CellModel
from synfab.modelfile import document, parse
from synfab.streams import check_seed

FORMAT, VERSION = "synfab-sharded-cells", 1
MANIFEST = "manifest.json"
OPTIONS = ("seed", "order", "history")


class Manifest(NamedTuple):
    """What a folder of shards holds; ``shards`` are their shapes, ``options`` those of cells."""

    model: CellModel
    shape: tuple[int, ...]
    shards: tuple[tuple[int, ...], ...]
    options: dict[str, Any]
    pulses: int
    read_number: int
    readout_number: int


def shard_file(number: int) -> str:
    """Name of the file of a shard."""
    return f"shard-{number:06d}.npz"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder, whole or not at all."""
    content = {**manifest._asdict(), "model": document(manifest.model)}
    with atomic_path(folder / MANIFEST) as path:
        text = json.dumps({"format": FORMAT, "version": VERSION, **content})
        path.write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder, and see that its shards are there.

    Raises
    ------
    FileFormatError
        It is not one, or does not describe whole lines of one array.
    """
    try:
        data = read_whole(folder / MANIFEST, "the cells of a cluster")
        found = read_object(data, f"{folder}: not the cells of a cluster")
        if found.get("format") != FORMAT:
            raise FileFormatError("not the cells of a cluster")
        if found.get("version") != VERSION:
            raise FileFormatError(
                f"version: the folder has version {found.get('version')}, this synfab reads "
                f"{VERSION}"
            )
        return _checked(folder, found)
    except KeyError as error:
        raise FileFormatError(f"{folder}: not the cells of a cluster: {error} missing") from None
    except SynfabError as error:
        text = " ".join(str(error).split())
        raise FileFormatError(
            text if text.startswith(str(folder)) else f"{folder}: {text}"
        ) from None


def _checked(folder: Path, found: dict[str, Any]) -> Manifest:
    shape, shards = checks.axes("shape", found["shape"]), found["shards"]
    if not isinstance(shards, list) or not shards:
        raise InvalidValueError("shards: expected a list of shapes")
    shapes = tuple(checks.axes("shards", one) for one in shards)
    if sum(one[0] for one in shapes) != shape[0] or any(one[1:] != shape[1:] for one in shapes):
        raise InvalidValueError(f"shards: expected whole lines of an array of shape {shape}")
    for number in range(len(shapes)):
        if not (folder / shard_file(number)).is_file():
            raise FileFormatError(f"{shard_file(number)}: missing")
    options = found["options"]
    if not isinstance(options, dict) or set(options) != set(OPTIONS):
        raise InvalidValueError(f"options: expected {', '.join(OPTIONS)}")
    check_seed(options["seed"])
    return Manifest(
        parse(json.dumps(found["model"]).encode(), f"{folder}: model"),
        shape,
        shapes,
        options,
        *(checks.word(name, found[name]) for name in ("pulses", "read_number", "readout_number")),
    )
