"""Tables in the sheets of a spreadsheet file, whatever its format; with limits for their size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from synfab.common.errors import FileFormatError
from synfab.learn.readers.blocks import NOTES, TITLES
from synfab.learn.readers.columns import quantity_of
from synfab.learn.readers.preamble import find_head
from synfab.learn.readers.text import MAX_LINES_ABOVE, only_values

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS, MAX_EMPTY_ROWS = 2**20, 10_000
MAX_COLUMNS, MAX_FIELDS = 1024, 2**23
MAX_SCANNED = 2**24  # fields including empty ones
# Titles of sheets that hold the sweeps of one device, such as Data, Append1, Append2 of Clarius.
SWEEP_SHEETS = re.compile(r"(data|append|run|cycle|sweep|loop|repeat)[\s_#-]*\d*", re.IGNORECASE)

Row = Sequence[object]


class SheetRows:
    """The used rows of a sheet without empty fields at their ends; a file shares ``left``."""

    def __init__(self, left: list[int]) -> None:
        self.rows: list[Row] = []
        self._left = left  # fields that may still be scanned, and used
        self._last = self._width = 0

    def add(self, number: int, cells: Row) -> None:
        """Append row ``number``, counted from 1.

        Raises
        ------
        FileFormatError
            The sheet is too large; a single address far away is enough.
        """
        self._left[0] -= len(cells)
        if number > MAX_ROWS or self._left[0] < 0:
            raise too_large()
        used = _used(cells) if cells else 0
        if not used:
            return
        self.rows.append(cells[:used])
        self._last, self._width = number, max(self._width, used)
        if number - len(self.rows) > MAX_EMPTY_ROWS:
            raise FileFormatError(f"expected up to {MAX_EMPTY_ROWS} empty rows between used ones")
        if self._width > MAX_COLUMNS or number * self._width > self._left[1]:
            raise too_large()

    def end(self) -> list[Row]:
        """Return the rows, after the last one was added."""
        self._left[1] -= self._last * self._width
        return self.rows


def limits() -> list[int]:
    """Return how many fields of a file may be scanned, and used."""
    return [MAX_SCANNED, MAX_FIELDS]


def too_large() -> FileFormatError:
    """Return the error for a file of too many fields."""
    return FileFormatError(
        f"expected up to {MAX_ROWS} rows, {MAX_COLUMNS} columns and {MAX_FIELDS} fields; "
        "save it as CSV or Parquet"
    )


def joined_sheets(sheets: Iterable[tuple[str, list[Row]]]) -> pd.DataFrame:
    """Return the first sheet of measurements and the sheets with equal columns; see ``joined``.

    Raises
    ------
    FileFormatError
        There is no sheet with rows.
    """
    tables = {title: _table(rows) for title, rows in sheets if rows}
    if not tables:
        raise FileFormatError("expected a sheet of rows, found none")
    return joined(tables, "sheets")


def joined(tables: Mapping[str, pd.DataFrame], kind_of_part: str) -> pd.DataFrame:
    """Return the first table of measurements and the tables with equal columns, by their titles.

    If no column states it, each table is a device, or a cycle if the titles are those of sweeps.
    ``kind_of_part`` names the parts of the file in the note about the reading, such as "sheets".
    """
    import pandas as pd

    first = next(filter(_is_measured, tables.values()), next(iter(tables.values())))
    alike = {k: table for k, table in tables.items() if table.columns.equals(first.columns)}
    if len(alike) == 1:
        return first
    known = {role[0] for name in first.columns if (role := quantity_of(str(name)))}
    sweeps = all(SWEEP_SHEETS.fullmatch(title) for title in alike) and "cycle" not in known
    kind = "cycle" if sweeps else "device"
    parts = list(alike.values())
    if kind not in known:
        parts = [table.assign(**{kind: k + 1 if sweeps else title})
                 for k, (title, table) in enumerate(alike.items())]  # fmt: skip
    found = pd.concat(parts, ignore_index=True)
    shown = ", ".join(map(repr, list(alike)[:6])) + (" …" if len(alike) > 6 else "")
    found.attrs = {**first.attrs, NOTES: {kind_of_part: f"{shown} are read as {kind}s"}}
    return found


def _table(rows: list[Row]) -> pd.DataFrame:
    """Return the table in the rows of a sheet, below the lines above its names."""
    import pandas as pd

    texts = [["" if cell is None else str(cell) for cell in row] for row in rows[:MAX_LINES_ABOVE]]
    head = find_head(["".join(row) for row in texts], lambda k, _: texts[k], ("cells",))
    names, start = (texts[0], 1) if head is None else (head.names, head.first_row)
    width = max([len(names), *map(len, rows[start:])])
    body = [[*row, *[None] * (width - len(row))] for row in rows[start:]]
    frame = pd.DataFrame(body, columns=range(width))
    if not names:
        return frame.set_axis([str(k) for k in range(width)], axis=1)
    frame = frame.set_axis([*names, *[""] * (width - len(names))], axis=1)
    frame = only_values(frame) if len(frame) else frame
    titles = {} if head is None else head.titles
    frame.attrs[TITLES] = [titles.get(k, "") for k in range(width)]
    return frame


def _is_measured(table: pd.DataFrame) -> bool:
    roles = {role[0] for name in table.columns if (role := quantity_of(str(name)))}
    numbered = [str(name) for name in table.columns] == [str(k) for k in range(table.shape[1])]
    return bool(roles & {"current", "resistance", "r_hrs", "r_lrs"}) or (
        numbered and table.shape[1] > 1
    )


def _used(cells: Row) -> int:
    """Return the number of cells up to the last one that is not empty."""
    if isinstance(cells, tuple) and cells.count(None) == len(cells):
        return 0
    for k in range(len(cells), 0, -1):
        if cells[k - 1] not in (None, ""):
            return k
    return 0
