"""Tables with the same columns side by side: V, I, V, I, … or HRS, LRS, HRS, LRS.

A block is a sweep, a device or a cycle; the columns of all blocks become rows with a column for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from synfab.learn.features import numeric
from synfab.learn.preparation import loop_count
from synfab.learn.readers.columns import SWEEP_COLUMNS, UNIT, find_columns, quantity_of, split_name

if TYPE_CHECKING:
    import pandas as pd

    from synfab.common.types import Array

COUNTED = re.compile(r"^(.*?)[\s_#.-]*(\d+(?: \d+)*)$")
RESISTANCES = ("r_hrs", "r_lrs")
# A voltage that changes less than this, relative to that of the other blocks, is a terminal at a
# fixed voltage; a current that is the negative of another is the same current at another terminal.
SWEPT, OPPOSITE = 0.25, -0.95
# Key of ``frame.attrs``: the title above each column, which names the device of a block.
TITLES = "titles"
# Key of ``frame.attrs``: notes of the reader.
NOTES = "notes"


def unique_names(columns: Sequence[Hashable]) -> tuple[list[str], str]:
    """Return names of which none occurs twice (V, V 2, V 3, …), and what was renamed."""
    total, seen = Counter(map(str, columns)), Counter[str]()
    names: list[str] = []
    for name in map(str, columns):
        seen[name] += 1
        wanted = name if seen[name] == 1 else _numbered(name, seen[name])
        while wanted in names or (wanted != name and wanted in total):
            seen[name] += 1
            wanted = _numbered(name, seen[name])
        names.append(wanted)
    twice = [f"{name!r} ({count} times)" for name, count in total.items() if count > 1 and name]
    listed = ", ".join(twice)
    return names, f"columns that occur more than once are numbered: {listed}" if listed else ""


def _numbered(name: str, number: int) -> str:
    """Return a name with a number, which stands before the unit."""
    unit = UNIT.search(name)
    return f"{name[: unit.start()].rstrip()} {number} {unit[0]}" if unit else f"{name} {number}"


def stacked(frame: pd.DataFrame) -> tuple[pd.DataFrame, str] | None:
    """Return the blocks of a table below one another, and what a block was taken for.

    Returns
    -------
    tuple or None
        None for a table whose columns are not blocks.
    """
    import pandas as pd

    blocks = _blocks([str(column) for column in frame.columns])
    if blocks is None:
        return None
    groups, shared = blocks
    kinds = {quantity: name for quantity, (name, _) in find_columns(groups[0]).items()}
    loops = all(name in kinds for name in SWEEP_COLUMNS)
    if not loops and not all(name in kinds for name in RESISTANCES):
        return None
    if loops and not _are_sweeps(frame, groups, kinds):
        return None
    outside = {role[0] for name in shared if (role := quantity_of(name))}
    titles = _titles(frame, groups)
    meaning = "device" if titles else _meaning(frame, groups, kinds, {*outside, *kinds}, loops)
    if not meaning:
        return None  # channels, as device and cycle are known
    parts = []
    for k, group in enumerate(groups):
        part = frame[[*shared, *group.values()]].set_axis([*shared, *group], axis=1)
        values = part[[kinds[name] for name in (SWEEP_COLUMNS if loops else RESISTANCES)]]
        part = part[values.notna().any(axis=1)]
        parts.append(part.assign(**{meaning: titles[k] if titles else k + 1}))
    text = f"{len(groups)} blocks of columns ({', '.join(groups[0])}) are read as {meaning}s"
    return pd.concat(parts, ignore_index=True), text


def _blocks(columns: list[str]) -> tuple[list[dict[str, str]], list[str]] | None:
    """Return the columns of each block by their common names, and the columns of no block."""
    numbered: dict[str, dict[str, str]] = {}  # block to columns
    shared: list[str] = []
    for column in columns:
        plain, unit = split_name(column)
        match = COUNTED.match(plain)
        base, number = (match[1], match[2]) if match else (plain, "1")
        role = quantity_of(base)
        if role is None:
            shared.append(column)
            continue
        name = f"{base} [{unit}]" if unit else base
        if name in numbered.setdefault(number, {}):
            return None
        numbered[number][name] = column
    repeated = Counter(name for group in numbered.values() for name in group)
    alone = [name for name, count in repeated.items() if count == 1]
    for group in numbered.values():  # a cycle column in addition to the blocks
        shared += [group.pop(name) for name in alone if name in group]
    groups = [group for group in numbered.values() if group]
    if len(groups) < 2 or any(set(group) != set(groups[0]) for group in groups):
        return None
    return groups, [column for column in columns if column in shared]


def _are_sweeps(frame: pd.DataFrame, groups: list[dict[str, str]], kinds: dict[str, str]) -> bool:
    """Return True unless the blocks are channels of an instrument, measured at the same time."""
    v, i = ([numeric(frame[group[kinds[name]]], group[kinds[name]]) for group in groups]
            for name in SWEEP_COLUMNS)  # fmt: skip
    spans = [float(np.ptp(x[np.isfinite(x)])) if np.isfinite(x).any() else 0.0 for x in v]
    if min(spans) <= SWEPT * max(spans):
        return False
    both = np.isfinite(i[0]) & np.isfinite(i[1])
    x, y = i[0][both], i[1][both]
    size = float(np.sqrt((x @ x) * (y @ y)))
    return not (len(groups) == 2 and size > 0.0 and float(x @ y) < OPPOSITE * size)


def _titles(frame: pd.DataFrame, groups: list[dict[str, str]]) -> list[str]:
    """Return the title above each block, none unless all blocks have different ones."""
    above: dict[str, str] = frame.attrs.get(TITLES, {})
    found = [next((above[c] for c in group.values() if above.get(c)), "") for group in groups]
    return found if all(found) and len(set(found)) == len(found) else []


def _meaning(
    frame: pd.DataFrame,
    groups: list[dict[str, str]],
    kinds: dict[str, str],
    known: set[str],
    loops: bool,
) -> str:
    """Return what a block is: device or cycle; empty if columns say both."""
    missing = [name for name in ("device", "cycle") if name not in known]
    if len(missing) < 2:
        return missing[0] if missing else ""
    if not loops:
        return "device" if len(frame) > 1 else "cycle"
    first: Array = numeric(frame[groups[0][kinds["voltage"]]], kinds["voltage"])
    return "cycle" if loop_count(first) == 1 else "device"
