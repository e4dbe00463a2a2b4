"""Results in Zarr: arrays (pulses, cells) in chunks of one pulse and one block.

A block is finished if it is marked in ``done`` and its seal matches. The seal is the SHA-256 of the
settings, the number of the block and the checksums of its chunks. It detects chunks that are
damaged, moved or from another run; their block is computed again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from synfab import __version__
from synfab.common.errors import FileFormatError
from synfab.io.files import LOCK, sync, sync_folders
from synfab.io.json_file import exact_digest, newer, read_object
from synfab.io.limits import one_line_errors, read_whole, require_size
from synfab.io.steps import require_settings
from synfab.io.zarr_file import check_metadata, compression, decompressed_size, require_zarr
from synfab.simulate.layout import (
    ARRAYS,
    DATA,
    KINDS,
    Settings,
    array_of,
    check_arrays,
    create_arrays,
    descriptions,
)

if TYPE_CHECKING:
    import zarr

Array = npt.NDArray[Any]

FORMAT, VERSION = "synfab-simulation", 2
CHECKSUM_BYTES = 4  # CRC32C at the end of every chunk
PARTIAL = re.compile(r"zarr\.[0-9a-f]+\.partial")  # metadata that Zarr has not renamed yet

logger = logging.getLogger(__name__)


class Results:
    """A Zarr group with ``current`` (A), ``cycle`` and marks of the finished blocks.

    Attributes
    ----------
    sealed
        Whether chunks have checksums and blocks have seals; False for results of version 1.
    """

    def __init__(self, group: zarr.Group, path: Path, settings: Settings, *, sealed: bool) -> None:
        self.group, self.path, self.settings, self.sealed = group, path, settings, sealed
        names = ARRAYS if sealed else ARRAYS[:-1]
        # Chunks of zeros are written too, so that a missing chunk is a lost one.
        with require_zarr().config.set({"array.write_empty_chunks": True}):
            self.arrays = {name: array_of(group, name, str(path)) for name in names}
        self._identity = exact_digest(settings)

    @classmethod
    def create(cls, path: Path, settings: Settings) -> Results:
        """Return new, empty results."""
        group = require_zarr().open_group(store=str(path), mode="a", zarr_format=3)
        create_arrays(group, settings)
        # Written last: a group without attributes was never initialised.
        group.attrs.update(_attributes(settings, descriptions(path)))
        sync([path / "zarr.json", *(path / name / "zarr.json" for name in ARRAYS)], path)
        return cls(group, path, settings, sealed=True)

    @staticmethod
    def is_uninitialised(path: Path) -> bool:
        """Return True if a folder holds only what an interrupted ``create`` leaves."""
        expected = {LOCK, "zarr.json", *ARRAYS}
        if any(p.name not in expected and not PARTIAL.fullmatch(p.name) for p in path.iterdir()):
            return False
        try:
            if not (path / "zarr.json").exists():
                return not any((path / name).exists() for name in ARRAYS)
            data = read_whole(path / "zarr.json", "the description of a Zarr group")
            found = read_object(data, str(path))
            described = (found.get("node_type"), found.get("attributes"))
            # Chunks belong to a run, even if its metadata was lost.
            return described == ("group", {}) and not any((path / n / "c").exists() for n in ARRAYS)
        except FileFormatError:
            return False

    @staticmethod
    def remove_partial(path: Path) -> None:
        """Remove incomplete files that a killed process left in a group of results."""
        partial = [p for p in path.iterdir() if PARTIAL.fullmatch(p.name)]
        for name in ARRAYS:
            partial += (path / name).rglob("*.partial")
        for file in partial:
            file.unlink(missing_ok=True)

    @classmethod
    def resume(cls, path: Path, settings: Settings) -> Results:
        """Return the existing results of a run with the same settings.

        Raises
        ------
        FileFormatError
            The folder does not hold such results, or they are damaged or of a later version.
        InvalidValueError
            They belong to a run with other settings; the message names the first difference.
        """
        with one_line_errors(f"{path}: cannot resume"):
            return cls._opened(path, "r+", settings)

    @classmethod
    def open(cls, path: Path) -> Results:
        """Return existing results of any run, to be read.

        Raises
        ------
        FileFormatError
            The folder does not hold such results, or they are damaged or of a later version.
        """
        with one_line_errors(f"{path}: cannot read"):
            return cls._opened(path, "r", None)

    @classmethod
    def _opened(cls, path: Path, mode: Literal["r", "r+"], wanted: Settings | None) -> Results:
        for folder in (path, *(path / name for name in ARRAYS)):
            check_metadata(folder)
        group = require_zarr().open_group(store=str(path), mode=mode, use_consolidated=False)
        found = dict(group.attrs)
        own = cast(Settings, {name: found.get(name) for name in Settings.__required_keys__})
        settings = own if wanted is None else wanted
        version = _checked_version(path, found, settings)
        require_settings(path, own, settings)
        check_arrays(path, group, settings, sealed=version > 1)
        if version > 1 and descriptions(path) != found["arrays"]:
            raise FileFormatError(f"{path}: damaged: the metadata of an array was changed")
        return cls(group, path, settings, sealed=version > 1)

    def finished_blocks(self) -> int:
        """Return how many blocks are marked as finished; their content is not read."""
        with one_line_errors("done: the marks are damaged"):
            return int(np.count_nonzero(np.asarray(self.arrays["done"][:]) == 1))

    def is_finished(self, block: int) -> bool:
        """Return True if a block is finished and undamaged; all of it is read.

        Otherwise its chunks are removed, so that it can be written again. A finished block that is
        damaged is logged as a warning.
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

    def write(self, name: str, read: int, start: int, values: Array) -> None:
        """Write the values of one block at one read."""
        self.arrays[name][read, start : start + len(values)] = values

    def finish(self, block: int) -> None:
        """Flush a block to disk, then mark it as finished."""
        sync(self._chunks(block), self.path)
        if self.sealed:
            self.arrays["seal"][block] = self._seal(block)
            sync([self._file("seal", block, 0)], self.path)
        self.arrays["done"][block] = 1
        sync([self._file("done", block)], self.path)

    def close(self) -> None:
        """Record the version of synfab that finished the run."""
        if self.group.attrs.get("software") == _software():
            return
        if self.sealed:
            self.group.attrs.update(_attributes(self.settings, descriptions(self.path)))
        else:
            self.group.attrs["software"] = _software()
        sync([self.path / "zarr.json"], self.path)

    # ---- one block ------------------------------------------------------------------------------

    def _file(self, name: str, *place: int) -> Path:
        key = self.arrays[name].metadata.encode_chunk_key(place)
        return self.path / name / key

    def _chunks(self, block: int) -> list[Path]:
        reads = range(self.settings["reads"])
        return [self._file(name, read, block) for name in DATA for read in reads]

    def _is_marked(self, block: int) -> bool:
        with one_line_errors("done: the mark is damaged"):
            mark = int(np.asarray(self.arrays["done"][block]))
        if mark not in (0, 1):
            raise FileFormatError(f"done: expected a mark of 0 or 1, found {mark}")
        return mark == 1

    def _verify(self, block: int) -> None:
        """Raise ``FileFormatError`` if a chunk of a block is missing, damaged or moved."""
        start = block * self.settings["block"]
        for name in DATA:
            for read in range(self.settings["reads"]):
                file = self._file(name, read, block)
                where = str(file.relative_to(self.path))
                self._check_size(name, file, where)
                with one_line_errors(where):
                    values = np.asarray(
                        self.arrays[name][read, start : start + self.settings["block"]]
                    )
                _check_values(name, values, where, self.settings["pulses"])
        if self.sealed:
            with one_line_errors("seal: damaged"):
                found = np.asarray(self.arrays["seal"][block])
            if not np.array_equal(found, self._seal(block)):
                raise FileFormatError("its chunks are not the ones that were written")

    def _check_size(self, name: str, file: Path, where: str) -> None:
        """Check the size of a chunk before it is decoded."""
        array = self.arrays[name]
        whole = int(array.chunks[1]) * np.dtype(KINDS[name]).itemsize
        if not file.is_file():
            raise FileFormatError(f"{where}: missing")
        codec = compression(array)
        if codec is not None:
            require_size(decompressed_size(file, codec, whole), whole, where)
            return
        expected = whole + (CHECKSUM_BYTES if self.sealed else 0)
        if (size := file.stat().st_size) != expected:
            raise FileFormatError(f"{where}: expected {expected} bytes, found {size}")

    def _seal(self, block: int) -> Array:
        found = hashlib.sha256(f"{self._identity} {block}".encode())
        for file in self._chunks(block):
            with file.open("rb") as chunk:
                chunk.seek(-CHECKSUM_BYTES, 2)
                found.update(chunk.read())
        return np.frombuffer(found.digest(), np.uint8)

    def _discard(self, block: int) -> None:
        """Remove the mark of a block, then its chunks, because Zarr reads a chunk to update it."""
        mark = self._file("done", block)
        if mark.exists():
            mark.unlink()
            sync_folders([mark], self.path)
        seals = [self._file("seal", block, 0)] if self.sealed else []
        for file in (*seals, *self._chunks(block)):
            file.unlink(missing_ok=True)


