"""Excel files of measurements: a ZIP archive of XML, in which little can stand for much."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.capacity import require_memory
from synfab.errors import FileFormatError
from synfab.limits import require_size, told

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS, MOST_EMPTY = 2**20, 10_000
MOST_WIDTH, MOST_FIELDS = 1024, 2**23
UNPACKED_BYTES = 2**28
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
        _check_sheet(path)
        table: pd.DataFrame = pd.read_excel(path, engine="openpyxl")
    return table


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    require_size(size, UNPACKED_BYTES, "unpacked")
    require_memory(AS_OBJECTS * size, "unpacked")


def _check_sheet(path: Path) -> None:
    """Count rows and columns in one pass: a cell's address alone decides how large a sheet is."""
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        if not book.worksheets:
            raise FileFormatError("expected a sheet of rows, found none")
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of itself is not to be trusted
        rows = width = empty = 0
        for cells in sheet.iter_rows(values_only=True):
            rows, width, empty = rows + 1, max(width, len(cells)), empty + (not cells)
            if empty > MOST_EMPTY:
                raise FileFormatError(f"expected up to {MOST_EMPTY} empty rows between others")
            if rows > MOST_ROWS or width > MOST_WIDTH or rows * width > MOST_FIELDS:
                raise FileFormatError(
                    f"expected up to {MOST_ROWS} rows, {MOST_WIDTH} columns and {MOST_FIELDS} "
                    "fields; save it as CSV or Parquet"
                )
    finally:
        book.close()
