"""Arrays of numbers in MATLAB files of versions 4 to 7 (Level 4 and Level 5 MAT-files).

SciPy's ``loadmat`` crashes on some damaged files (the fuzzer found one with SciPy 1.17), so arrays
and structures are read here; anything else in a file is skipped.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.common.types import Array
from synfab.io.limits import read_large
from synfab.io.memory import require_memory

HEADER = 128  # bytes before the elements of Level 5
MATRIX, COMPRESSED = 14, 15  # types of elements
STRUCTURE, NUMERIC = 2, range(6, 16)  # classes of matrices
COMPLEX = 0x0800  # flag
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
COPIES = 4  # of an array that are held at a time: packed, stored, float64 and scaled
PIECE, MAX_DEPTH = 2**20, 8
# Names to arrays, and to structures of arrays.
Content: TypeAlias = "dict[str, Array | Content]"


def read_arrays(path: Path) -> Content:
    """Return the real arrays of numbers and the scalar structures of a file; others are skipped.

    Raises
    ------
    FileFormatError
        It is damaged.
    CapacityError
        The arrays do not fit into memory.
    """
    data = memoryview(read_large(path, COPIES))
    if b"\0" in bytes(data[:4]):
        return dict(_level_4(data))
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:128]))
    if order is None:
        raise FileFormatError("expected a MATLAB file of version 4 to 7.3, found another header")
    found: Content = {}
    for kind, part in _elements(data[HEADER:], order):
        inside = _elements(_unpacked(part), order) if kind == COMPRESSED else [(kind, part)]
        for inner, body in inside:
            if inner == MATRIX:
                name, value = _matrix(body, order, 0)
                if value is not None:
                    found[name] = value
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of each element."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        begin = at + 8
        if kind >> 16:  # up to four bytes, in place of the padding
            kind, size, begin = kind & 0xFFFF, kind >> 16, at + 4
            at += 8
        else:
            at = begin + size + (0 if kind == COMPRESSED else -size % 8)
        if begin + size > len(data):
            raise FileFormatError(f"damaged: an element of {size} bytes ends beyond the file")
        yield kind, data[begin : begin + size]


def _unpacked(data: memoryview) -> memoryview:
    engine, found = zlib.decompressobj(), bytearray()
    rest: bytes | memoryview = data
    while rest and not engine.eof:
        found += engine.decompress(rest, PIECE)
        require_memory(COPIES * len(found), "arrays")
        rest = engine.unconsumed_tail
    return memoryview(bytes(found))


def _matrix(data: memoryview, order: str, depth: int) -> tuple[str, Array | Content | None]:
    """Return name and content of a matrix; None for one that does not hold real numbers."""
    parts = list(_elements(data, order))
    if len(parts) < 3:
        return "", None
    flags = int(np.frombuffer(parts[0][1][:4], f"{order}u4")[0])
    shape = tuple(np.frombuffer(parts[1][1], f"{order}i4").tolist())
    name = bytes(parts[2][1]).decode("latin-1")
    kind = flags & 0xFF
    if kind in NUMERIC and not flags & COMPLEX and len(parts) > 3:
        return name, _numbers(*parts[3], shape, order)
    if kind == STRUCTURE and math.prod(shape) == 1 and len(parts) > 5 and depth < MAX_DEPTH:
        return name, _structure(parts[3:], order, depth)
    return name, None


def _numbers(kind: int, data: memoryview, shape: tuple[int, ...], order: str) -> Array:
    if kind not in TYPES:
        raise FileFormatError(f"damaged: numbers of the unknown type {kind}")
    values = np.frombuffer(data, order + TYPES[kind])
    if min(shape, default=0) < 0 or math.prod(shape) != len(values):
        raise FileFormatError(f"damaged: an array of shape {shape} has {len(values)} numbers")
    return values.reshape(shape, order="F")


def _structure(parts: list[tuple[int, memoryview]], order: str, depth: int) -> Content:
    length = max(int(np.frombuffer(parts[0][1][:4], f"{order}i4")[0]), 1)
    text = bytes(parts[1][1])
    names = [text[k : k + length].split(b"\0")[0].decode("latin-1")
             for k in range(0, len(text), length)]  # fmt: skip
    found: Content = {}
    for name, (kind, body) in zip(names, parts[2:], strict=False):
        if kind == MATRIX and (value := _matrix(body, order, depth + 1)[1]) is not None:
            found[name] = value
    return found


def _level_4(data: memoryview) -> Iterator[tuple[str, Array]]:
    at = 0
    while at + 20 <= len(data):
        order = "<" if int.from_bytes(data[at : at + 4], "little") < 5000 else ">"
        code, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", data, at)
        kind, text = code // 10 % 10, code % 10
        if not 0 <= code < 5000 or kind >= len(TYPES_4) or min(rows, columns, length) < 0:
            raise FileFormatError(f"damaged: unknown matrix header at byte {at}")
        begin = at + 20 + length
        size = rows * columns * np.dtype(TYPES_4[kind]).itemsize
        at, name = begin + size * (2 if imaginary else 1), data[at + 20 : begin]
        if at > len(data):
            raise FileFormatError(f"damaged: an array of {rows} x {columns} ends beyond the file")
        if not text and not imaginary:
            values = np.frombuffer(data[begin : begin + size], order + TYPES_4[kind])
            label = bytes(name).split(b"\0")[0].decode("latin-1")
            yield label, values.reshape(rows, columns, order="F")
