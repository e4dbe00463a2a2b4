"""Excel files of measurements. They are compressed XML, so their size is checked before reading."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.common.errors import FileFormatError
from synfab.io.limits import one_line_errors, require_size
from synfab.io.memory import require_memory
from synfab.learn.readers.columns import ALIASES, find_columns, split_name
from synfab.learn.readers.registry import Columns, register_format

if TYPE_CHECKING:
    import pandas as pd
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

MAX_ROWS, MAX_EMPTY_ROWS = 2**20, 10_000
MAX_COLUMNS, MAX_FIELDS = 1024, 2**23
UNPACKED_BYTES = 2**28
MAX_SCANNED = 2**24  # fields including empty ones
XML_TREE_FACTOR = 12  # memory of a parsed XML tree, relative to its text


def read_excel(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the first sheet of measurements in an .xlsx file and the sheets with equal columns.

    Rows above the column names are skipped. If there are several sheets and no column for the
    device, each sheet is a device. ``columns`` is not used.

    Raises
    ------
    FileFormatError
        It is not an .xlsx file, or is too large.
    CapacityError
        It does not fit into memory.
    """
    import pandas as pd

    with one_line_errors("cannot be read as xlsx"):
        _check_archive(path)
        tables: dict[str, pd.DataFrame] = {}
        for title, above, rows in _count_rows(path):
            # Without nrows pandas keeps the empty rows after the last one.
            tables[title] = pd.read_excel(
                path, engine="openpyxl", sheet_name=title, skiprows=above,
                nrows=max(rows - above - 1, 0),
            )  # fmt: skip
    first = next(filter(_is_measured, tables.values()), next(iter(tables.values())))
    alike = {k: table for k, table in tables.items() if table.columns.equals(first.columns)}
    if len(alike) == 1:
        return first
    if "device" in find_columns(map(str, first.columns)):
        return pd.concat(alike.values(), ignore_index=True)
    named = [table.assign(device=title) for title, table in alike.items()]
    return pd.concat(named, ignore_index=True)


def _is_measured(table: pd.DataFrame) -> bool:
    words = {split_name(column)[0] for column in map(str, table.columns)}
    return any(words & ALIASES[name] for name in ("current", "r_hrs", "r_lrs"))


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    require_size(size, UNPACKED_BYTES, "unpacked")
    require_memory(XML_TREE_FACTOR * size, "unpacked")


def _count_rows(path: Path) -> list[tuple[str, int, int]]:
    """Return title, number of rows above the column names and number of rows of each used sheet.

    All rows are read, because a single address far away makes a sheet large. Empty rows at the end,
    which stay in a file for their height or colour, are not counted.
    """
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        if not book.worksheets:
            raise FileFormatError("expected a sheet of rows, found none")
        found: list[tuple[str, int, int]] = []
        left = [MAX_SCANNED, MAX_FIELDS]
        for sheet in book.worksheets:
            above, rows = _measure(sheet, left)
            if rows or not found:
                found.append((sheet.title, above, rows))
        return found
    finally:
        book.close()


def _measure(sheet: ReadOnlyWorksheet, left: list[int]) -> tuple[int, int]:
    """Return the number of rows above the column names and up to the last used row.

    ``left`` holds how many fields may still be scanned and used in the file; it is reduced.
    """
    sheet.reset_dimensions()  # the dimensions stated in the file may be wrong
    last = filled = width = above = scanned = 0
    names: Sequence[object] = ()
    for row, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        scanned += len(cells)
        if row > MAX_ROWS or scanned > left[0]:
            raise _too_large()
        used = _used(cells) if cells else 0
        if not used:
            continue
        if not above and _is_head(names, cells[:used]):
            above = last
        names = cells[:used]
        last, filled, width = row, filled + 1, max(width, used)
        if last - filled > MAX_EMPTY_ROWS:
            raise FileFormatError(f"expected up to {MAX_EMPTY_ROWS} empty rows between used ones")
        if width > MAX_COLUMNS or last * width > left[1]:
            raise _too_large()
    left[0] -= scanned
    left[1] -= last * width
    return max(above - 1, 0), last


def _is_head(names: Sequence[object], below: Sequence[object]) -> bool:
    numbers = sum(isinstance(value, (int, float)) for value in below)
    return numbers > 1 and len(names) == len(below) and all(isinstance(n, str) for n in names)


def _used(cells: Sequence[object]) -> int:
    """Return the number of cells up to the last one that is not empty."""
    if cells.count(None) == len(cells):
        return 0
    for k in range(len(cells), 0, -1):
        if cells[k - 1] not in (None, ""):
            return k
    return 0


def _too_large() -> FileFormatError:
    return FileFormatError(
        f"expected up to {MAX_ROWS} rows, {MAX_COLUMNS} columns and {MAX_FIELDS} fields; "
        "save it as CSV or Parquet"
    )


register_format("Excel", read_excel, suffixes=(".xlsx",), packages=("openpyxl",))
