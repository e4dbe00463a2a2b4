"""NumPy arrays in ZIP archives, read after checking that header and size agree."""

from __future__ import annotations

import math
import os
import zipfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from synfab.common.errors import FileFormatError
from synfab.io.limits import one_line_errors
from synfab.io.memory import require_memory

MEMBERS = 10_000  # arrays in one archive
KINDS = "fiubUS"  # numbers, masks and names


def open_archive(path: str | os.PathLike[str], members: float = MEMBERS) -> zipfile.ZipFile:
    """Return an opened ZIP archive with at most ``members`` arrays.

    Raises
    ------
    FileFormatError
        It is not a ZIP archive, has more members, or two of one name.
    """
    with one_line_errors("not an archive of arrays"):
        archive = zipfile.ZipFile(path)
    names = [info.filename for info in archive.filelist]
    if len(set(names)) < len(names):
        archive.close()
        twice = next(name for name in names if names.count(name) > 1)
        raise FileFormatError(f"{twice}: occurs twice in the archive")
    if len(archive.filelist) > members:
        archive.close()
        raise FileFormatError(f"expected up to {members} arrays, found {len(archive.filelist)}")
    return archive


def read_member(archive: zipfile.ZipFile, name: str, copies: int = 1) -> npt.NDArray[Any]:
    """Return an array of an archive; ``name`` is the member without ``.npy``.

    The shape in the header must agree with the size in the directory: NumPy would allocate the
    former without comparing. ``copies``: how many copies the caller will hold at a time.

    Raises
    ------
    FileFormatError
        The array is missing, holds objects, or its header disagrees with its size.
    CapacityError
        It does not fit into memory.
    """
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise FileFormatError(f"{name}: missing") from None
    require_memory(info.file_size, name)
    with one_line_errors(name), archive.open(info) as member:
        shape, dtype = _header(member, name)
        claimed = math.prod(shape) * dtype.itemsize
        held = info.file_size - member.tell()
        if claimed != held:
            raise FileFormatError(
                f"{name}: states {dtype} of shape {shape}, {claimed} bytes, but holds {held}"
            )
        require_memory(copies * claimed, name)
        member.seek(0)
        return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


def _header(member: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    # Version 3 differs from 2 only for structured arrays, which are refused below.
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise FileFormatError(f"{name}: expected numbers or names, found {dtype}")
    if any(length < 0 for length in shape):
        raise FileFormatError(f"{name}: expected lengths of 0 or more, found shape {shape}")
    return shape, dtype
