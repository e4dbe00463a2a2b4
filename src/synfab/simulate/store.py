"""Results in Zarr: arrays (pulses, cells) in chunks of one pulse and one block.

A block counts as finished when its mark in ``done`` says so and its seal fits. The seal is a
SHA-256 over the settings, the number of the block and the checksums of its chunks: a chunk that is
damaged, in the place of another or of another run is found, and its block is computed again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np

from synfab import __version__
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.io.files import LOCK, sync, sync_folders
from synfab.io.json_file import read_object
from synfab.io.limits import one_line_errors, read_whole, require_size
from synfab.io.zarr_file import check_metadata, packing, require_zarr, unpacked
from synfab.simulate.layout import (
    ARRAYS,
    DATA,
    KINDS,
    check_arrays,
    create_arrays,
    descriptions,
    digest_of,
)

FORMAT, VERSION = "synfab-simulation", 2
CHECKSUM_BYTES = 4  # of a CRC32C, at the end of every chunk
HALF = re.compile(r"zarr\.[0-9a-f]+\.partial")  # of the group's description, as Zarr writes it

logger = logging.getLogger(__name__)


class Results:
    """A Zarr group with ``current`` (A), ``cycle`` and which blocks are done.

    Attributes
    ----------
    sealed
        Whether chunks have checksums and blocks have seals; False for results of version 1.
    """

    def __init__(self, group: Any, path: Path, settings: dict[str, Any], *, sealed: bool) -> None:
        self.group, self.path, self.settings, self.sealed = group, path, settings, sealed
        names = ARRAYS if sealed else ARRAYS[:-1]
        # Chunks of zeros are written too, so that one that is not there is one that was lost.
        with require_zarr().config.set({"array.write_empty_chunks": True}):
            self.arrays = {name: group[name] for name in names}
        self._identity = digest_of(settings)

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any]) -> Results:
        """Create empty results."""
        group = require_zarr().open_group(store=str(path), mode="a", zarr_format=3)
        create_arrays(group, settings)
        # Last: a group without attributes was never initialised.
        group.attrs.update(_attributes(settings, descriptions(path)))
        sync([path / "zarr.json", *(path / name / "zarr.json" for name in ARRAYS)], path)
        return cls(group, path, settings, sealed=True)

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
            found = read_object(data, str(path))
            described = (found.get("node_type"), found.get("attributes"))
            # Chunks are of a run, whatever became of its description.
            return described == ("group", {}) and not any((path / n / "c").exists() for n in ARRAYS)
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
        """Open results of a run with the same settings.

        Raises
        ------
        FileFormatError
            They are not results of a simulation, damaged, or of a later version.
        InvalidValueError
            They are those of a run with other settings; names the first that differs.
        """
        zarr = require_zarr()
        with one_line_errors(f"{path}: cannot go on with it"):
            for folder in (path, *(path / name for name in ARRAYS)):
                check_metadata(folder)
            group = zarr.open_group(store=str(path), mode="r+", use_consolidated=False)
            found = dict(group.attrs)
            version = _checked_version(path, found, settings)
            for name, value in settings.items():
                if found.get(name) != value:
                    raise InvalidValueError(
                        f"{name}: {path} was begun with {found.get(name)!r}, found {value!r}"
                    )
            check_arrays(path, group, settings, sealed=version > 1)
            if version > 1 and descriptions(path) != found["arrays"]:
                raise FileFormatError(f"{path}: damaged: an array's description was changed")
        return cls(group, path, settings, sealed=version > 1)

    def is_finished(self, block: int) -> bool:
        """Tell whether a block is finished and undamaged; reads all of it.

        What there is of another block is removed, so that it can be written again; a finished block
        that is damaged is reported as a warning.
        """
        try:
            finished = self._is_marked(block)
            if finished:
                self._verify(block)
        except FileFormatError as error:
            logger.warning(
                "%s: block %d is damaged and will be computed again: %s", self.path, block, error
            )
            finished = False
        if not finished:
            self._discard(block)
        return finished

    def write(self, name: str, read: int, start: int, values: Any) -> None:
        """Write what one block gave at one read."""
        self.arrays[name][read, start : start + len(values)] = values

    def finish(self, block: int) -> None:
        """Mark a block as finished, once all of it is on the disk."""
        sync(self._chunks(block), self.path)
        if self.sealed:
            self.arrays["seal"][block] = self._seal(block)
            sync([self._file("seal", block, 0)], self.path)
        self.arrays["done"][block] = 1
        sync([self._file("done", block)], self.path)

    def close(self) -> None:
        """Record the version of synfab that ended the run."""
        if self.group.attrs.get("software") == _software():
            return
        if self.sealed:
            self.group.attrs.update(_attributes(self.settings, descriptions(self.path)))
        else:
            self.group.attrs["software"] = _software()
        sync([self.path / "zarr.json"], self.path)

    # ---- one block ------------------------------------------------------------------------------

    def _file(self, name: str, *place: int) -> Path:
        key: str = self.arrays[name].metadata.encode_chunk_key(place)
        return self.path / name / key

    def _chunks(self, block: int) -> list[Path]:
        reads = range(self.settings["reads"])
        return [self._file(name, read, block) for name in DATA for read in reads]

    def _is_marked(self, block: int) -> bool:
        with one_line_errors("done: its mark is damaged"):
            mark = int(self.arrays["done"][block])
        if mark not in (0, 1):
            raise FileFormatError(f"done: expected a mark of 0 or 1, found {mark}")
        return mark == 1

    def _verify(self, block: int) -> None:
        """Raise ``FileFormatError`` unless a block is whole, possible and in its place."""
        start = block * self.settings["block"]
        for name in DATA:
            for read in range(self.settings["reads"]):
                file = self._file(name, read, block)
                where = str(file.relative_to(self.path))
                self._check_size(name, file, where)
                with one_line_errors(where):
                    values = self.arrays[name][read, start : start + self.settings["block"]]
                _check_values(name, values, where, self.settings["pulses"])
        if self.sealed:
            with one_line_errors("seal: damaged"):
                found = self.arrays["seal"][block]
            if not np.array_equal(found, self._seal(block)):
                raise FileFormatError("its chunks are not those that were written for it")

    def _check_size(self, name: str, file: Path, where: str) -> None:
        """Compare sizes before anything is decoded; a chunk may claim any size."""
        array = self.arrays[name]
        whole = int(array.chunks[1]) * np.dtype(KINDS[name]).itemsize
        if not file.is_file():
            raise FileFormatError(f"{where}: missing")
        packed = packing(array)
        if packed is not None:
            require_size(unpacked(file, packed, whole), whole, where)
            return
        expected = whole + (CHECKSUM_BYTES if self.sealed else 0)
        if (size := file.stat().st_size) != expected:
            raise FileFormatError(f"{where}: expected {expected} bytes, found {size}")

    def _seal(self, block: int) -> Any:
        found = hashlib.sha256(f"{self._identity} {block}".encode())
        for file in self._chunks(block):
            with file.open("rb") as chunk:
                chunk.seek(-CHECKSUM_BYTES, 2)
                found.update(chunk.read())
        return np.frombuffer(found.digest(), np.uint8)

    def _discard(self, block: int) -> None:
        """Remove the mark of a block, then its chunks: Zarr would read a damaged one to fill it."""
        mark = self._file("done", block)
        if mark.exists():
            mark.unlink()
            sync_folders([mark], self.path)
        seals = [self._file("seal", block, 0)] if self.sealed else []
        for file in (*seals, *self._chunks(block)):
            file.unlink(missing_ok=True)


def _software() -> str:
    return f"synfab {__version__}"


def _attributes(settings: dict[str, Any], arrays: dict[str, str]) -> dict[str, Any]:
    """Return what a group says of itself, with a digest of all of it."""
    content = {
        "format": FORMAT, "version": VERSION, "software": _software(), "arrays": arrays, **settings,
    }  # fmt: skip
    return {**content, "digest": digest_of(content)}


def _checked_version(path: Path, found: dict[str, Any], settings: dict[str, Any]) -> int:
    """Return the version of results; those of the present one must be as they were written."""
    if found.get("format") != FORMAT:
        raise FileFormatError(f"{path}: not a simulation of synfab")
    version = found.get("version")
    if version == 1:
        logger.warning(
            "%s: written by an earlier version, without checksums: only sizes, and values that "
            "cannot be, are checked",
            path,
        )
        return 1
    if version != VERSION:
        raise FileFormatError(
            f"{path}: version: the file has version {version}, this synfab reads up to {VERSION}"
        )
    # Without attributes that users may have added.
    content = {name: found.get(name) for name in _attributes(settings, {}) if name != "digest"}
    if digest_of(content) != found.get("digest"):
        raise FileFormatError(f"{path}: damaged: its settings are not those that were written")
    return VERSION


def _check_values(name: str, values: Any, where: str, pulses: int) -> None:
    """Refuse values that no run gives."""
    if name == "current" and not np.isfinite(values).all():
        raise FileFormatError(f"{where}: expected finite currents")
    if name == "cycle" and values.max() > pulses:
        raise FileFormatError(f"{where}: expected cycles up to {pulses}, found {values.max()}")
