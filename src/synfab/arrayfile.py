"""Array files: one uncompressed NPZ that says what it is and knows when it is damaged.

The comment at the end of the archive holds the SHA-256 of every byte before it, so that any
flipped byte and any cut is found before a single number is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from synfab.capacity import bytes_per_cell
from synfab.cells import CellArray, check_shape, check_word
from synfab.errors import CapacityError, FileFormatError, SynfabError, ToolError
from synfab.files import atomic_path
from synfab.jsonfile import read_object
from synfab.limits import require_size, told
from synfab.modelfile import document, parse
from synfab.npyfile import open_archive, read_member

FORMAT, VERSION = "synfab-cells", 1
COMMENT = b"sha256:%064x"
COMMENT_BYTES = len(COMMENT % 0)
CHUNK = 1 << 24
FIELDS = ("shape", "seed", "order", "engine", "history", "first_cell")
SMALLEST_CELL = bytes_per_cell(1, "compact")
COUNTERS = ("read_number", "readout_number")


def save_array(cells: CellArray, path: str | os.PathLike[str]) -> None:
    """Write ``cells`` to ``path``, whole or not at all."""
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(cells, name) for name in FIELDS + COUNTERS},
        "model": document(cells.model),
    }
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = COMMENT % 0
            _write(archive, "manifest", np.frombuffer(json.dumps(manifest).encode(), np.uint8))
            for name, array in cells._engine.storage().items():
                _write(archive, name, np.asarray(array))
        with temporary.open("r+b") as file:
            digest = _digest(file, temporary.stat().st_size)
            file.seek(-COMMENT_BYTES, os.SEEK_END)
            file.write(b"sha256:" + digest.encode())


def load_array(path: str | os.PathLike[str]) -> CellArray:
    """Read an array; ``FileFormatError`` in one line if the file is not whole or not ours."""
    name = Path(path)
    try:
        with name.open("rb") as file:
            _verify(file, name)
        with told(f"{name}: not an array file"), open_archive(name) as archive:
            return _load(archive, name)
    except SynfabError as error:
        text = " ".join(str(error).split())
        kind = type(error) if isinstance(error, (CapacityError, ToolError)) else FileFormatError
        raise kind(text if text.startswith(f"{name}: ") else f"{name}: {text}") from None
    except OSError as error:
        raise FileFormatError(f"{name}: cannot read: {error.strerror or error}") from None


def _write(archive: zipfile.ZipFile, name: str, array: np.ndarray[Any, Any]) -> None:
    info = zipfile.ZipInfo(f"{name}.npy")  # its default date: equal arrays make equal files
    with archive.open(info, "w", force_zip64=True) as member:
        header = io.BytesIO()
        array = np.ascontiguousarray(array)
        np.lib.format.write_array_header_1_0(
            header, np.lib.format.header_data_from_array_1_0(array)
        )
        member.write(header.getvalue())
        flat = array.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, CHUNK):
            member.write(flat[start : start + CHUNK].data)


def _digest(file: Any, size: int) -> str:
    digest, left = hashlib.sha256(), size - COMMENT_BYTES
    file.seek(0)
    while left > 0:
        data = file.read(min(CHUNK, left))
        if not data:
            break
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def _verify(file: Any, name: Path) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - COMMENT_BYTES))
    found = re.fullmatch(rb"sha256:([0-9a-f]{64})", file.read())
    if not found:
        raise FileFormatError(f"{name}: not an array file, or cut short: its checksum is missing")
    if _digest(file, size) != found[1].decode():
        raise FileFormatError(f"{name}: damaged: its checksum does not match its content")


def _load(archive: zipfile.ZipFile, name: Path) -> CellArray:
    manifest = read_object(_read(archive, "manifest").tobytes(), f"{name}: manifest")
    if manifest.get("format") != FORMAT:
        raise FileFormatError(f'{name}: format: expected "{FORMAT}"')
    version = manifest.get("version")
    if version != VERSION:
        raise FileFormatError(
            f"{name}: version: the file has version {version}, this synfab reads {VERSION}"
        )
    model = parse(json.dumps(manifest["model"]).encode(), f"{name}: model")
    cells = CellArray.__new__(CellArray)
    arguments = {key: manifest[key] for key in FIELDS}
    shape = check_shape(arguments.pop("shape"))
    # Cells stand in the file as they do in memory, so a file cannot be of more cells than bytes.
    require_size(
        math.prod(shape) * SMALLEST_CELL, name.stat().st_size, f"{name}: shape: {shape} cells"
    )
    cells._allocate(model, shape, **arguments)
    for key in COUNTERS:
        setattr(cells, key, check_word(key, manifest[key]))
    cells._engine.restore({key: _read(archive, key) for key in cells._engine.STORED})
    return cells


def _read(archive: zipfile.ZipFile, key: str) -> np.ndarray[Any, Any]:
    info = archive.NameToInfo.get(f"{key}.npy")
    if info is not None and info.compress_type != zipfile.ZIP_STORED:
        raise FileFormatError(f"{key}: compressed; array files are not")
    return read_member(archive, key)
