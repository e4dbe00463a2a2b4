"""Parquet and CSV tables of simulated reads, written one pulse at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import numpy as np

from synfab.common import extras
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array

COLUMNS = {
    "pulse": np.uint32,
    "voltage": np.float32,
    "cell": np.uint64,
    "cycle": np.uint32,
    "current": np.float32,
}
FORMATS = (".parquet", ".csv")
ROWS_AT_ONCE = 2**16  # text takes several times the memory of the numbers


class Writer(Protocol):
    """Writer of columns to an open file."""

    def write(self, columns: list[Array]) -> None:
        """Append rows, given as columns in the order of ``COLUMNS``."""

    def close(self) -> None:
        """Finish the file."""


class ParquetWriter:
    """Parquet file with one row group per call."""

    def __init__(self, file: BinaryIO) -> None:
        self._arrow = extras.require("pyarrow")
        kinds = [(name, self._arrow.from_numpy_dtype(kind)) for name, kind in COLUMNS.items()]
        self._schema = self._arrow.schema(kinds)
        self._writer = extras.require("pyarrow.parquet").ParquetWriter(file, self._schema)

    def write(self, columns: list[Array]) -> None:
        """Append rows, given as columns in the order of ``COLUMNS``."""
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class CsvWriter:
    """Comma-separated text; numbers have the fewest digits that restore their bits."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(",".join(f'"{name}"' for name in COLUMNS).encode() + b"\n")

    def write(self, columns: list[Array]) -> None:
        """Append rows, given as columns in the order of ``COLUMNS``."""
        for lines in csv_lines(columns):
            self._file.write(lines.encode())

    def close(self) -> None:
        """Do nothing: text has no footer."""


def csv_lines(columns: list[Array]) -> Iterator[str]:
    """Yield columns of numbers as text, many lines at a time."""
    for low in range(0, len(columns[0]), ROWS_AT_ONCE):
        parts = (_texts(column[low : low + ROWS_AT_ONCE]) for column in columns)
        yield "\n".join(map(",".join, zip(*parts, strict=True))) + "\n"


def _texts(values: Array) -> Iterable[str]:
    # NumPy formats float32 with the fewest digits; Python is faster for integers. A list, because
    # iterating over an array of text discards exceptions of signal handlers (NumPy 2.5).
    if values.dtype.kind in "iu":
        return map(str, values.tolist())
    texts: list[str] = values.astype(np.str_).tolist()
    return texts


def table_format(path: Path) -> str:
    """Return the suffix of a table's file name.

    Raises
    ------
    InvalidValueError
        The suffix is not that of a table.
    ToolError
        The package that writes such tables is not installed.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InvalidValueError(
            f"output: expected a name that ends in {', '.join(FORMATS)} or .zarr, "
            f"found {path.name!r}"
        )
    if kind == ".parquet":
        extras.check("pyarrow")
    return kind


class TableWriter:
    """Table with the columns pulse, voltage (V), cell, cycle and current (A) in Parquet or CSV."""

    def __init__(self, path: Path, kind: str) -> None:
        self._file: BinaryIO = path.open("wb")
        writer = ParquetWriter if kind == ".parquet" else CsvWriter
        self._writer: Writer = writer(self._file)

    def write(self, pulse: int, voltage: float, cycle: Array, current: Array) -> None:
        """Append the read of every cell after one pulse."""
        n = len(current)
        values = (np.full(n, pulse), np.full(n, voltage), np.arange(n), cycle, current)
        self._writer.write(
            [value.astype(kind) for value, kind in zip(values, COLUMNS.values(), strict=True)]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._writer.close()
        finally:
            self._file.close()
