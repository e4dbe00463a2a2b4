"""OpenDocument spreadsheets (.ods) of measurements, read one row of XML at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING
from xml.etree import ElementTree as ET

from synfab.io.limits import one_line_errors
from synfab.learn.readers.excel import check_archive
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.readers.spreadsheet import (
    MAX_COLUMNS,
    MAX_ROWS,
    Row,
    SheetRows,
    joined_sheets,
    limits,
    too_large,
)

if TYPE_CHECKING:
    import pandas as pd

NAMESPACE = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
OFFICE, TABLE = NAMESPACE % "office", NAMESPACE % "table"


def read_ods(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the first sheet of measurements in an .ods file and the sheets with equal columns.

    Rows above the column names are skipped. ``columns`` is not used.

    Raises
    ------
    FileFormatError
        It is not an .ods file, or is too large.
    CapacityError
        It does not fit into memory.
    """
    with one_line_errors("cannot be read as ods"):
        check_archive(path)
        with zipfile.ZipFile(path) as archive, archive.open("content.xml") as file:
            return joined_sheets(_sheets(file))


def _sheets(file: IO[bytes]) -> Iterator[tuple[str, list[Row]]]:
    left, number, found, title = limits(), 0, None, ""
    for event, node in ET.iterparse(file, events=("start", "end")):
        if event == "start" and node.tag == f"{TABLE}table":
            found, number = SheetRows(left), 0
            title = node.get(f"{TABLE}name", "")
        elif event == "end" and node.tag == f"{TABLE}table-row" and found is not None:
            cells = _cells(node)
            again = _repeated(node, "rows")
            # Empty rows are repeated up to the last row of the sheet.
            if cells and number + again > MAX_ROWS:
                raise too_large()
            for k in range(again if cells else 0):
                found.add(number + k + 1, cells)
            number += again
            node.clear()
        elif event == "end" and node.tag == f"{TABLE}table" and found is not None:
            yield title, found.end()
            node.clear()


def _cells(row: ET.Element) -> Row:
    """Return the values of a row without empty cells at its end."""
    values: list[object] = []
    waiting = 0  # empty cells before the next value
    for node in row:
        if node.tag not in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
            continue
        value, again = _value(node), min(_repeated(node, "columns"), MAX_COLUMNS + 1)
        if value in (None, ""):
            waiting = min(waiting + again, MAX_COLUMNS + 1)
            continue
        values += [None] * waiting + [value] * again
        waiting = 0
        if len(values) > MAX_COLUMNS:
            break  # refused by the number of its columns
    return tuple(values)


def _value(cell: ET.Element) -> object:
    number = cell.get(f"{OFFICE}value")
    if number is not None:
        return float(number)
    return "\n".join("".join(part.itertext()) for part in cell).strip()


def _repeated(node: ET.Element, what: str) -> int:
    return max(int(node.get(f"{TABLE}number-{what}-repeated", "1")[:10]), 0)


register_format("OpenDocument", read_ods, suffixes=(".ods",))
