"""Zarr arrays from strangers: what codecs may do, and what a chunk becomes, before it is read."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import extras
from synfab.common.errors import FileFormatError
from synfab.io.limits import one_line_errors, read_whole, require_size
from synfab.io.memory import require_memory

Array = npt.NDArray[Any]

# Codecs that neither run programs (numcodecs' pickle does) nor hide what a chunk becomes.
PLAIN = frozenset(("bytes", "transpose", "crc32c"))
PACKING = frozenset(("zstd", "blosc", "gzip", "zlib", "lz4"))
METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
PIECE = 2**20
ZSTD = b"\x28\xb5\x2f\xfd"


def require_zarr() -> Any:
    """Return the module, or say how to get it."""
    return extras.require("zarr")


def check_metadata(folder: Path) -> None:
    """Refuse descriptions that are larger than any real one.

    Raises
    ------
    FileFormatError
        One is.
    """
    for name in METADATA:
        if (folder / name).is_file():
            read_whole(folder / name, "a description of a Zarr array")


def packing(array: Any) -> str | None:
    """Name of the one codec that packs the chunks of an array, None if there is none.

    Raises
    ------
    FileFormatError
        There is another codec than the plain ones, or two that pack.
    """
    names = [_codec_name(codec) for codec in _codecs(array)]
    packed = [name for name in names if name not in PLAIN]
    if len(packed) > 1 or any(name not in PACKING for name in packed):
        allowed = ", ".join(sorted(PACKING))
        raise FileFormatError(
            f"{array.store_path}: codecs: expected one of {allowed}, found {', '.join(names)}"
        )
    return packed[0] if packed else None


def _codecs(array: Any) -> list[Any]:
    metadata = array.metadata
    if metadata.zarr_format == 2:
        return [*(metadata.filters or ()), *filter(None, (metadata.compressor,))]
    return list(metadata.codecs)


def _codec_name(codec: Any) -> str:
    described = codec.get_config() if hasattr(codec, "get_config") else codec.to_dict()
    return str(described.get("id", described.get("name"))) if isinstance(described, Mapping) else ""


class Table:
    """Voltages (pulses, cells) in a Zarr array, of which only the chunks asked for are read.

    Raises
    ------
    FileFormatError, CapacityError
        It cannot be read, or a chunk would not fit.
    """

    def __init__(self, path: Path) -> None:
        check_metadata(path)
        with one_line_errors(f"{path}: cannot read the program"):
            self.array = require_zarr().open_array(store=str(path), mode="r")
            self.packing = packing(self.array)
        self.path, self.shape, self.dtype = path, tuple(self.array.shape), self.array.dtype
        self.ndim = len(self.shape)
        self.chunks = tuple(self.array.chunks)
        if any(length < 1 for length in self.chunks):
            raise FileFormatError(f"{path}: expected chunks of some length, found {self.chunks}")
        self.chunk_bytes = math.prod(self.chunks) * self.dtype.itemsize
        require_memory(3 * self.chunk_bytes, f"{path}: a chunk")

    def read(self, pulse: int, start: int, stop: int) -> Array:
        """Voltages of one pulse for cells ``start`` … ``stop - 1``.

        Raises
        ------
        FileFormatError
            A chunk is damaged, or claims another size than it has.
        """
        row, width = pulse // self.chunks[0], self.chunks[1]
        for column in range(start // width, (stop - 1) // width + 1):
            self._check_chunk(self.path / self.array.metadata.encode_chunk_key((row, column)))
        with one_line_errors(f"{self.path}: pulse {pulse}: cannot read"):
            return np.asarray(self.array[pulse, start:stop])

    def _check_chunk(self, file: Path) -> None:
        if not file.is_file():
            return  # all of it is the fill value
        slack = self.chunk_bytes // 8 + 4096  # what cannot be packed grows a little
        require_size(file.stat().st_size, self.chunk_bytes + slack, str(file))
        if self.packing is not None:
            require_size(unpacked(file, self.packing, self.chunk_bytes), self.chunk_bytes,
                         str(file))  # fmt: skip


def unpacked(file: Path, packed: str, enough: int) -> int:
    """Return the bytes that a packed chunk becomes; counting stops soon after ``enough``.

    Raises
    ------
    FileFormatError
        It does not say how many.
    """
    with file.open("rb") as stream:
        if packed in ("gzip", "zlib"):
            return _inflated(stream, enough, file)
        head = stream.read(18)
    if packed == "zstd":
        return _zstd_size(head, file)
    place = 4 if packed == "blosc" else 0
    return int.from_bytes(head[place : place + 4], "little")


def _inflated(stream: Any, enough: int, file: Path) -> int:
    count, engine = 0, zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    with one_line_errors(f"{file}: damaged"):
        while count <= enough and (piece := engine.unconsumed_tail or stream.read(PIECE)):
            count += len(engine.decompress(piece, PIECE))
            if engine.eof:
                rest = engine.unused_data + stream.read(1)
                if rest:
                    raise FileFormatError(f"{file}: more than one packed stream")
                break
    return count


def _zstd_size(head: bytes, file: Path) -> int:
    """Content size of a Zstandard frame (RFC 8878, 3.1.1.1)."""
    if len(head) < 6 or head[:4] != ZSTD:
        raise FileFormatError(f"{file}: damaged: not packed with zstd")
    descriptor = head[4]
    single, flag = bool(descriptor & 0x20), descriptor >> 6
    if not single and not flag:
        raise FileFormatError(f"{file}: a chunk that does not say how large it is")
    place = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    length = (1, 2, 4, 8)[flag]
    size = int.from_bytes(head[place : place + length], "little")
    return size + 256 if flag == 1 else size
