"""Results in Zarr: arrays (pulses, cells) in chunks of one pulse and one block."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from synfab.errors import FileFormatError, InvalidValueError, ToolError
from synfab.files import LOCK

FORMAT, VERSION = "synfab-simulation", 1
ARRAYS = ("current", "cycle", "done")


def require_zarr() -> Any:
    """Return the module, or say how to get it."""
    try:
        import zarr
    except ModuleNotFoundError:
        raise ToolError("zarr: not installed: pip install 'synfab[zarr]'") from None
    return zarr


def open_array(path: Path) -> Any:
    """Return a Zarr array to read."""
    return require_zarr().open_array(store=str(path), mode="r")


class Results:
    """A Zarr group with ``current`` (A), ``cycle`` and which blocks are done."""

    def __init__(self, group: Any) -> None:
        self.group = group
        self.done = group["done"]

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any]) -> Results:
        """Begin an empty one."""
        zarr = require_zarr()
        shape, block = (settings["reads"], settings["cells"]), settings["block"]
        group = zarr.open_group(store=str(path), mode="a")
        width = min(block, shape[1])
        for name, kind, packing in (("current", "f4", None), ("cycle", "u4", "auto")):
            group.create_array(
                name, shape=shape, dtype=kind, chunks=(1, width), compressors=packing,
                overwrite=True,
            )  # fmt: skip
        blocks = -(-shape[1] // block)
        group.create_array(
            "done", shape=(blocks,), dtype="u1", chunks=(1,), compressors=None, overwrite=True
        )
        # Last: what has no attributes was never begun.
        group.attrs.update({"format": FORMAT, "version": VERSION, **settings})
        return cls(group)

    @staticmethod
    def stillborn(path: Path) -> bool:
        """Tell whether nothing is there but what ``create`` makes before its last step."""
        if any(p.name not in {LOCK, "zarr.json", *ARRAYS} for p in path.iterdir()):
            return False
        try:
            document = json.loads((path / "zarr.json").read_bytes())
            return isinstance(document, dict) and document.get("attributes") == {}
        except FileNotFoundError:
            return not any((path / name).exists() for name in ARRAYS)
        except ValueError:
            return False

    @classmethod
    def resume(cls, path: Path, settings: dict[str, Any]) -> Results:
        """Go on with one that was begun with the same settings."""
        zarr = require_zarr()
        try:
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
            return cls(group)
        except (OSError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, (FileFormatError, InvalidValueError)):
                raise
            reason = " ".join(str(error).split())
            raise FileFormatError(f"{path}: cannot go on with it: {reason}") from None

    def finished(self) -> set[int]:
        """Blocks whose results are all written."""
        return set(np.flatnonzero(self.done[:]).tolist())

    def write(self, name: str, read: int, start: int, values: Any) -> None:
        """Write what one block gave at one read."""
        self.group[name][read, start : start + len(values)] = values
