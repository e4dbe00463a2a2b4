"""Delimited text files of measurements, with or without a header, and logs of pulses."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from synfab.common.errors import InvalidValueError
from synfab.io.table_file import LONGEST, check_head, read_csv
from synfab.learn.readers.columns import ALIASES
from synfab.learn.readers.preamble import COMMENT, MARKS, comment_lines, find_head, is_number

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, str] | None

MOST_ABOVE = 200  # lines that are searched for the names
EVENTS = frozenset(("READ", "SET", "RESET", "ENDURANCE", "FORM"))


def read_text(path: Path, columns: Columns) -> pd.DataFrame:
    """Read a delimited text file: tab, semicolon, comma or blanks; a headerless one needs names.

    Lines above the names are passed over. What is no UTF-8 is taken for Windows' Latin letters.
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
    if any(f",{event}," in filled[0] for event in EVENTS):
        check_head(path, ",")
        return _event_log(path)
    head = find_head(lines)
    if head is not None and (head.first_row > 1 or lines[0].startswith(COMMENT)):
        options = _options(head.separator, encoding, head.first_row)
        return read_csv(path, header=None, names=head.names, **options)
    above = comment_lines(lines)
    first = next((line for line in lines[above:] if line.strip()), filled[0])
    separator = next((mark for mark in MARKS[:-1] if mark in first), MARKS[-1])
    words = first.split() if separator == MARKS[-1] else first.split(separator)
    fields = [word for word in words if word.strip()]
    options = _options(separator, encoding, above)
    if not all(is_number(text) for text in fields):
        return read_csv(path, **options)
    names = list((columns or {}).keys())
    if names and all(name in ALIASES or name.startswith("_") for name in names):
        order = [str(value) for value in (columns or {}).values()]
        if order == [str(k) for k in range(len(names))] and len(names) == len(fields):
            return read_csv(path, header=None, names=names, **options)
    raise InvalidValueError(
        f"no header line, found {len(fields)} columns of numbers; name them in their order, "
        "such as columns=device,cycle,voltage,current (--columns device,cycle,voltage,current)"
    )


def _first_lines(file: TextIO) -> list[str]:
    lines: list[str] = []
    size = 0
    while len(lines) < MOST_ABOVE and size < 2 * LONGEST and (line := file.readline(LONGEST)):
        lines.append(line)
        size += len(line)
    return lines


def _options(separator: str, encoding: str, skiprows: int) -> dict[str, Any]:
    options: dict[str, Any] = {"sep": separator, "encoding": encoding, "skiprows": skiprows}
    if separator == MARKS[-1]:
        options["engine"] = "python"
    return options


def _event_log(path: Path) -> pd.DataFrame:
    """Read a log of pulses and read-outs: chip, time, address, operation, …; a READ has ohm next.

    A READ that follows a RESET gives r_hrs, one that follows a SET r_lrs; a read-out is complete
    with both.
    """
    import pandas as pd

    rows: list[tuple[str, int, float, float]] = []
    last: dict[str, str] = {}
    pending: dict[str, dict[str, float]] = {}
    count: dict[str, int] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for fields in csv.reader(file):
            if len(fields) < 5:
                continue
            address, event = fields[2], fields[3]
            if event in ("SET", "RESET"):
                last[address] = event
            elif event == "READ" and address in last:
                half = pending.setdefault(address, {})
                half["r_hrs" if last[address] == "RESET" else "r_lrs"] = float(fields[4])
                if len(half) == 2:
                    number = count.get(address, 0)
                    rows.append((address, number, half["r_hrs"], half["r_lrs"]))
                    count[address] = number + 1
                    pending[address] = {}
    if not rows:
        raise InvalidValueError("the log has no READ that follows a SET and one a RESET")
    return pd.DataFrame(rows, columns=["device", "cycle", "r_hrs", "r_lrs"])
