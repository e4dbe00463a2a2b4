"""Arrays of simulation results in Zarr: how they are created, and whether found ones are these."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.io.json_file import read_object
from synfab.io.limits import read_whole
from synfab.io.zarr_file import packing, require_zarr

DATA = ("current", "cycle")
ARRAYS = (*DATA, "done", "seal")
KINDS = {"current": "f4", "cycle": "u4", "done": "u1", "seal": "u1"}
SEAL_BYTES = 32  # of a SHA-256


def shapes(settings: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shape and the chunk shape of every array."""
    cells, block = settings["cells"], settings["block"]
    results = ((settings["reads"], cells), (1, min(block, cells)))
    blocks = -(-cells // block)
    seals = ((blocks, SEAL_BYTES), (1, SEAL_BYTES))
    return {"current": results, "cycle": results, "done": ((blocks,), (1,)), "seal": seals}


def create_arrays(group: Any, settings: Mapping[str, Any]) -> None:
    """Create the empty arrays; every chunk ends with a CRC32C, which Zarr checks when it reads."""
    require_zarr()
    from zarr.codecs import Crc32cCodec, ZstdCodec

    for name, (shape, chunks) in shapes(settings).items():
        packed = (ZstdCodec(),) if name == "cycle" else ()
        group.create_array(
            name, shape=shape, dtype=KINDS[name], chunks=chunks, overwrite=True,
            compressors=(*packed, Crc32cCodec()),
        )  # fmt: skip


def check_arrays(path: Path, group: Any, settings: Mapping[str, Any], *, sealed: bool) -> None:
    """Refuse arrays whose shape, type or codecs are not those of ``create_arrays``.

    Raises
    ------
    FileFormatError
        One is another; ``sealed`` is False for results of version 1, without checksums.
    """
    for name, (shape, chunks) in shapes(settings).items():
        if name == "seal" and not sealed:
            continue
        array = group[name]
        if not hasattr(array, "chunks"):
            raise FileFormatError(f"{path}: {name}: expected an array, found a group")
        found = (tuple(array.shape), tuple(array.chunks), np.dtype(array.dtype))
        if found != (shape, chunks, np.dtype(KINDS[name])):
            raise FileFormatError(
                f"{path}: {name}: expected {KINDS[name]} {shape} in chunks {chunks}, found "
                f"{found[2]} {found[0]} in chunks {found[1]}"
            )
        if packing(array) is not None and name != "cycle":
            raise FileFormatError(f"{path}: {name}: is packed; expected plain numbers")


def descriptions(path: Path) -> dict[str, str]:
    """Return a digest of the description of every array, without its free attributes."""
    result = {}
    for name in ARRAYS:
        file = path / name / "zarr.json"
        content = read_object(read_whole(file, "a description of a Zarr array"), str(file))
        content.pop("attributes", None)
        result[name] = digest_of(content)
    return result


def digest_of(content: Any) -> str:
    """SHA-256 of a value in JSON, whatever the order of its fields."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