def _software() -> str:
    return f"synfab {__version__}"


def _attributes(settings: Settings, arrays: dict[str, str]) -> dict[str, Any]:
    """Return the attributes of a group, including their digest."""
    content = {
        "format": FORMAT, "version": VERSION, "software": _software(), "arrays": arrays, **settings,
    }  # fmt: skip
    return {**content, "digest": exact_digest(content)}


def _checked_version(path: Path, found: dict[str, object], settings: Settings) -> int:
    """Return the version of results; attributes of the present one are verified."""
    if found.get("format") != FORMAT:
        raise FileFormatError(f"{path}: not a simulation of synfab")
    version = found.get("version")
    if version == 1:
        logger.warning(
            "%s: written by an earlier version without checksums; only sizes and ranges of values "
            "are checked",
            path,
        )
        return 1
    if version != VERSION:
        raise newer(version, VERSION, f"{path}: ")
    # Users may add attributes of their own.
    content = {name: found.get(name) for name in _attributes(settings, {}) if name != "digest"}
    if exact_digest(content) != found.get("digest"):
        raise FileFormatError(f"{path}: damaged: its settings were changed")
    return VERSION


def _check_values(name: str, values: Array, where: str, pulses: int) -> None:
    """Raise ``FileFormatError`` for values that no run can produce."""
    if name == "current" and not np.isfinite(values).all():
        raise FileFormatError(f"{where}: expected finite currents")
    if name == "cycle" and values.max() > pulses:
        raise FileFormatError(f"{where}: expected cycles up to {pulses}, found {values.max()}")
