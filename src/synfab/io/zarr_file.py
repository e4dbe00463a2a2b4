"""Untrusted Zarr arrays: codecs and chunk sizes are checked before a chunk is decompressed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from synfab.common import extras
from synfab.common.errors import FileFormatError
from synfab.common.types import Array
from synfab.io.limits import one_line_errors, read_whole, require_size
from synfab.io.memory import require_memory

if TYPE_CHECKING:
    import zarr

# Codecs that cannot run code (numcodecs' pickle can) and whose output size is known beforehand.
PLAIN = frozenset(("bytes", "transpose", "crc32c"))
COMPRESSIONS = frozenset(("zstd", "blosc", "gzip", "zlib", "lz4"))
METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
PIECE = 2**20
ZSTD = b"\x28\xb5\x2f\xfd"


def require_zarr() -> ModuleType:
    """Return the module zarr; raises ``ToolError`` with the install command if it is missing."""
    found: ModuleType = extras.require("zarr")
    return found


def check_metadata(folder: Path) -> None:
    """Check the size of the metadata files of a Zarr array or group.

    Raises
    ------
    FileFormatError
        One is too large.
    """
    for name in METADATA:
        if (folder / name).is_file():
            read_whole(folder / name, "a description of a Zarr array")


def compression(array: zarr.Array[Any]) -> str | None:
    """Return the name of the compression of an array; None for an uncompressed one.

    Raises
    ------
    FileFormatError
        The array has a codec that is not allowed, or two compressions.
    """
    names = [_codec_name(codec) for codec in _codecs(array)]
    packed = [name for name in names if name not in PLAIN]
    if len(packed) > 1 or any(name not in COMPRESSIONS for name in packed):
        allowed = ", ".join(sorted(COMPRESSIONS))
        raise FileFormatError(
            f"{array.store_path}: codecs: expected one of {allowed}, found {', '.join(names)}"
        )
    return packed[0] if packed else None


def _codecs(array: zarr.Array[Any]) -> list[Any]:
    metadata = array.metadata
    if metadata.zarr_format == 2:
        return [*(metadata.filters or ()), *filter(None, (metadata.compressor,))]
    return list(metadata.codecs)


def _codec_name(codec: Any) -> str:
    described = codec.get_config() if hasattr(codec, "get_config") else codec.to_dict()
    return str(described.get("id", described.get("name"))) if isinstance(described, Mapping) else ""


class Table:
    """Pulse program in a Zarr array of voltages (pulses, cells), read one chunk at a time.

    Raises
    ------
    FileFormatError, CapacityError
        The array cannot be read, or a chunk does not fit into memory.
    """

    def __init__(self, path: Path) -> None:
        check_metadata(path)
        with one_line_errors(f"{path}: cannot read the pulse program"):
            self.array = require_zarr().open_array(store=str(path), mode="r")
            self.compression = compression(self.array)
        self.path, self.shape, self.dtype = path, tuple(self.array.shape), self.array.dtype
        self.ndim = len(self.shape)
        self.chunks = tuple(self.array.chunks)
        if any(length < 1 for length in self.chunks):
            raise FileFormatError(
                f"{path}: expected chunks of length 1 or more, found {self.chunks}"
            )
        self.chunk_bytes = math.prod(self.chunks) * self.dtype.itemsize
        require_memory(3 * self.chunk_bytes, f"{path}: a chunk")

    def read(self, pulse: int, start: int, stop: int) -> Array:
        """Return the voltages of one pulse for cells ``start`` … ``stop - 1``, in V.

        Raises
        ------
        FileFormatError
            A chunk is damaged, or has another size than stated.
        """
        row, width = pulse // self.chunks[0], self.chunks[1]
        for column in range(start // width, (stop - 1) // width + 1):
            self._check_chunk(self.path / self.array.metadata.encode_chunk_key((row, column)))
        with one_line_errors(f"{self.path}: pulse {pulse}: cannot read"):
            return np.asarray(self.array[pulse, start:stop])

    def _check_chunk(self, file: Path) -> None:
        if not file.is_file():
            return  # a missing chunk holds the fill value
        slack = self.chunk_bytes // 8 + 4096  # incompressible data grows slightly
        require_size(file.stat().st_size, self.chunk_bytes + slack, str(file))
        if self.compression is not None:
            size = decompressed_size(file, self.compression, self.chunk_bytes)
            require_size(size, self.chunk_bytes, str(file))


def decompressed_size(file: Path, codec: str, enough: int) -> int:
    """Return the size of a decompressed chunk in bytes; counting stops soon after ``enough``.

    Raises
    ------
    FileFormatError
        The chunk does not state its size, or is damaged.
    """
    with file.open("rb") as stream:
        if codec in ("gzip", "zlib"):
            return _inflated(stream, enough, file)
        head = stream.read(18)
    if codec == "zstd":
        return _zstd_size(head, file)
    place = 4 if codec == "blosc" else 0
    return int.from_bytes(head[place : place + 4], "little")


def _inflated(stream: BinaryIO, enough: int, file: Path) -> int:
    count, engine = 0, zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    with one_line_errors(f"{file}: damaged"):
        while count <= enough and (piece := engine.unconsumed_tail or stream.read(PIECE)):
            count += len(engine.decompress(piece, PIECE))
            if engine.eof:
                rest = engine.unused_data + stream.read(1)
                if rest:
                    raise FileFormatError(f"{file}: more than one compressed stream")
                break
    return count


def _zstd_size(head: bytes, file: Path) -> int:
    """Return the content size of a Zstandard frame (RFC 8878, 3.1.1.1)."""
    if len(head) < 6 or head[:4] != ZSTD:
        raise FileFormatError(f"{file}: damaged: not compressed with zstd")
    descriptor = head[4]
    single, flag = bool(descriptor & 0x20), descriptor >> 6
    if not single and not flag:
        raise FileFormatError(f"{file}: the chunk does not state its decompressed size")
    place = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    length = (1, 2, 4, 8)[flag]
    size = int.from_bytes(head[place : place + length], "little")
    return size + 256 if flag == 1 else size
