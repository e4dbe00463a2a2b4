"""Layout of simulation results in Zarr: creating the arrays and checking existing ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.io.json_file import exact_digest, read_object
from synfab.io.limits import read_whole
from synfab.io.zarr_file import compression, require_zarr

if TYPE_CHECKING:
    import zarr

DATA = ("current", "cycle")
ARRAYS = (*DATA, "done", "seal")
KINDS = {"current": "f4", "cycle": "u4", "done": "u1", "seal": "u1"}
SEAL_BYTES = 32  # of a SHA-256
AXES = {
    "current": ("read", "cell"),
    "cycle": ("read", "cell"),
    "done": ("block",),
    "seal": ("block", "byte"),
}
LABELS = {
    "current": {"units": "A", "long_name": "current"},
    "cycle": {"units": "1", "long_name": "cycle number"},
}


class Settings(TypedDict):
    """Settings of a run, which are stored with its results and must not change.

    ``program`` and ``model`` are digests; ``reads`` and ``pulses`` are numbers; ``read_voltage`` is
    in V, ``bandwidth`` in Hz.
    """

    cells: int
    block: int
    reads: int
    pulses: int
    program: str
    model: str
    read_voltage: float
    seed: int
    order: int
    history: str
    bandwidth: float
    noise: bool


def shapes(settings: Settings) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shape and the chunk shape of every array."""
    cells, block = settings["cells"], settings["block"]
    results = ((settings["reads"], cells), (1, min(block, cells)))
    blocks = -(-cells // block)
    seals = ((blocks, SEAL_BYTES), (1, SEAL_BYTES))
    return {"current": results, "cycle": results, "done": ((blocks,), (1,)), "seal": seals}


def create_arrays(group: zarr.Group, settings: Settings) -> None:
    """Create the empty arrays; every chunk ends with a CRC32C, which Zarr verifies on reading."""
    require_zarr()
    from zarr.codecs import Crc32cCodec, ZstdCodec

    for name, (shape, chunks) in shapes(settings).items():
        compressors = (ZstdCodec(),) if name == "cycle" else ()
        group.create_array(
            name, shape=shape, dtype=KINDS[name], chunks=chunks, overwrite=True,
            compressors=(*compressors, Crc32cCodec()), dimension_names=AXES[name],
            attributes={**LABELS.get(name, {})},
        )  # fmt: skip


def array_of(group: zarr.Group, name: str, where: str) -> zarr.Array[Any]:
    """Return an array of a group; ``FileFormatError`` if it is a group."""
    require_zarr()
    from zarr import Group

    found = group[name]
    if isinstance(found, Group):
        raise FileFormatError(f"{where}: {name}: expected an array, found a group")
    return found


def check_arrays(path: Path, group: zarr.Group, settings: Settings, *, sealed: bool) -> None:
    """Check that shapes, types and codecs are those of ``create_arrays``.

    ``sealed`` is False for results of version 1, which have no checksums.

    Raises
    ------
    FileFormatError
        An array differs.
    """
    for name, (shape, chunks) in shapes(settings).items():
        if name == "seal" and not sealed:
            continue
        array = array_of(group, name, str(path))
        found = (tuple(array.shape), tuple(array.chunks), np.dtype(array.dtype))
        if found != (shape, chunks, np.dtype(KINDS[name])):
            raise FileFormatError(
                f"{path}: {name}: expected {KINDS[name]} {shape} in chunks {chunks}, found "
                f"{found[2]} {found[0]} in chunks {found[1]}"
            )
        if compression(array) is not None and name != "cycle":
            raise FileFormatError(f"{path}: {name}: compressed; expected an uncompressed array")


def descriptions(path: Path) -> dict[str, str]:
    """Return a digest of the metadata of every array, without its user attributes."""
    result = {}
    for name in ARRAYS:
        file = path / name / "zarr.json"
        content = read_object(read_whole(file, "a description of a Zarr array"), str(file))
        content.pop("attributes", None)
        result[name] = exact_digest(content)
    return result
