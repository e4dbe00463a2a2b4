"""Columns of tables of reads over time: found by common names, converted to SI units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from synfab.common.errors import InvalidValueError
from synfab.learn.readers.columns import ALIASES, UNIT, listing, split_name
from synfab.learn.readers.units import (
    DURATIONS,
    TEMPERATURES,
    duration_scale,
    kelvin_offset,
    scale_of,
)

# Names in lower case, without units and punctuation.
NAMES: dict[str, frozenset[str]] = {
    **{name: ALIASES[name] for name in ("device", "voltage", "current")},
    "resistance": ALIASES["resistance"],
    "conductance": ALIASES["conductance"] | {"g meas", "g measured", "measured conductance"},
    "time": ALIASES["time"]
    | {"time since programming", "since programming", "delay", "wait", "wait time", "bake time"}
    | {"retention time"},
    "programmed": frozenset(
        [
            "programmed",
            "programmed conductance",
            "programmed g",
            "programmed value",
            "g programmed",
            "g prog",
            "g0",
            "g 0",
            "target",
            "target conductance",
            "target g",
            "g target",
            "initial conductance",
            "g init",
        ]
    ),
    "temperature": frozenset(
        ["temperature", "temp", "bake temperature", "bake temp", "t bake", "temperatur"]
    ),
}
SKIPPED = "_"  # first character of a name for a column without meaning
# time_h, temp_degC: a unit without brackets after a name.
BARE = re.compile(r"^(.*?)[\s_/]+([^\s_/]+)$")


class Column(NamedTuple):
    """A column of a table, and how its values become SI units: scale * value + offset."""

    name: str
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""


def find_read_columns(
    columns: Iterable[str], given: Mapping[str, str] | None = None
) -> dict[str, Column]:
    """Return the column of each quantity in a table of reads over time.

    ``given``: quantity to column, for columns with other names; a unit in brackets may follow.

    Raises
    ------
    InvalidValueError
        Two columns fit one quantity, a column in ``given`` is missing, or a unit is wrong.
    """
    names = [str(column) for column in columns]
    found: dict[str, Column] = {}
    for quantity, wanted in (given or {}).items():
        if quantity not in NAMES:
            raise InvalidValueError(
                f"columns: expected names among {', '.join(NAMES)}, found {quantity!r}"
            )
        exact = wanted if wanted in names else UNIT.sub("", wanted).strip()
        if exact not in names and exact.isdecimal() and int(exact[:6]) < len(names):
            exact = names[int(exact[:6])]
        if exact not in names:
            raise InvalidValueError(f"columns: no column {wanted!r}; found {listing(names)}")
        unit = _parts(wanted)[1] or _parts(exact)[1]
        found[quantity] = _column(quantity, exact, unit)
    taken = {column.name for column in found.values()}
    for name in names:
        if name in taken or name.startswith(SKIPPED) or (role := _quantity(name)) is None:
            continue
        quantity, unit = role
        if quantity in (given or {}):
            continue
        if quantity in found:
            raise InvalidValueError(
                f"{quantity}: both {found[quantity].name!r} and {name!r} fit; choose one with "
                f"columns={{{quantity!r}: …}}"
            )
        found[quantity] = _column(quantity, name, unit)
    return found


def in_order(names: Sequence[str], count: int) -> list[str]:
    """Return names that a caller gave for all columns in order, after checking them.

    Raises
    ------
    InvalidValueError
        There are too few or too many, or one is not the name of a quantity.
    """
    if len(names) != count:
        raise InvalidValueError(
            f"columns: expected a name for each of the {count} columns (_ skips one), found "
            f"{len(names)}"
        )
    for name in names:
        if not name.startswith(SKIPPED) and _quantity(name) is None:
            raise InvalidValueError(
                f"columns: expected names among {', '.join(NAMES)}, or _ for a column without "
                f"meaning; found {name!r}"
            )
    return [f"_{k}" if name.startswith(SKIPPED) else name for k, name in enumerate(names)]


def _quantity(name: str) -> tuple[str, str] | None:
    """Return the quantity that a column holds by its name, and its unit; None if unknown."""
    plain, unit = _parts(name)
    if plain == "t" and (name.strip()[:1] == "T" or unit.lower() in TEMPERATURES):
        return "temperature", unit
    found = next((quantity for quantity, words in NAMES.items() if plain in words), None)
    return None if found is None else (found, unit)


def _parts(name: str) -> tuple[str, str]:
    plain, unit = split_name(name)
    if unit or any(plain in words for words in NAMES.values()):
        return plain, unit
    bare = BARE.match(str(name).strip())
    if bare and bare.group(2).lower() in {*DURATIONS, *TEMPERATURES}:
        return split_name(bare.group(1))[0], bare.group(2)
    return plain, unit


def _column(quantity: str, name: str, unit: str) -> Column:
    if quantity == "time":
        return Column(name, duration_scale(unit, name), 0.0, unit)
    if quantity == "temperature":
        return Column(name, 1.0, kelvin_offset(unit or "K", name), unit)
    return Column(name, scale_of("conductance" if quantity == "programmed" else quantity, unit,
                                 name), 0.0, unit)  # fmt: skip
