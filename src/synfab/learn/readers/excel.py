"""Excel files of measurements. They are compressed XML, so their size is checked before reading."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.common.errors import FileFormatError
from synfab.io.limits import one_line_errors, require_size
from synfab.io.memory import require_memory
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.readers.spreadsheet import Row, SheetRows, joined_sheets, limits

if TYPE_CHECKING:
    import pandas as pd

UNPACKED_BYTES = 2**28
XML_TREE_FACTOR = 12  # memory of a parsed XML tree, relative to its text
XLS_FACTOR = 40  # memory of the cells of an .xls file, relative to its size


def read_excel(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the first sheet of measurements in an .xlsx file and the sheets with equal columns.

    Rows above the column names are skipped. ``columns`` is not used.

    Raises
    ------
    FileFormatError
        It is not an .xlsx file, or is too large.
    CapacityError
        It does not fit into memory.
    """
    with one_line_errors("cannot be read as xlsx"):
        check_archive(path)
        return joined_sheets(_xlsx_sheets(path))


def read_xls(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the sheets of an .xls file as ``read_excel`` does those of an .xlsx file."""
    with one_line_errors("damaged, or not an Excel 97 file"):
        require_memory(XLS_FACTOR * path.stat().st_size, "table")
        return joined_sheets(_xls_sheets(path))


def check_archive(path: Path) -> None:
    """Raise if the members of an archive of XML files are too large for memory."""
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    require_size(size, UNPACKED_BYTES, "unpacked")
    require_memory(XML_TREE_FACTOR * size, "unpacked")


def _xlsx_sheets(path: Path) -> Iterator[tuple[str, list[Row]]]:
    """Yield title and used rows of each sheet.

    Empty rows at the end, which stay in a file for their height or colour, are not counted.
    """
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        if not book.worksheets:
            raise FileFormatError("expected a sheet of rows, found none")
        left = limits()
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # the dimensions stated in the file may be wrong
            found = SheetRows(left)
            for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
                found.add(number, cells)
            yield sheet.title, found.end()
    finally:
        book.close()


def _xls_sheets(path: Path) -> Iterator[tuple[str, list[Row]]]:
    # python-calamine is faster, but ends the process with an abort for an address far away.
    import xlrd

    with (
        Path(os.devnull).open("w") as silent,  # where xlrd prints warnings
        xlrd.open_workbook(str(path), logfile=silent, ragged_rows=True, on_demand=True) as book,
    ):
        left = limits()
        for name in book.sheet_names():
            sheet, found = book.sheet_by_name(name), SheetRows(left)
            for k in range(sheet.nrows):
                found.add(k + 1, tuple(sheet.row_values(k)))
            book.unload_sheet(name)
            yield name, found.end()


register_format("Excel", read_excel, suffixes=(".xlsx", ".xlsm"), packages=("openpyxl",))
register_format("Excel 97", read_xls, suffixes=(".xls",), packages=("xlrd",))
