"""Delimited text files of measurements, with or without a header."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from synfab.common.errors import InvalidValueError
from synfab.io.table_file import MAX_LINE, CsvLayout, read_csv
from synfab.learn.readers.columns import ALIASES
from synfab.learn.readers.preamble import COMMENT, MARKS, comment_lines, find_head, is_number
from synfab.learn.readers.registry import Columns, register_format

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
MAX_LINES_ABOVE = 200  # lines that are searched for the header


def read_text(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the table of a text file delimited by tabs, semicolons, commas or blanks.

    Lines above the header are skipped; without a header, ``columns`` must name all columns in
    their order. A file that is not UTF-8 is read as Windows-1252.

    Raises
    ------
    InvalidValueError
        The file is empty, or has no header and ``columns`` does not name its columns.
    FileFormatError, CapacityError
        The table is too large.
    """
    try:
        return _read(path, columns, "utf-8-sig")
    except UnicodeDecodeError:
        return _read(path, columns, "cp1252")


def _read(path: Path, columns: Columns, encoding: str) -> pd.DataFrame:
    with path.open(encoding=encoding, errors="strict", newline="") as file:
        lines = _first_lines(file)
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise InvalidValueError("the file is empty")
    head = find_head(lines)
    if head is not None and (head.first_row > 1 or lines[0].startswith(COMMENT)):
        return read_csv(
            path, CsvLayout(head.separator, encoding, head.first_row, tuple(head.names))
        )
    above = comment_lines(lines)
    first = next((line for line in lines[above:] if line.strip()), filled[0])
    separator = next((mark for mark in MARKS[:-1] if mark in first), MARKS[-1])
    words = first.split() if separator == MARKS[-1] else first.split(separator)
    fields = [word for word in words if word.strip()]
    if not all(is_number(text) for text in fields):
        return read_csv(path, CsvLayout(separator, encoding, above))
    named = tuple(columns or {})
    if named and all(name in ALIASES or name.startswith("_") for name in named):
        order = [str(value) for value in (columns or {}).values()]
        if order == [str(k) for k in range(len(named))] and len(named) == len(fields):
            return read_csv(path, CsvLayout(separator, encoding, above, named))
    raise InvalidValueError(
        f"no header line, found {len(fields)} columns of numbers; name them in their order, "
        "such as columns=device,cycle,voltage,current (--columns device,cycle,voltage,current)"
    )


def _first_lines(file: TextIO) -> list[str]:
    lines: list[str] = []
    size = 0
    while (
        len(lines) < MAX_LINES_ABOVE and size < 2 * MAX_LINE and (line := file.readline(MAX_LINE))
    ):
        lines.append(line)
        size += len(line)
    return lines


register_format("delimited text", read_text, suffixes=SUFFIXES)
