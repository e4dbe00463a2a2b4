"""Compressed text files: unpacked into a temporary file, up to a limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from synfab.common.errors import FileFormatError
from synfab.io.memory import require_memory, size_text

PACKED: dict[str, Callable[[Path], gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
PIECE = 2**20
# A file may unpack to this size or, if larger, to this multiple of its own size; tables of numbers
# are compressed by 3 to 100.
UNPACKED_BYTES, RATIO = 2**26, 400


def plain_name(path: Path) -> str:
    """Return the name of the unpacked file: "loops.csv" for "loops.csv.gz"."""
    return path.stem if path.suffix.lower() in PACKED else path.name


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Unpack a compressed file for the duration of a ``with`` block.

    Raises
    ------
    FileFormatError
        It is damaged, or unpacks to too much.
    CapacityError
        What it unpacks to does not fit into memory, as it has to later.
    """
    opened = PACKED[path.suffix.lower()]
    most = max(UNPACKED_BYTES, RATIO * path.stat().st_size)
    with tempfile.TemporaryDirectory(prefix="synfab-") as folder:
        copy, size = Path(folder, plain_name(path)), 0
        with copy.open("wb") as target, opened(path) as source:
            try:
                while piece := source.read(PIECE):
                    size += len(piece)
                    if size > most:
                        raise FileFormatError(f"unpacks to over {size_text(most)}; unpack it first")
                    require_memory(size, "unpacked")
                    target.write(piece)
            except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
                raise FileFormatError(f"damaged: {error}") from None
        yield copy
