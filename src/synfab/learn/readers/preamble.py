"""Header of a table, below the lines that instruments write above it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from synfab.learn.readers.columns import UNIT, quantity_of
from synfab.learn.readers.units import is_unit

MARKS = ("\t", ";", ",", r"\s+")
COMMENT = ("#", "%", "!")
MAX_LINE = 2**18  # characters of a line that is parsed
NO_NAMES = frozenset(("na", "n/a", "nan", "none", "null", "<na>", "-"))
BLANKS = re.compile(r"\s{2,}")
NAME_AND_UNIT = re.compile(r"[^\s\[(]\S*(?:\s*[\[(][^\])]*[\])])?|\S+")
# First fields of a line above the names that holds the units of the columns after the first.
UNIT_LINES = frozenset(("y unit label", "vertical units", "units", "unit"))
# Names of columns at the end that rows leave out, and fields of a line of units without a unit.
LEFT_OUT = frozenset(("comment", "comments", "remarks", "note", "notes", ""))
NO_UNITS = frozenset(("", "-", "#", "index", "sequence", "none", "1"))
# Fields of a row by its number and a separator.
Fields = Callable[[int, str], list[str]]


@dataclass(frozen=True)
class Head:
    """Header of a table.

    Attributes
    ----------
    names
        Column names, which can be empty or occur twice; none for a table without a header.
    separator
        One character, or a regular expression for blanks.
    first_row
        Index of the first row of values.
    titles
        Texts above the names of blocks, by the position of their first column.
    """

    names: list[str]
    separator: str
    first_row: int
    titles: dict[int, str] = field(default_factory=dict)


def find_head(
    lines: Sequence[str], fields: Fields | None = None, marks: Sequence[str] = MARKS
) -> Head | None:
    """Return the header: the first line of names above values, or above units and values.

    Parameters
    ----------
    lines
        First lines of the file, including blank ones.
    fields
        Splits line k at a separator; default: as delimited text.
    marks
        Separators to try.

    Returns
    -------
    Head or None
        Without names if the first lines of several numbers have no header; None if there is no
        such line.
    """

    @cache
    def row(k: int, mark: str) -> list[str]:
        return _trimmed(fields(k, mark) if fields else fields_of(lines[k], mark))

    def head(k: int, mark: str) -> list[str]:
        if fields is not None:
            return row(k, mark)
        line = lines[k].lstrip("#%! \t") if lines[k].startswith(COMMENT) else lines[k]
        return _trimmed(fields_of(line, mark) if len(mark) == 1 else _names_by_blanks(line))

    filled = [k for k, line in enumerate(lines) if line.strip()]
    for n, k in enumerate(filled[:-1]):
        for mark in marks:
            names, after = head(k, mark), [row(one, mark) for one in filled[n + 1 : n + 3]]
            first, found = _names(names, after)
            if found:
                above = [head(one, mark) for one in filled[:n]]
                found, above = _higher(found, above)
                named = _with_unit_line(found, above)
                titles = _titles(named, above[-1] if above else [])
                return Head(named, mark, filled[n + 1 + first], titles)
    for n, k in enumerate(filled):
        for mark in marks:
            values = row(k, mark)
            below = row(filled[n + 1], mark) if n + 1 < len(filled) else values
            if len(values) >= 2 and len(below) == len(values) and all(map(_is_value, values)):
                return Head([], mark, k)
    return None


def _names(names: list[str], after: list[list[str]]) -> tuple[int, list[str]]:
    """Return which line after the names holds values, and the names; none if they are no header."""
    if len(names) < 2 or not any(map(_is_name, names)) or not after:
        return 0, []
    units = [text.strip("[]()") for text in after[0]]
    if len(after) == 2 and _are_units(units, names, after[1]):
        units += [""] * (len(names) - len(units))
        return 1, [_named(name, unit) for name, unit in zip(names, units, strict=True)]
    if all(map(_is_name_or_empty, names)) and _are_values(after[0], names):
        return 0, names
    return 0, []


def _higher(names: list[str], above: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Return names of quantities above texts such as comments, and what is above them."""
    if any(map(quantity_of, names)):
        return names, above
    for k in range(len(above) - 1, max(len(above) - 4, -1), -1):
        if len(above[k]) == len(names) and sum(map(bool, map(quantity_of, above[k]))) > 1:
            units = next((row for row in above[k + 1 :] if _only_units(row)), [])
            named = [_named(name, unit) for name, unit in zip(above[k], units, strict=False)]
            return named or above[k], above[:k]
    return names, above


def _only_units(row: list[str]) -> bool:
    return any(map(is_unit, row)) and all(
        is_unit(unit) or unit.lower() in NO_UNITS | UNIT_LINES for unit in row
    )


def _with_unit_line(names: list[str], above: list[list[str]]) -> list[str]:
    """Return the names with units from a line of units above them."""
    for line in above:
        first = line[0].lower().replace("_", " ").strip(" :") if line else ""
        if first in UNIT_LINES and any(map(is_unit, line[1:])):
            units = line[: len(names)] + [""] * (len(names) - len(line))
            return [_named(name, unit if k and is_unit(unit) else "")
                    for k, (name, unit) in enumerate(zip(names, units, strict=True))]  # fmt: skip
    return names


def _titles(names: list[str], above: list[str]) -> dict[int, str]:
    """Return the texts above repeated names, if there are several above the first names."""
    found = {k: text for k, text in enumerate(above) if text and not is_number(text)}
    if len(found) < 2 or len(above) > len(names) or len(set(found.values())) < len(found):
        return {}
    starts = {names[k] for k in found}
    return found if len(starts) == 1 and names.count(starts.pop()) == len(found) else {}


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
        return next(csv.reader([line.strip("\r\n")], delimiter=separator,
                               skipinitialspace=True), [])  # fmt: skip
    except csv.Error:
        return []


def _names_by_blanks(line: str) -> list[str]:
    """Return names that are separated by blanks, with their units; a name can contain blanks."""
    line = line.strip() if len(line) <= MAX_LINE else ""
    wide = BLANKS.split(line)
    return wide if len(wide) > 1 else NAME_AND_UNIT.findall(line)


def is_number(text: str) -> bool:
    """Return True if a field is a number with a decimal point or comma."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _trimmed(fields: list[str]) -> list[str]:
    """Return fields without blanks around them and without empty ones at the end."""
    fields = [text.strip() for text in fields]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _is_name(text: str) -> bool:
    return bool(text) and text.lower() not in NO_NAMES and not is_number(text)


def _is_name_or_empty(text: str) -> bool:
    return not text or _is_name(text)


def _is_value(text: str) -> bool:
    return is_number(text) or not text or text.lower() in NO_NAMES


def _are_values(fields: list[str], names: list[str]) -> bool:
    """Return True for a row of values; only comments can be missing at its end."""
    if sum(map(is_number, fields)) < 2 or len(fields) > len(names):
        return False
    return all(name.lower() in LEFT_OUT for name in names[len(fields) :])


def _are_units(units: list[str], names: list[str], below: list[str]) -> bool:
    """Return True for a line of units above values; scopes also write numbers into it."""
    known = [is_unit(unit) for unit in units]
    texts = [unit for unit, ok in zip(units, known, strict=True) if not ok]
    return (
        any(known)
        and len(units) <= len(names)
        and len(below) <= len(names)
        and all(unit.lower() in NO_UNITS or is_number(unit) for unit in texts)
        and 2 * sum(map(is_number, texts)) <= len(units)
        and sum(map(is_number, below)) >= 2
        and not any(map(is_unit, below))
    )


def _named(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if is_unit(unit) and not UNIT.search(name) else name
