"""Where a text file's table begins: instruments write lines of their own above it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from synfab.learn.readers.columns import is_unit

MARKS = ("\t", ";", ",", r"\s+")
COMMENT = ("#", "%", "!")
LONGEST = 2**18  # characters of a line that is looked at
NO_NAMES = frozenset(("", "na", "n/a", "nan", "none", "null", "<na>", "-"))


@dataclass(frozen=True)
class Head:
    """The table's names, what separates its fields, and the line its numbers begin at."""

    names: list[str]
    separator: str
    first_row: int


def find_head(lines: Sequence[str]) -> Head | None:
    """Find the first line of names with as many values below it, or below a line of units.

    Parameters
    ----------
    lines
        The first ones of the file, blank ones included.
    """
    filled = [k for k, line in enumerate(lines) if line.strip()]
    for n, k in enumerate(filled[:-1]):
        for mark in MARKS:
            names = [name.strip() for name in fields_of(_uncommented(lines[k]), mark)]
            if len(names) < 2 or not all(map(_is_name, names)):
                continue
            below = fields_of(lines[filled[n + 1]], mark)
            if _are_values(below, names):
                return Head(names, mark, filled[n + 1])
            units = [text.strip().strip("[]()") for text in below]
            last = n + 2 < len(filled) and fields_of(lines[filled[n + 2]], mark)
            if last and _are_values(last, names) and _are_units(units, names):
                both = zip(names, units, strict=True)
                named = [f"{name} [{unit}]" if unit else name for name, unit in both]
                return Head(named, mark, filled[n + 2])
    return None


def comment_lines(lines: Sequence[str]) -> int:
    """Count the lines at the start that are comments, or blank."""
    for k, line in enumerate(lines):
        if line.strip() and not line.startswith(COMMENT):
            return k
    return len(lines)


def fields_of(line: str, separator: str) -> list[str]:
    """Split one line; quotes count where the separator is one character. A long line has none."""
    if len(line) > LONGEST:
        return []
    if len(separator) > 1:
        return line.split()
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    except csv.Error:
        return []


def is_number(text: str) -> bool:
    """Tell whether a field is a number, with a decimal point or comma."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    return text.lower() not in NO_NAMES and not is_number(text)


def _uncommented(line: str) -> str:
    return line.lstrip("#%! \t") if line.startswith(COMMENT) else line


def _are_values(fields: Sequence[str], names: Sequence[str]) -> bool:
    return len(fields) == len(names) and sum(map(is_number, fields)) >= 2


def _are_units(units: Sequence[str], names: Sequence[str]) -> bool:
    return len(units) == len(names) and any(units) and all(is_unit(u) or not u for u in units)
