"""Arrangement of tables as instruments write them into one column per quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synfab.common.errors import InvalidValueError
from synfab.learn.readers.blocks import NOTES, TITLES, stacked, unique_names
from synfab.learn.readers.columns import find_columns, passed_over, quantity_of, split_name
from synfab.learn.readers.registry import Columns
from synfab.learn.readers.units import is_unit

if TYPE_CHECKING:
    import pandas as pd

# Two columns that name a device together.
ADDRESSES = (
    ("wordline", "bitline"),
    ("word line", "bit line"),
    ("wl", "bl"),
    ("row", "column"),
    ("row", "col"),
)
SKIPPED = "_"  # first character of a name for a column without meaning


def arranged(
    frame: pd.DataFrame, columns: Columns
) -> tuple[pd.DataFrame, Mapping[str, str], dict[str, object]]:
    """Return a table with one column per quantity, what of ``columns`` is left to apply, and notes.

    Names that occur twice are numbered, a column of units gives the unit of the one before it,
    blocks of columns are stacked, and two columns of an address become the device.

    Raises
    ------
    InvalidValueError
        There are no names, or as many as columns in a list of names.
    """
    notes: dict[str, object] = dict(frame.attrs.get(NOTES, {}))
    titles = frame.attrs.get(TITLES)
    frame = frame.rename(columns=str)  # a copy of the names only
    if isinstance(columns, Mapping):
        names = list(frame.columns)
        given = dict(columns)
    else:
        names = _in_order(list(frame.columns), columns)
        given = {}
    unique, renamed = unique_names(names)
    if renamed:
        notes["renamed_columns"] = renamed
    frame = frame.set_axis(unique, axis=1)
    frame = _with_units(frame)
    if titles:
        frame.attrs[TITLES] = dict(zip(frame.columns, titles, strict=False))
    if not given and (blocks := stacked(frame)) is not None:
        frame, notes["blocks"] = blocks
    if "device" not in given:
        frame = _with_address(frame, notes)
    if not given and (chosen := passed_over(frame.columns, find_columns(frame.columns))):
        notes["columns"] = chosen
    return frame, given, notes


def positions(columns: Columns) -> Mapping[str, str] | None:
    """Return names in order as a mapping of quantities to positions; a mapping is unchanged."""
    if columns is None or isinstance(columns, Mapping):
        return columns
    found: dict[str, str] = {}
    for k, name in enumerate(columns):
        if not name.startswith(SKIPPED):
            unit = split_name(name)[1]
            found[_quantity(name)] = f"{k} [{unit}]" if unit else str(k)
    return found


def _quantity(name: str) -> str:
    role = quantity_of(name)
    if role is None:
        raise InvalidValueError(
            f"columns: expected names of quantities, such as device, cycle, voltage [mV], current, "
            f"r_hrs, or _ for a column without meaning; found {name!r}"
        )
    return role[0]


def _in_order(names: list[str], columns: Sequence[str] | None) -> list[str]:
    """Return the names that replace those of the table, position by position."""
    if columns is None:
        if names == [str(k) for k in range(len(names))]:
            raise InvalidValueError(
                f"no header line, found {len(names)} columns of numbers; name them in their order, "
                "such as columns=['cycle', 'voltage', 'current [uA]'] "
                '(--columns "cycle, voltage, current [uA]"; _ skips a column)'
            )
        return names
    if len(columns) != len(names):
        raise InvalidValueError(
            f"columns: expected a name for each of the {len(names)} columns (_ skips one), found "
            f"{len(columns)}"
        )
    for name in columns:
        if not name.startswith(SKIPPED):
            _quantity(name)
    return list(columns)


def _with_units(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with units from columns such as Reading, Unit, Value, Unit."""
    names = list(frame.columns)
    for k in range(1, len(names)):
        if split_name(names[k])[0].split(" ")[0] not in ("unit", "units") or not len(frame):
            continue
        unit = str(frame.iloc[0, k]).strip()
        if is_unit(unit) and not split_name(names[k - 1])[1]:
            names[k - 1] = f"{names[k - 1]} [{unit}]"
    return frame.set_axis(names, axis=1)


def _with_address(frame: pd.DataFrame, notes: dict[str, object]) -> pd.DataFrame:
    """Return the table with a device from word line and bit line, or row and column."""
    plain = {split_name(name)[0]: name for name in frame.columns}
    if any((role := quantity_of(name)) and role[0] == "device" for name in frame.columns):
        return frame
    for pair in ADDRESSES:
        if all(word in plain for word in pair):
            first, second = (frame[plain[word]].map(_label) for word in pair)
            notes["devices"] = f"named by {plain[pair[0]]} and {plain[pair[1]]}"
            return frame.assign(device=first + "," + second)
    return frame


def _label(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip()
