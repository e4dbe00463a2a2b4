"""Excel files of measurements: a ZIP archive of XML, in which little can stand for much."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synfab.common import extras
from synfab.common.errors import FileFormatError
from synfab.io.limits import require_size, told
from synfab.io.memory import require_memory
from synfab.learn.readers.columns import ALIASES, find_columns, split_name

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS, MOST_EMPTY = 2**20, 10_000
MOST_WIDTH, MOST_FIELDS = 1024, 2**23
UNPACKED_BYTES = 2**28
MOST_LOOKED = 2**24  # fields that are looked at, most of which may be empty
AS_OBJECTS = 12  # times that, as the elements of a tree


def read_excel(path: Path) -> pd.DataFrame:
    """Read an .xlsx file, once its size is known: the first sheet of measurements, and its like.

    Rows above the names are passed over. With several sheets and no column for devices, a sheet
    is a device.

    Raises
    ------
    FileFormatError
        It is no such file, or would become too large.
    """
    import pandas as pd

    extras.check("openpyxl")
    with told("cannot be read as xlsx"):
        _check_archive(path)
        tables: dict[str, pd.DataFrame] = {}
        for title, above, rows in _count_rows(path):
            options: dict[str, Any] = {"sheet_name": title, "skiprows": above}
            # The first is that of names; pandas would hold the empty ones behind the last.
            options["nrows"] = max(rows - above - 1, 0)
            tables[title] = pd.read_excel(path, engine="openpyxl", **options)
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
    require_memory(AS_OBJECTS * size, "unpacked")


def _count_rows(path: Path) -> list[tuple[str, int, int]]:
    """Return title, rows above the names and rows in all of each sheet that is not empty.

    One pass: a cell's address alone decides how large a sheet is. Empty rows at the end, which a
    height or a colour leaves in a file, are not counted.
    """
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        if not book.worksheets:
            raise FileFormatError("expected a sheet of rows, found none")
        found: list[tuple[str, int, int]] = []
        room = [MOST_LOOKED, MOST_FIELDS]
        for sheet in book.worksheets:
            above, rows = _measure(sheet, room)
            if rows or not found:
                found.append((sheet.title, above, rows))
        return found
    finally:
        book.close()


def _measure(sheet: Any, room: list[int]) -> tuple[int, int]:
    """Return the rows above the names, and those up to the last; take the fields off the room."""
    sheet.reset_dimensions()  # what the file says of itself is not to be trusted
    last = filled = width = above = looked = 0
    names: Sequence[Any] = ()
    for row, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        looked += len(cells)
        if row > MOST_ROWS or looked > room[0]:
            raise _too_large()
        used = _used(cells) if cells else 0
        if not used:
            continue
        if not above and _is_head(names, cells[:used]):
            above = last
        names = cells[:used]
        last, filled, width = row, filled + 1, max(width, used)
        if last - filled > MOST_EMPTY:
            raise FileFormatError(f"expected up to {MOST_EMPTY} empty rows between others")
        if width > MOST_WIDTH or last * width > room[1]:
            raise _too_large()
    room[0] -= looked
    room[1] -= last * width
    return max(above - 1, 0), last


def _is_head(names: Sequence[Any], below: Sequence[Any]) -> bool:
    numbers = sum(isinstance(value, (int, float)) for value in below)
    return numbers > 1 and len(names) == len(below) and all(isinstance(n, str) for n in names)


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
