"""Pulse programs: sequences of voltages from an expression or a table."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

from synfab.common.errors import FileFormatError, InvalidValueError, SynfabError
from synfab.io.limits import one_line_errors
from synfab.io.table_file import check_head, csv_records, doubles, is_number, open_parquet

MAX_PULSES = 10_000_000
TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)|x\s*(?P<times>\d+)|(?P<number>[^\s,()x]+))"
)
GRAMMAR = 'allowed: voltages in V, "x N" to repeat, brackets to group, as in "-2, (0.9, -1) x 10"'


def parse_program(text: str) -> list[float]:
    """Return the voltages (V) of an expression such as ``"-2, 1.5 x100"`` or ``"(-2, 1.5) x 100"``.

    Raises
    ------
    InvalidValueError
        The expression is not valid; the message names the position.
    """
    groups: list[list[float]] = [[]]
    last: list[float] | None = None
    position, end = 0, len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        if match is None:
            raise _error(text, position)
        if match["open"] and last is None:
            groups.append([])
        elif match["number"] and last is None:
            last = [_voltage(match["number"], text, match.start("number"))]
        elif match["times"] and last is not None:
            times = int(match["times"][:9])
            if not 1 <= times * len(last) <= MAX_PULSES:
                raise InvalidValueError(f"program: expected 1 … {MAX_PULSES} pulses in a repeat")
            last = last * times
        elif match["comma"] and last is not None:
            groups[-1] += last
            last = None
            _check_count(sum(map(len, groups)))
        elif match["close"] and last is not None and len(groups) > 1:
            last = groups.pop() + last
        else:
            raise _error(text, position)
        position = match.end()
    if last is None or len(groups) > 1:
        raise _error(text, position)
    _check_count(len(groups[0]) + len(last))
    return groups[0] + last


def read_program(source: str) -> list[float]:
    """Return the voltages (V) of an expression, or of the column ``voltage`` in a table.

    A text that ends in .csv or .parquet is the path of a table.

    Raises
    ------
    InvalidValueError, FileFormatError
        The expression or the file is not valid.
    CapacityError
        The table does not fit into memory.
    """
    if not source.lower().endswith((".csv", ".parquet")):
        return parse_program(source)
    path = Path(source)
    column = _csv_column if path.suffix.lower() == ".csv" else _parquet_column
    try:
        with one_line_errors("cannot read the pulse program"):
            values = [float(value) for value in column(path)]
    except SynfabError as error:
        raise type(error)(f"{path}: {error}") from None
    _check_count(len(values))
    if not values or not all(math.isfinite(value) for value in values):
        raise FileFormatError(f"{path}: voltage: expected at least one pulse and finite voltages")
    return values


def _csv_column(path: Path) -> Sequence[float]:
    check_head(path, ",")
    records = csv_records(path)
    names = [name.strip() for name in next(records, [])]
    if "voltage" not in names:
        raise _no_column(names)
    column = names.index("voltage")
    values = array("d")
    for fields in records:
        if len(fields) > len(names):
            raise FileFormatError(f"expected {len(names)} columns, found {len(fields)} in one line")
        try:
            values.append(float(fields[column]) if column < len(fields) else math.nan)
        except ValueError:
            raise FileFormatError("voltage: expected numbers") from None
        _check_count(len(values))
    return values


def _parquet_column(path: Path) -> Sequence[float]:
    file = open_parquet(path)
    names = file.schema_arrow.names
    if "voltage" not in names:
        raise _no_column(names)
    if not is_number(str(file.schema_arrow.field("voltage").type)):
        raise FileFormatError("voltage: expected numbers")
    _check_count(file.metadata.num_rows)
    values: list[float] = doubles(file.read(columns=["voltage"]).column(0)).to_pylist()
    return values


def _no_column(names: Iterable[object]) -> FileFormatError:
    found = " ".join(", ".join(map(str, names)).split())
    shown = found if len(found) < 200 else f"{found[:200]} …"
    return FileFormatError(f"expected a column named voltage (V), found {shown}")


def _check_count(count: int) -> None:
    if count > MAX_PULSES:
        raise InvalidValueError(f"program: expected up to {MAX_PULSES} pulses, found {count}")


def _voltage(word: str, text: str, position: int) -> float:
    try:
        value = float(word)
    except ValueError:
        raise _error(text, position) from None
    if not math.isfinite(value):
        raise _error(text, position)
    return value


def _error(text: str, position: int) -> InvalidValueError:
    rest = text[position:].strip()[:20]
    where = f"at {rest!r}" if rest else "at the end"
    return InvalidValueError(f"program: cannot be parsed {where}; {GRAMMAR}")
