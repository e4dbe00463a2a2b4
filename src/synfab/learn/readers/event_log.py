"""Logs of SET and RESET pulses and read-outs, one event per line."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.common.errors import InvalidValueError
from synfab.io.table_file import MAX_LINE, check_head
from synfab.learn.readers.registry import TEXT, Columns, register_format
from synfab.learn.readers.text import MAX_LINES_ABOVE

if TYPE_CHECKING:
    import pandas as pd

EVENTS = frozenset(("READ", "SET", "RESET", "ENDURANCE", "FORM"))


def is_event_log(path: Path) -> bool:
    """Return True if the first line with text holds the name of an event as its own field."""
    with path.open(encoding="latin-1", newline="") as file:
        lines = islice(iter(lambda: file.readline(MAX_LINE), ""), MAX_LINES_ABOVE)
        first = next((line for line in lines if line.strip(" \t\r\n\u00ef\u00bb\u00bf")), "")
    return any(f",{event}," in first for event in EVENTS)


def read_event_log(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return one row per read-out from a log with the fields chip, time, address, operation, ….

    The field after READ is a resistance in ohm. A READ after a RESET gives r_hrs, one after a SET
    gives r_lrs; a read-out is complete with both. ``columns`` is not used.

    Raises
    ------
    InvalidValueError
        No device has a READ after a SET and a READ after a RESET.
    """
    import pandas as pd

    check_head(path, ",")
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
        raise InvalidValueError("the log has no READ after a SET and READ after a RESET")
    return pd.DataFrame(rows, columns=["device", "cycle", "r_hrs", "r_lrs"])


register_format("event log", read_event_log, suffixes=TEXT, recognises=is_event_log)
