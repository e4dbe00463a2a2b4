"""CSV and Parquet tables; their size in memory is checked before they are read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.common import extras
from synfab.common.errors import FileFormatError
from synfab.io.memory import require_memory

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_COLUMNS = 16_384  # the limit of spreadsheets
MAX_LINE = 2**20  # bytes of the header, and of the first line of values
BLANK = " \t\r\n\u00ef\u00bb\u00bf"  # white space and the bytes of a byte order mark in Latin-1
PIECE = 2**24
# Peak memory per field while a table is parsed: by pandas' C parser, and as Python objects.
FIELD_BYTES, OBJECT_BYTES = 24, 80
# Names of Arrow's numeric types. Decimals are missing: their names include their digits.
NUMBERS = frozenset(
    (
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *("halffloat", "float", "double"),
    )
)


@dataclass(frozen=True)
class CsvLayout:
    """How a delimited text file is to be parsed.

    Attributes
    ----------
    separator
        One character, or a regular expression, which needs pandas' slower Python parser.
    encoding
        As Python names it.
    skipped_rows
        Lines above the header, or above the first row where ``names`` replaces the header.
    names
        Column names; None: the first line holds them.
    """

    separator: str = ","
    encoding: str = "utf-8"
    skipped_rows: int = 0
    names: tuple[str, ...] | None = None


def read_csv(path: Path, layout: CsvLayout) -> pd.DataFrame:
    """Return the table in a delimited text file.

    pandas fills short lines up to the number of columns, so a small file can become a large table;
    its size is therefore estimated first.

    Raises
    ------
    FileFormatError
        It has too many columns, or a line that is too long.
    CapacityError
        The table does not fit into memory.
    OSError, ValueError
        pandas cannot read the file.
    """
    extras.check("pandas")
    import pandas as pd

    plain = len(layout.separator) == 1
    check_head(path, layout.separator)

    def parse(rows: int | None) -> pd.DataFrame:
        return pd.read_csv(
            path, sep=layout.separator, encoding=layout.encoding, skiprows=layout.skipped_rows,
            header="infer" if layout.names is None else None, names=layout.names,
            engine=None if plain else "python", nrows=rows,
        )  # fmt: skip

    head = parse(1)
    columns = head.shape[1] + head.index.nlevels
    if columns > MAX_COLUMNS:
        raise FileFormatError(f"expected up to {MAX_COLUMNS} columns, found {columns}")
    each = FIELD_BYTES if plain else OBJECT_BYTES
    require_memory(each * columns * count_lines(path), "table")
    return parse(None)


def check_head(path: Path, separator: str) -> None:
    """Check the size of the header and the first row, before pandas allocates every column.

    Raises
    ------
    FileFormatError
        They have too many fields, or one is too long.
    """
    size = filled = 0

    def lines() -> Iterator[str]:
        nonlocal size
        while line := file.readline(MAX_LINE + 1):
            size += len(line)
            if size > MAX_LINE:
                raise FileFormatError(f"expected a first line of up to {MAX_LINE} bytes")
            yield line

    with path.open(encoding="latin-1") as file:  # one character per byte
        records: Iterable[list[str]] = map(str.split, lines())
        if len(separator) == 1:
            records = csv.reader(
                lines(), delimiter=separator
            )  # quoted names can contain line breaks
        for fields in records:
            if len(fields) > MAX_COLUMNS:
                raise FileFormatError(f"expected up to {MAX_COLUMNS} columns, found {len(fields)}")
            size = 0
            filled += any(field.strip(BLANK) for field in fields)
            if filled == 2:
                return


def csv_records(path: Path) -> Iterator[list[str]]:
    """Yield the records of a comma-separated UTF-8 file without its empty lines.

    Raises
    ------
    FileFormatError
        A line is too long, or is not valid CSV.
    OSError, UnicodeDecodeError
        The file cannot be read.
    """

    def lines() -> Iterator[str]:
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise FileFormatError(f"expected lines of up to {MAX_LINE} characters")
            yield line

    with path.open(encoding="utf-8-sig", newline="") as file:
        records = csv.reader(lines(), skipinitialspace=True)
        try:
            yield from (fields for fields in records if any(map(str.strip, fields)))
        except csv.Error as error:
            raise FileFormatError(f"line {records.line_num}: {error}") from None


def count_lines(path: Path) -> int:
    """Return the number of lines of a file with line ends of any system."""
    lines = 1
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            lines += max(piece.count(b"\n"), piece.count(b"\r"))
    return lines


def is_number(kind: str) -> bool:
    """Return True if a type of Arrow, given by its name, is numeric."""
    return kind in NUMBERS or kind.startswith("decimal")


def doubles(column: pa.Array) -> pa.Array:
    """Return a column of Arrow with decimals (SQL literals are decimals) rounded to float64."""
    if not str(column.type).startswith("decimal"):
        return column
    return column.cast("string").cast("double")  # Arrow's direct cast rounds twice


def open_parquet(
    path: Path, columns: int = 0, read_dictionary: Sequence[str] | None = None
) -> pq.ParquetFile:
    """Return an opened Parquet file, if the rows stated in its metadata fit into memory.

    Metadata of single columns is not read: pyarrow 26 crashes where it is damaged
    (``RowGroupMetaData.column``).

    Parameters
    ----------
    columns
        How many columns will be read at once; 0: rows are streamed.
    read_dictionary
        Text columns to read as integer codes with a dictionary.

    Raises
    ------
    CapacityError
        The columns do not fit into memory.
    OSError, ValueError, NotImplementedError
        pyarrow cannot read the file.
    """
    pq = extras.require("pyarrow.parquet")
    file = pq.ParquetFile(path, read_dictionary=read_dictionary)
    require_memory(3 * FIELD_BYTES * file.metadata.num_rows * columns, "table")
    return file
