"""Tables of what was read, written a pulse at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from synfab.errors import InvalidValueError

SCHEMA = pa.schema(
    [
        ("pulse", pa.uint32()),
        ("voltage", pa.float32()),
        ("cell", pa.uint64()),
        ("cycle", pa.uint32()),
        ("current", pa.float32()),
    ]
)
FORMATS = {".parquet": pq.ParquetWriter, ".csv": pc.CSVWriter}


def table_format(path: Path) -> str:
    """Return the ending of a table's name, or say which are allowed."""
    if path.suffix.lower() not in FORMATS:
        raise InvalidValueError(
            f"output: expected a name that ends in {', '.join(FORMATS)} or .zarr, "
            f"found {path.name!r}"
        )
    return path.suffix.lower()


class TableWriter:
    """Rows pulse, voltage (V), cell, cycle, current (A) in Parquet or CSV."""

    def __init__(self, path: Path, kind: str) -> None:
        self._file: Any = path.open("wb")
        self._writer: Any = FORMATS[kind](self._file, SCHEMA)

    def write(self, pulse: int, voltage: float, cycle: Any, current: Any) -> None:
        """Append the read of every cell after one pulse."""
        n = len(current)
        columns = [
            np.full(n, pulse, np.uint32),
            np.full(n, voltage, np.float32),
            np.arange(n, dtype=np.uint64),
            cycle.astype(np.uint32),
            current.astype(np.float32),
        ]
        self._writer.write_table(pa.table(columns, schema=SCHEMA))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._writer.close()
        finally:
            self._file.close()
