"""CSV and Parquet tables: how much they would become is asked before they are read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synfab.common import extras
from synfab.common.errors import FileFormatError
from synfab.io.memory import require_memory

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 16_384  # as many as a spreadsheet has
LONGEST = 2**20  # bytes of the line of names, and of the first one of values
BLANK = " \t\r\n\u00ef\u00bb\u00bf"  # also the three bytes of a byte order mark
PIECE = 2**24
# What a field costs while a table is read: pandas' splitter, then its column; Python objects.
FIELD_BYTES, OBJECT_BYTES = 24, 80
# Names of Arrow's types of numbers, but for decimals, which name their digits.
NUMBERS = frozenset(
    (
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *("halffloat", "float", "double"),
    )
)


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a delimited text file with pandas; short lines are filled up, so few bytes can be many.

    Raises
    ------
    FileFormatError
        It has more columns than any table, or longer names.
    CapacityError
        Its lines and columns would not fit into memory.
    OSError, ValueError
        What pandas says of it.
    """
    extras.check("pandas")
    import pandas as pd

    check_head(path, options.get("sep", ","))
    head = pd.read_csv(path, nrows=1, **options)
    columns = head.shape[1] + head.index.nlevels
    if columns > MOST_COLUMNS:
        raise FileFormatError(f"expected up to {MOST_COLUMNS} columns, found {columns}")
    each = OBJECT_BYTES if options.get("engine") == "python" else FIELD_BYTES
    require_memory(each * columns * count_lines(path), "table")
    result: pd.DataFrame = pd.read_csv(path, **options)
    return result


def check_head(path: Path, separator: str) -> None:
    """Look at the names and the first values, for pandas makes objects of every column at once.

    Raises
    ------
    FileFormatError
        They are longer, or more, than those of any table.
    """
    size = filled = 0

    def lines() -> Iterator[str]:
        nonlocal size
        while line := file.readline(LONGEST + 1):
            size += len(line)
            if size > LONGEST:
                raise FileFormatError(f"expected a first line of up to {LONGEST} bytes")
            yield line

    with path.open(encoding="latin-1") as file:  # a character is a byte
        records: Iterable[list[str]] = map(str.split, lines())
        if len(separator) == 1:
            records = csv.reader(lines(), delimiter=separator)  # names in quotes may hold lines
        for fields in records:
            if len(fields) > MOST_COLUMNS:
                raise FileFormatError(f"expected up to {MOST_COLUMNS} columns, found {len(fields)}")
            size = 0
            filled += any(field.strip(BLANK) for field in fields)
            if filled == 2:
                return


def csv_records(path: Path) -> Iterator[list[str]]:
    """Yield the records of a comma-separated file in UTF-8, empty lines left out.

    Raises
    ------
    FileFormatError
        A line is too long, or not CSV.
    OSError, UnicodeDecodeError
        The file cannot be read.
    """

    def lines() -> Iterator[str]:
        while line := file.readline(LONGEST + 1):
            if len(line) > LONGEST:
                raise FileFormatError(f"expected lines of up to {LONGEST} characters")
            yield line

    with path.open(encoding="utf-8-sig", newline="") as file:
        records = csv.reader(lines(), skipinitialspace=True)
        try:
            yield from (fields for fields in records if any(map(str.strip, fields)))
        except csv.Error as error:
            raise FileFormatError(f"line {records.line_num}: {error}") from None


def count_lines(path: Path) -> int:
    """Return the number of lines of a file, however they end."""
    lines = 1
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            lines += max(piece.count(b"\n"), piece.count(b"\r"))
    return lines


def is_number(kind: str) -> bool:
    """Tell whether Arrow's type of this name is one of numbers."""
    return kind in NUMBERS or kind.startswith("decimal")


def doubles(column: Any) -> Any:
    """Return a column of Arrow, decimals (a literal in SQL is one) as the nearest float64."""
    if not str(column.type).startswith("decimal"):
        return column
    return column.cast("string").cast("double")  # Arrow's own way between them rounds twice


def open_parquet(path: Path, columns: int = 0, read_dictionary: Any = None) -> Any:
    """Return pyarrow's ``ParquetFile``, if the rows that it claims would fit into memory.

    What is said of single columns is not looked at: pyarrow 26 ends the process when that is
    damaged (``RowGroupMetaData.column``).

    Parameters
    ----------
    columns
        How many will be read whole; 0: rows are streamed.
    read_dictionary
        Columns of text that are to be numbers, and each text once.

    Raises
    ------
    CapacityError
        The columns would not fit.
    OSError, ValueError, NotImplementedError
        What pyarrow says of the file.
    """
    pq = extras.require("pyarrow.parquet")
    file = pq.ParquetFile(path, read_dictionary=read_dictionary)
    require_memory(3 * FIELD_BYTES * file.metadata.num_rows * columns, "table")
    return file
