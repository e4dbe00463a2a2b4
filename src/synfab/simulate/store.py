"""Results in Zarr: arrays (pulses, cells) in chunks of one pulse and one block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from synfab.errors import FileFormatError, InvalidValueError
from synfab.files import LOCK
from synfab.jsonfile import read_object
from synfab.limits import read_whole, told
from synfab.simulate.zarrfile import check_metadata, packing, require_zarr

FORMAT, VERSION = "synfab-simulation", 1
ARRAYS = ("current", "cycle", "done")
HALF = re.compile(r"zarr\.[0-9a-f]+\.partial")  # of the group's description, as Zarr writes it


class Results:
    """A Zarr group with ``current`` (A), ``cycle`` and which blocks are done."""

    def __init__(self, group: Any, path: Path) -> None:
        self.group, self.path = group, path
        self.done = group["done"]

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any]) -> Results:
        """Begin an empty one."""
        zarr = require_zarr()
        shape, block = (settings["reads"], settings["cells"]), settings["block"]
        group = zarr.open_group(store=str(path), mode="a")
        width = min(block, shape[1])
        for name, kind, packed in (("current", "f4", None), ("cycle", "u4", "auto")):
            group.create_array(
                name, shape=shape, dtype=kind, chunks=(1, width), compressors=packed,
                overwrite=True,
            )  # fmt: skip
        blocks = -(-shape[1] // block)
        group.create_array(
            "done", shape=(blocks,), dtype="u1", chunks=(1,), compressors=None, overwrite=True
        )
        # Last: what has no attributes was never begun.
        group.attrs.update({"format": FORMAT, "version": VERSION, **settings})
        return cls(group, path)

    @staticmethod
    def stillborn(path: Path) -> bool:
        """Tell whether nothing is there but what ``create`` makes before its last step."""
        expected = {LOCK, "zarr.json", *ARRAYS}
        if any(p.name not in expected and not HALF.fullmatch(p.name) for p in path.iterdir()):
            return False
        try:
            if not (path / "zarr.json").exists():
                return not any((path / name).exists() for name in ARRAYS)
            data = read_whole(path / "zarr.json", "the description of a Zarr group")
            return read_object(data, str(path)).get("attributes") == {}
        except FileFormatError:
            return False

    @staticmethod
    def sweep(path: Path) -> None:
        """Remove files of a group that is ours which a killed writer left half written."""
        halves = [p for p in path.iterdir() if HALF.fullmatch(p.name)]
        for name in ARRAYS:
            halves += (path / name).rglob("*.partial")
        for half in halves:
            half.unlink(missing_ok=True)

    @classmethod
    def resume(cls, path: Path, settings: dict[str, Any]) -> Results:
        """Go on with one that was begun with the same settings."""
        zarr = require_zarr()
        with told(f"{path}: cannot go on with it"):
            for folder in (path, *(path / name for name in ARRAYS)):
                check_metadata(folder)
            group = zarr.open_group(store=str(path), mode="r+")
            found = dict(group.attrs)
            if found.pop("format", None) != FORMAT:
                raise FileFormatError(f"{path}: not a simulation of synfab")
            if (version := found.pop("version", None)) != VERSION:
                raise FileFormatError(
                    f"{path}: version: the file has version {version}, this synfab reads {VERSION}"
                )
            for name, value in settings.items():
                if found.get(name) != value:
                    raise InvalidValueError(
                        f"{name}: {path} was begun with {found.get(name)!r}, found {value!r}"
                    )
            _check_arrays(path, group, settings)
            return cls(group, path)

    def finished(self) -> set[int]:
        """Blocks whose results are all written.

        Raises
        ------
        FileFormatError
            The record of them is damaged.
        """
        with told(f"{self.path}: done: damaged"):
            marked = np.flatnonzero(self.done[:]).tolist()
        return {block for block in marked if self._is_there(block)}

    def _is_there(self, block: int) -> bool:
        """Tell whether the chunks of a block are; a power cut may have left the mark alone."""
        for name in ("current", "cycle"):
            array = self.group[name]
            for read in range(array.shape[0]):
                file = self.path / name / array.metadata.encode_chunk_key((read, block))
                whole = 4 * array.chunks[1] if name == "current" else 1  # packed: any size
                if not file.is_file() or file.stat().st_size < whole:
                    return False
        return True

    def write(self, name: str, read: int, start: int, values: Any) -> None:
        """Write what one block gave at one read."""
        # Chunks of zeros too, so that one that is not there is one that was lost.
        with require_zarr().config.set({"array.write_empty_chunks": True}):
            self.group[name][read, start : start + len(values)] = values


def _check_arrays(path: Path, group: Any, settings: dict[str, Any]) -> None:
    """Refuse arrays that are not those of ``create``: what they claim is what would be read."""
    cells, block = settings["cells"], settings["block"]
    width, blocks = min(block, cells), -(-cells // block)
    results = ((settings["reads"], cells), (1, width))
    wanted = {
        "current": (*results, "f4"),
        "cycle": (*results, "u4"),
        "done": ((blocks,), (1,), "u1"),
    }
    for name, (shape, chunks, kind) in wanted.items():
        array = group[name]
        if not hasattr(array, "chunks"):
            raise FileFormatError(f"{path}: {name}: expected an array, found a group")
        found = (tuple(array.shape), tuple(array.chunks), np.dtype(array.dtype))
        if found != (shape, chunks, np.dtype(kind)):
            raise FileFormatError(
                f"{path}: {name}: expected {kind} {shape} in chunks {chunks}, found "
                f"{found[2]} {found[0]} in chunks {found[1]}"
            )
        if packing(array) is not None and name != "cycle":
            raise FileFormatError(f"{path}: {name}: is packed; expected plain numbers")
