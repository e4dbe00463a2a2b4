"""Size limits for untrusted files, checked before memory is allocated.

A small file can state, or decompress to, terabytes. Every reader checks the stated size first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from synfab.common.errors import CapacityError, FileFormatError, SynfabError
from synfab.common.interrupts import pass_on
from synfab.common.messages import reason_of
from synfab.io.memory import require_memory, size_text

# Largest JSON document. Parsed into Python objects it takes about twenty times as much memory.
DOCUMENT_BYTES = 16 * 2**20
# Largest decompressed chunk or page where a file does not state its size.
CHUNK_BYTES = 2**30
# Largest order of one history, and sum of the orders in a file. Checking the stability of order p
# takes (4 p)**2 numbers and (4 p)**3 operations.
MAX_ORDER, MAX_TOTAL_ORDER = 100, 1000


def require_size(claimed: int, allowed: int, where: str) -> None:
    """Raise ``FileFormatError`` if the stated size in bytes exceeds the limit."""
    if claimed > allowed:
        raise FileFormatError(
            f"{where}: has {size_text(claimed)}; the limit is {size_text(allowed)}"
        )


def require_order(name: str, order: int, others: Iterable[int]) -> None:
    """Raise ``FileFormatError`` for histories that take too much memory or minutes to check."""
    if order > MAX_ORDER:
        raise FileFormatError(f"{name}: expected up to {MAX_ORDER} lags, found {order}")
    if order + sum(others) > MAX_TOTAL_ORDER:
        raise FileFormatError(
            f"{name}: expected up to {MAX_TOTAL_ORDER} lags in all histories together"
        )


def read_whole(path: Path, what: str, allowed: int = DOCUMENT_BYTES) -> bytes:
    """Return the content of a file of up to ``allowed`` bytes.

    Raises
    ------
    FileFormatError
        It is missing, a folder, unreadable or too large; ``what`` names what was expected.
    """
    try:
        if path.is_dir():
            raise FileFormatError(f"{path}: is a folder; expected {what}")
        with path.open("rb") as file:
            data = file.read(allowed + 1)
    except SynfabError:
        raise
    except (OSError, ValueError) as error:
        pass_on(error)
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(f"{path}: cannot read {what}: {reason}") from None
    if len(data) > allowed:
        raise FileFormatError(f"{path}: larger than {size_text(allowed)}; too large for {what}")
    return data


def read_large(path: Path, times: int = 1) -> bytes:
    """Return the content of a file, if ``times`` its size is available as memory.

    Raises
    ------
    CapacityError
        There is not enough memory.
    OSError
        It cannot be read.
    """
    require_memory(times * path.stat().st_size, str(path))
    return path.read_bytes()


@contextmanager
def one_line_errors(where: str) -> Iterator[None]:
    """Replace any exception inside the block by a one-line error that starts with ``where``.

    For parsers of other libraries: on damaged files they raise anything from ``SyntaxError`` to
    ``zlib.error``.

    Raises
    ------
    FileFormatError
        In place of any exception but a ``SynfabError``, which is raised unchanged.
    CapacityError
        In place of a ``MemoryError``.
    """
    try:
        yield
    except SynfabError:
        raise
    except MemoryError as error:
        raise CapacityError(f"{where}: does not fit into memory: {reason_of(error)}") from None
    except Exception as error:
        pass_on(error)
        raise FileFormatError(f"{where}: {reason_of(error)}") from None
