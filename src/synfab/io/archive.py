"""Archives with a checksum: an uncompressed NPZ of arrays and a JSON manifest.

The comment at the end of the archive holds the SHA-256 of all bytes before it, so that changed or
missing bytes are detected before any value is used. Archives hold data only, never code.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from synfab.common.errors import CapacityError, FileFormatError, SynfabError, ToolError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array
from synfab.io.files import atomic_path
from synfab.io.json_file import newer, read_object
from synfab.io.limits import one_line_errors
from synfab.io.npy_file import open_archive, read_member

COMMENT = b"sha256:%064x"
COMMENT_BYTES = len(COMMENT % 0)
CHUNK = 1 << 24
MANIFEST = "manifest"
# Errors of a path that names no file; others, such as a failing network disk, may be temporary.
MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


class DamagedError(FileFormatError):
    """Content is missing or was changed after it was written."""


class Archive:
    """An open archive whose checksum has been verified.

    Attributes
    ----------
    manifest
        JSON object that describes the file.
    size
        Size of the file in bytes.
    """

    def __init__(self, opened: zipfile.ZipFile, size: int) -> None:
        self._opened, self.size = opened, size
        for name in opened.namelist():
            if not name.endswith(".npy"):
                raise FileFormatError(f"{name}: expected only NumPy arrays")
        self.manifest = read_object(self.array(MANIFEST).tobytes(), MANIFEST)

    @property
    def names(self) -> list[str]:
        """Names of the arrays, without the manifest."""
        found = [name.removesuffix(".npy") for name in self._opened.namelist()]
        return [name for name in found if name != MANIFEST]

    def array(self, key: str) -> Array:
        """Return one array; raises ``FileFormatError`` if it is missing or damaged."""
        info = self._opened.NameToInfo.get(f"{key}.npy")
        if info is not None and info.compress_type != zipfile.ZIP_STORED:
            raise FileFormatError(f"{key}: compressed; expected an uncompressed array")
        return read_member(self._opened, key)

    def check(self, kind: str, version: int) -> None:
        """Raise ``FileFormatError`` if the file has another format or version."""
        if self.manifest.get("format") != kind:
            raise FileFormatError(f'format: expected "{kind}"')
        found = self.manifest.get("version")
        if found != version:
            raise newer(found, version)


def write_archive(
    path: str | os.PathLike[str], manifest: Mapping[str, object], arrays: Mapping[str, Array]
) -> None:
    """Write a manifest and arrays to ``path``; an error leaves an existing file unchanged."""
    text = np.frombuffer(json.dumps(manifest, allow_nan=False).encode(), np.uint8)
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = COMMENT % 0
            _write(archive, MANIFEST, text)
            for name, array in arrays.items():
                _write(archive, name, np.asarray(array))
        with temporary.open("r+b") as file:
            digest = _digest(file, temporary.stat().st_size)
            file.seek(-COMMENT_BYTES, os.SEEK_END)
            file.write(b"sha256:" + digest.encode())


@contextmanager
def open_checked(path: str | os.PathLike[str], what: str) -> Iterator[Archive]:
    """Open an archive after verifying its checksum; ``what`` names the expected file in errors.

    Any error in the block, such as a wrong content, is raised as one line that starts with the
    name of the file.

    Raises
    ------
    DamagedError
        The file is missing, incomplete, or was changed.
    FileFormatError
        It is of another format, or has invalid content.
    CapacityError
        It does not fit into memory.
    """
    name = Path(path)
    try:
        with name.open("rb") as file:
            _verify(file, what)
        with one_line_errors(f"not {what}"), open_archive(name, math.inf) as opened:
            yield Archive(opened, name.stat().st_size)
    except SynfabError as error:
        kept = (CapacityError, ToolError, DamagedError)
        kind = type(error) if isinstance(error, kept) else FileFormatError
        raise kind(f"{name}: {' '.join(str(error).split())}") from None
    except OSError as error:
        pass_on(error)
        kind = DamagedError if error.errno in MISSING else FileFormatError
        raise kind(f"{name}: cannot read: {error.strerror or error}") from None


def checksum(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 stored in an archive, without comparing it with the content.

    Raises
    ------
    FileFormatError
        There is none, or the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return _stored_digest(file, "a file with a checksum")
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except OSError as error:
        pass_on(error)
        raise FileFormatError(f"{path}: cannot read: {error.strerror or error}") from None


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Return True if the checksum of an archive matches its content."""
    try:
        with Path(path).open("rb") as file:
            _verify(file, "")
    except (FileFormatError, OSError) as error:
        pass_on(error)
        return False
    return True


def _write(archive: zipfile.ZipFile, name: str, array: Array) -> None:
    info = zipfile.ZipInfo(f"{name}.npy")  # a fixed date: equal arrays give equal files
    with archive.open(info, "w", force_zip64=True) as member:
        header = io.BytesIO()
        array = np.asarray(array, order="C")
        np.lib.format.write_array_header_1_0(
            header, np.lib.format.header_data_from_array_1_0(array)
        )
        member.write(header.getvalue())
        flat = array.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, CHUNK):
            member.write(flat[start : start + CHUNK].data)


def _digest(file: BinaryIO, size: int) -> str:
    digest, left = hashlib.sha256(), size - COMMENT_BYTES
    file.seek(0)
    while left > 0:
        data = file.read(min(CHUNK, left))
        if not data:
            break
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def _stored_digest(file: BinaryIO, what: str) -> str:
    """Return the checksum at the end of a file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - COMMENT_BYTES))
    found = re.fullmatch(rb"sha256:([0-9a-f]{64})", file.read())
    if not found:
        raise DamagedError(f"not {what}, or incomplete: the checksum at its end is missing")
    stored: str = found[1].decode()
    return stored


def _verify(file: BinaryIO, what: str) -> None:
    stored = _stored_digest(file, what)
    if _digest(file, file.seek(0, os.SEEK_END)) != stored:
        raise DamagedError("damaged: the checksum does not match the content")
