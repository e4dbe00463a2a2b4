"""Tables of what was read, written a pulse at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from synfab.common import extras
from synfab.common.errors import InvalidValueError

COLUMNS = {
    "pulse": np.uint32,
    "voltage": np.float32,
    "cell": np.uint64,
    "cycle": np.uint32,
    "current": np.float32,
}
FORMATS = (".parquet", ".csv")
ROWS_AT_ONCE = 2**16  # of text; it takes several times the memory of its numbers


class Writer(Protocol):
    """What writes columns to an open file."""

    def write(self, columns: list[npt.NDArray[Any]]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Write what ends the file."""


class ParquetWriter:
    """Columns as Parquet, a row group at a time."""

    def __init__(self, file: Any) -> None:
        self._arrow = extras.require("pyarrow")
        kinds = [(name, self._arrow.from_numpy_dtype(kind)) for name, kind in COLUMNS.items()]
        self._schema = self._arrow.schema(kinds)
        self._writer = extras.require("pyarrow.parquet").ParquetWriter(file, self._schema)

    def write(self, columns: list[npt.NDArray[Any]]) -> None:
        """Append rows."""
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class CsvWriter:
    """Columns as comma-separated text; numbers with as many digits as they need."""

    def __init__(self, file: Any) -> None:
        self._file = file
        file.write(",".join(f'"{name}"' for name in COLUMNS).encode() + b"\n")

    def write(self, columns: list[npt.NDArray[Any]]) -> None:
        """Append rows."""
        for lines in csv_lines(columns):
            self._file.write(lines.encode())

    def close(self) -> None:
        """Do nothing: text has no footer."""


def csv_lines(columns: list[npt.NDArray[Any]]) -> Iterator[str]:
    """Yield columns of numbers as lines of text, many at a time."""
    for low in range(0, len(columns[0]), ROWS_AT_ONCE):
        parts = (_texts(column[low : low + ROWS_AT_ONCE]) for column in columns)
        yield "\n".join(map(",".join, zip(*parts, strict=True))) + "\n"


def _texts(values: npt.NDArray[Any]) -> Iterable[str]:
    # NumPy knows the shortest text of a float32; of integers Python is faster. A list, because
    # iterating over an array of text loses what a signal handler raises (NumPy 2.5).
    if values.dtype.kind in "iu":
        return map(str, values.tolist())
    texts: list[str] = values.astype(np.str_).tolist()
    return texts


def table_format(path: Path) -> str:
    """Return the ending of a table's name, or say which are allowed.

    Raises
    ------
    InvalidValueError
        It is another one.
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
    """Rows pulse, voltage (V), cell, cycle, current (A) in Parquet or CSV."""

    def __init__(self, path: Path, kind: str) -> None:
        self._file: Any = path.open("wb")
        writer = ParquetWriter if kind == ".parquet" else CsvWriter
        self._writer: Writer = writer(self._file)

    def write(self, pulse: int, voltage: float, cycle: Any, current: Any) -> None:
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
