"""Delimited text files of measurements, with or without a header."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from synfab.common.errors import InvalidValueError
from synfab.io.table_file import MAX_LINE, CsvLayout, read_csv
from synfab.learn.readers.blocks import NOTES, TITLES
from synfab.learn.readers.columns import quantity_of
from synfab.learn.readers.preamble import (
    COMMENT,
    MARKS,
    comment_lines,
    fields_of,
    find_head,
    is_number,
)
from synfab.learn.readers.registry import TEXT, Columns, register_format

if TYPE_CHECKING:
    import pandas as pd

MAX_LINES_ABOVE = 2000  # lines that are searched for the header
ROWS = 20  # rows of values in which fields are counted


def read_text(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the table of a text file delimited by tabs, semicolons, commas or blanks.

    Lines above the header are skipped; without a header, the columns are called 0, 1, 2, … A header
    that is repeated begins the next cycle. A file that is neither UTF-16 nor UTF-8 is
    read as Windows-1252.
    ``columns`` is not used.

    Raises
    ------
    InvalidValueError
        The file is empty.
    FileFormatError, CapacityError
        The table is too large.
    """
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return _read(path, "utf-16")
    try:
        return _read(path, "utf-8-sig")
    except UnicodeDecodeError:
        return _read(path, "cp1252")


def _read(path: Path, encoding: str) -> pd.DataFrame:
    with path.open(encoding=encoding, errors="strict", newline="") as file:
        lines = _first_lines(file)
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise InvalidValueError("the file is empty")
    head = find_head(lines)
    if head is None:
        separator = next((mark for mark in MARKS[:-1] if mark in filled[0]), MARKS[-1])
        return read_csv(path, CsvLayout(separator, encoding, comment_lines(lines)))
    # Rows can have a separator at their end, or a comment that has no name.
    width = max(len(fields_of(line, head.separator))
                for line in lines[head.first_row : head.first_row + ROWS])  # fmt: skip
    count = max(width, len(head.names))
    layout = CsvLayout(head.separator, encoding, head.first_row, tuple(map(str, range(count))))
    frame = read_csv(path, layout)
    if head.names:
        frame = frame.set_axis([*head.names, *[""] * (count - len(head.names))], axis=1)
        frame = only_values(frame)
    frame.attrs[TITLES] = [head.titles.get(k, "") for k in range(count)]
    return frame


def only_values(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table without lines of text; names that occur again begin the next cycle.

    Lines of text have a comment sign or fill one column only. The notes of the table count them.
    """
    first = frame.iloc[:, 0]
    if first.dtype.kind in "fiub":
        return frame
    words = first.astype(str).str.strip()
    again = words == str(frame.columns[0]).partition(" [")[0]
    alone = frame.iloc[:, 1:].isna().all(axis=1) if frame.shape[1] > 1 else again
    text = ~words.map(_is_number) & (alone | words.str.startswith(COMMENT))
    if again.any():  # units or settings can stand below names
        numbers = frame.apply(lambda column: column.map(_is_number))
        text |= numbers.sum(axis=1) < 2
    if not text.any():
        return frame
    counted = any((role := quantity_of(str(c))) and role[0] == "cycle" for c in frame.columns)
    if again.any() and not counted:
        frame = frame.assign(cycle=again.cumsum())
    found: pd.DataFrame = frame.loc[~text].reset_index(drop=True).infer_objects()
    found.attrs[NOTES] = {"lines_of_text": int(text.sum())}
    return found


def _is_number(value: object) -> bool:
    text = str(value).strip()
    return is_number(text) and text.lower() != "nan"


def _first_lines(file: TextIO) -> list[str]:
    lines: list[str] = []
    size = 0
    while (
        len(lines) < MAX_LINES_ABOVE and size < 2 * MAX_LINE and (line := file.readline(MAX_LINE))
    ):
        lines.append(line)
        size += len(line)
    return lines


register_format("delimited text", read_text, suffixes=TEXT)
