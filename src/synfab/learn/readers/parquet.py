"""Parquet files of measurements; tables of points are streamed, one device at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from synfab.common.errors import CapacityError, FileFormatError, InvalidValueError
from synfab.common.types import Array
from synfab.io.limits import one_line_errors
from synfab.io.memory import available_memory, require_memory, size_text
from synfab.io.table_file import doubles, is_number, open_parquet
from synfab.learn.preparation import DeviceSweeps
from synfab.learn.readers.arrange import positions
from synfab.learn.readers.columns import Found, find_columns, need_sweeps
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.sweeps import Sweeps, device_sweeps

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Codes of the devices of some rows, and the function from a code to the device.
Devices: TypeAlias = tuple[Array, Callable[[object], object]]

STREAMED = ("device", "cycle", "voltage", "current")
BATCH, ROWS = 2**20, 2**14
TEXT = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")


def read_parquet(path: Path, columns: Columns = None) -> Sweeps | pd.DataFrame:
    """Return streamed loops from a table of points with a device column, or any other table whole.

    Raises
    ------
    InvalidValueError, FileFormatError
        Columns of voltage and current, or of features, are missing, or do not hold numbers.
    CapacityError
        A table that cannot be streamed does not fit into memory.
    """
    streamed = _streamed_columns(path, columns)
    if streamed is None:
        return _whole_table(path, columns)
    return Sweeps(lambda: _open_devices(path, streamed))


def _streamed_columns(path: Path, columns: Columns) -> Found | None:
    """Return the columns of a table of points; None for a table that cannot be streamed."""
    schema = open_parquet(path).schema_arrow
    found = find_columns(schema.names, positions(columns))
    if "r_hrs" in found or "voltage" not in found or "device" not in found:
        return None
    need_sweeps(found, schema.names)
    if "current" not in found:
        return None
    if str(schema.field(found["voltage"][0]).type).startswith(("list", "large_list", "fixed_size")):
        return None
    wanted: Found = {k: found[k] for k in STREAMED if k in found}
    for name, (column, _) in wanted.items():
        kind = str(schema.field(column).type)
        if not is_number(kind) and (name != "device" or not _is_name(kind)):
            raise FileFormatError(f"{column}: expected numbers, found {kind}")
    return wanted


def _is_name(kind: str) -> bool:
    return kind in TEXT or kind == "bool" or kind.startswith("dictionary")


def _whole_table(path: Path, columns: Columns) -> pd.DataFrame:
    """Read the columns of known quantities; raises ``CapacityError`` for too many rows."""
    import pyarrow as pa

    names = open_parquet(path).schema_arrow.names
    found = find_columns(names, positions(columns))
    if "r_hrs" not in found and "r_lrs" not in found:
        need_sweeps(found, names)
    in_order = columns is not None and not isinstance(columns, Mapping)
    used = names if in_order else [column for column, _ in found.values()]
    device = [found["device"][0]] if "device" in found else None
    file = open_parquet(path, len(used), read_dictionary=device)
    batches, held, most = [], 0, available_memory() // 4 or 2**62
    # Small batches, because the list in one row can have any length.
    for batch in file.iter_batches(batch_size=ROWS, columns=used):
        plain = [doubles(column) for column in batch.columns]
        batches.append(pa.RecordBatch.from_arrays(plain, names=batch.schema.names))
        held += batch.nbytes
        if held > most:
            raise CapacityError(f"table: {file.metadata.num_rows} rows do not fit into memory")
    if not batches:
        raise InvalidValueError("found a header and no rows")
    frame: pd.DataFrame = pa.Table.from_batches(batches).to_pandas(ignore_metadata=True)
    return frame


def _open_devices(path: Path, wanted: Found) -> Iterator[DeviceSweeps]:
    """Yield the devices in file order; the rows of each must be contiguous and fit into memory."""
    with one_line_errors(f"{path}: damaged"):
        yield from _devices(path, wanted)


def _devices(path: Path, wanted: Found) -> Iterator[DeviceSweeps]:
    held: list[dict[str, Array]] = []
    current: object = None
    done: set[object] = set()
    # Eight copies of a device are alive at the peak.
    points, most = 0, available_memory() // (8 * 8 * len(wanted)) or 2**62

    def flush() -> DeviceSweeps:
        data = {k: np.concatenate([part[k] for part in held]) for k in held[0]}
        return device_sweeps(str(current), data)

    for names, data in _batches(path, wanted):
        codes = names[0]
        edges = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1, [len(codes)]])
        for low, high in pairwise(edges):
            name = names[1](codes[low])
            if held and name != current:
                yield flush()
                done.add(current)
                held.clear()
                points = 0
            if name in done:
                raise InvalidValueError(
                    f"device: rows of device {str(name)[:80]} are not contiguous; sort the file "
                    "by device and cycle"
                )
            current, points = name, points + int(high - low)
            if points > most:
                raise CapacityError(
                    f"{path}: device {str(name)[:80]} has over {points} points; {most} fit into "
                    f"the {size_text(available_memory())} available"
                )
            held.append({k: x[low:high] for k, x in data.items()})
    if held:
        yield flush()


def _batches(path: Path, wanted: Found) -> Iterator[tuple[Devices, dict[str, Array]]]:
    """Yield the devices and the values of some rows at a time."""
    columns = [column for column, _ in wanted.values()]
    device = wanted["device"][0]
    require_memory(8 * 8 * BATCH * len(columns), str(path))
    # A long name that is repeated in every row is stored once in the file, and in memory.
    file = open_parquet(path, read_dictionary=[device])
    for batch in file.iter_batches(batch_size=BATCH, columns=columns):
        if batch.num_rows == 0:
            continue
        data = {k: _numbers(batch.column(column), scale) for k, (column, scale) in wanted.items()
                if k != "device"}  # fmt: skip
        yield _names(batch.column(device)), data


def _numbers(column: pa.Array, scale: float) -> Array:
    values: Array = doubles(column).to_numpy(zero_copy_only=False)
    return values * np.float32(scale) if scale != 1.0 else values


def _names(column: pa.Array) -> Devices:
    if not hasattr(column, "dictionary"):
        return column.to_numpy(zero_copy_only=False), lambda code: code
    words = column.dictionary.to_pylist()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, lambda code: words[int(code)] if code >= 0 else None


register_format("Parquet", read_parquet, suffixes=(".parquet", ".pq"), packages=("pyarrow",))
