"""Pulse programs: which voltages are applied, one after the other."""

from __future__ import annotations

import math
import re
from pathlib import Path

from synfab.errors import FileFormatError, InvalidValueError

MAX_PULSES = 10_000_000
TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)|x\s*(?P<times>\d+)|(?P<number>[^\s,()x]+))"
)
GRAMMAR = 'allowed: voltages in V, "x N" to repeat, brackets to group, as in "-2, (0.9, -1) x 10"'


def parse_program(text: str) -> list[float]:
    """Voltages (V) of an expression such as ``"-2, 1.5 x100"`` or ``"(-2, 1.5) x 100"``.

    Raises
    ------
    InvalidValueError
        The expression is not understood; names the place.
    """
    groups: list[list[float]] = [[]]
    last: list[float] | None = None
    position = 0
    while text[position:].strip():
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
        elif match["close"] and last is not None and len(groups) > 1:
            last = groups.pop() + last
        else:
            raise _error(text, position)
        position = match.end()
    if last is None or len(groups) > 1:
        raise _error(text, position)
    return groups[0] + last


def read_program(source: str) -> list[float]:
    """Voltages of an expression, or of the column ``voltage`` of a CSV or Parquet file."""
    if not source.lower().endswith((".csv", ".parquet")):
        return parse_program(source)
    import pandas as pd

    path = Path(source)
    try:
        table = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FileFormatError(
            f"{path}: cannot read the program: {str(error).splitlines()[0]}"
        ) from None
    if "voltage" not in table:
        raise FileFormatError(
            f"{path}: expected a column named voltage (V), found {', '.join(map(str, table))}"
        )
    try:
        values = [float(value) for value in table["voltage"]]
    except (TypeError, ValueError):
        raise FileFormatError(f"{path}: voltage: expected numbers") from None
    if not values or not all(math.isfinite(value) for value in values):
        raise FileFormatError(f"{path}: voltage: expected at least one pulse and finite voltages")
    return values


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
    return InvalidValueError(f"program: not understood {where}; {GRAMMAR}")
