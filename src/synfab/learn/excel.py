"""Excel files of measurements: a ZIP archive of XML, in which little can stand for much."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synfab.capacity import require_memory
from synfab.errors import FileFormatError
from synfab.limits import require_size, told

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS, MOST_EMPTY = 2**20, 10_000
MOST_WIDTH, MOST_FIELDS = 1024, 2**23
UNPACKED_BYTES = 2**28
MOST_LOOKED = 2**24  # fields that are looked at, most of which may be empty
AS_OBJECTS = 12  # times that, as the elements of a tree


def read_excel(path: Path) -> pd.DataFrame:
    """Read the first sheet of an .xlsx file, once its size is known.

    Raises
    ------
    FileFormatError
        It is no such file, or would become too large.
    """
    import pandas as pd

    try:
        import openpyxl  # noqa: F401
    except ImportError:
        raise FileFormatError('Excel files need: pip install "synfab[learn]"') from None
    with told("cannot be read as xlsx"):
        _check_archive(path)
        rows = _count_rows(path)
        # The first is that of names; pandas would hold the empty ones behind the last.
        table: pd.DataFrame = pd.read_excel(path, engine="openpyxl", nrows=max(rows - 1, 0))
    return table


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    require_size(size, UNPACKED_BYTES, "unpacked")
    require_memory(AS_OBJECTS * size, "unpacked")


def _count_rows(path: Path) -> int:
    """Count rows and columns in one pass: a cell's address alone decides how large a sheet is.

    Empty ones at the end, which a height or a colour leaves in a file, are not counted.
    """
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        if not book.worksheets:
            raise FileFormatError("expected a sheet of rows, found none")
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of itself is not to be trusted
        last = filled = width = looked = 0
        for row, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            looked += len(cells)
            if row > MOST_ROWS or looked > MOST_LOOKED:
                raise _too_large()
            used = _used(cells) if cells else 0
            if not used:
                continue
            last, filled, width = row, filled + 1, max(width, used)
            if last - filled > MOST_EMPTY:
                raise FileFormatError(f"expected up to {MOST_EMPTY} empty rows between others")
            if width > MOST_WIDTH or last * width > MOST_FIELDS:
                raise _too_large()
        return last
    finally:
        book.close()


def _used(cells: Sequence[Any]) -> int:
    """Return the number of cells up to the last that is not empty."""
    if cells.count(None) == len(cells):
        return 0
    for k in range(len(cells), 0, -1):
        if cells[k - 1] not in (None, ""):
            return k
    return 0


def _too_large() -> FileFormatError:
    return FileFormatError(
        f"expected up to {MOST_ROWS} rows, {MOST_WIDTH} columns and {MOST_FIELDS} fields; "
        "save it as CSV or Parquet"
    )
