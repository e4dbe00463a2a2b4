"""Delimited text files of measurements, with or without a header, and logs of pulses."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synfab.errors import InvalidValueError
from synfab.learn.columns import ALIASES
from synfab.tablefile import LONGEST, check_head, read_csv

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, str] | None

EVENTS = frozenset(("READ", "SET", "RESET", "ENDURANCE", "FORM"))


def read_text(path: Path, columns: Columns) -> pd.DataFrame:
    """Read a delimited text file: tab, semicolon, comma or blanks; a headerless one needs names."""
    with path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
        lines = [line for line in (file.readline(LONGEST) for _ in range(20)) if line.strip()]
    if not lines:
        raise InvalidValueError("the file is empty")
    first = lines[0].rstrip("\r\n")
    if any(f",{event}," in first for event in EVENTS):
        check_head(path, ",")
        return _event_log(path)
    separator = next((mark for mark in ("\t", ";", ",") if mark in first), r"\s+")
    fields = [f for f in (first.split() if separator == r"\s+" else first.split(separator)) if f]
    options: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig"}
    if separator == r"\s+":
        options["engine"] = "python"
    if not all(_is_number(text) for text in fields):
        return read_csv(path, **options)
    names = list((columns or {}).keys())
    if names and all(name in ALIASES or name.startswith("_") for name in names):
        order = [str(value) for value in (columns or {}).values()]
        if order == [str(k) for k in range(len(names))] and len(names) == len(fields):
            return read_csv(path, header=None, names=names, **options)
    raise InvalidValueError(
        f"no header line, found {len(fields)} columns of numbers; name them in their order, "
        "such as columns=device,cycle,voltage,current"
    )


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


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
