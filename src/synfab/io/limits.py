"""What a file may become: bytes that it claims are compared with a limit before they are asked for.

A small file can say that it holds terabytes, by its header or by its compression. Every reader
therefore asks first how much there would be, and refuses what would not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from synfab.common.errors import CapacityError, FileFormatError, SynfabError
from synfab.common.interrupts import pass_on
from synfab.io.memory import require_memory, size_text

# Text of a JSON document; as Python's lists it takes up to some twenty times as much.
DOCUMENT_BYTES = 16 * 2**20
# What one chunk or page of a compressed file may become, where its own size cannot be known.
CHUNK_BYTES = 2**30
# A history of order p is a matrix of (4 p)**2 numbers, and judging it takes (4 p)**3 steps.
MAX_ORDER, MAX_TOTAL_ORDER = 100, 1000
MAX_REASON = 500  # characters of what a library says


def require_size(claimed: int, allowed: int, where: str) -> None:
    """Raise ``FileFormatError`` if something in a file claims more bytes than are allowed."""
    if claimed > allowed:
        raise FileFormatError(
            f"{where}: would take {size_text(claimed)}, allowed are {size_text(allowed)}"
        )


def require_order(name: str, order: int, others: Iterable[int]) -> None:
    """Refuse histories whose matrices would take all memory, or minutes to judge."""
    if order > MAX_ORDER:
        raise FileFormatError(f"{name}: expected up to {MAX_ORDER} lags, found {order}")
    if order + sum(others) > MAX_TOTAL_ORDER:
        raise FileFormatError(
            f"{name}: expected up to {MAX_TOTAL_ORDER} lags in all histories together"
        )


def read_whole(path: Path, what: str, allowed: int = DOCUMENT_BYTES) -> bytes:
    """Return the content of a file that is no larger than allowed.

    Raises
    ------
    FileFormatError
        It is missing, a folder, unreadable or larger; ``what`` names what was expected.
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
    """Return the content of a file of any size, if ``times`` as much memory can be had.

    Raises
    ------
    CapacityError
        It would not fit.
    OSError
        It cannot be read.
    """
    require_memory(times * path.stat().st_size, str(path))
    return path.read_bytes()


@contextmanager
def one_line_errors(where: str) -> Iterator[None]:
    """Turn whatever a library raises over a damaged file into one line that begins with ``where``.

    Parsers of formats raise what their code comes upon, from ``SyntaxError`` to ``zlib.error``.

    Raises
    ------
    FileFormatError
        In place of it.
    CapacityError
        In place of a ``MemoryError``.
    """
    try:
        yield
    except SynfabError:
        raise
    except MemoryError as error:
        reason = " ".join(str(error).split()) or "the system gave no more"
        raise CapacityError(f"{where}: does not fit into memory: {reason}") from None
    except Exception as error:
        pass_on(error)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"{where}: {reason[:MAX_REASON]}") from None
