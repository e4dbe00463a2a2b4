"""Header of a table in a text file, below the lines that instruments write above it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from synfab.learn.readers.columns import is_unit

MARKS = ("\t", ";", ",", r"\s+")
COMMENT = ("#", "%", "!")
MAX_LINE = 2**18  # characters of a line that is parsed
NO_NAMES = frozenset(("", "na", "n/a", "nan", "none", "null", "<na>", "-"))


@dataclass(frozen=True)
class Head:
    """Column names, field separator (blanks: a regular expression) and index of the first row."""

    names: list[str]
    separator: str
    first_row: int


def find_head(lines: Sequence[str]) -> Head | None:
    """Return the header: the first line of names followed by as many values, or units and values.

    Parameters
    ----------
    lines
        First lines of the file, including blank ones.

    Returns
    -------
    Head or None
        None if there is no header.
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
    """Return the number of comments and blank lines at the start."""
    for k, line in enumerate(lines):
        if line.strip() and not line.startswith(COMMENT):
            return k
    return len(lines)


def fields_of(line: str, separator: str) -> list[str]:
    """Return the fields of a line, none for a line that is too long.

    Quotes are recognised if the separator is one character.
    """
    if len(line) > MAX_LINE:
        return []
    if len(separator) > 1:
        return line.split()
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    except csv.Error:
        return []


def is_number(text: str) -> bool:
    """Return True if a field is a number with a decimal point or comma."""
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
