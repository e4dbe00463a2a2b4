"""Tables with one column of current per sweep and a common voltage: V, I1, I2, I3."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from synfab.common.types import Array
from synfab.learn.features import numeric
from synfab.learn.preparation import loop_count
from synfab.learn.readers.columns import ALIASES, split_name
from synfab.learn.readers.units import scale_of
from synfab.learn.sweeps import Sweeps, one_record, sweeps_from_arrays

if TYPE_CHECKING:
    import pandas as pd

MIN_SWEEPS = 3  # two numbered columns are the channels of an instrument
NUMBERED = re.compile(r"^(.*?)[ #]*(\d+)$")


def sweeps_in_columns(frame: pd.DataFrame) -> Sweeps | None:
    """Return loops from numbered columns of current; None for a frame without such columns.

    Each column is a cycle of one device; if the shared voltage column contains several loops, each
    column is a device.
    """
    currents = _numbered(frame, "current")
    plain = [split_name(str(column))[0] for column in frame.columns]
    if len(currents) < MIN_SWEEPS or any(
        name in ALIASES["device"] | ALIASES["cycle"] | ALIASES["current"] - {"i1"} for name in plain
    ):
        return None
    i = np.array([currents[k] for k in sorted(currents)])
    if _numbered(frame, "voltage"):  # channels, each with a voltage
        return None
    shared = [c for c, name in zip(frame.columns, plain, strict=True) if name in ALIASES["voltage"]]
    if len(shared) != 1:
        return None
    v = _values(frame, shared[0], "voltage")
    if loop_count(v) < 2:
        return sweeps_from_arrays(v, i)
    names = [str(k) for k in sorted(currents)]
    return Sweeps(lambda: (one_record(name, v, row) for name, row in zip(names, i, strict=True)))


def _numbered(frame: pd.DataFrame, quantity: str) -> dict[int, Array]:
    found = {}
    for column in frame.columns:
        match = NUMBERED.match(split_name(str(column))[0])
        if match and match.group(1) in ALIASES[quantity]:
            found[int(match.group(2))] = _values(frame, column, quantity)
    return found


def _values(frame: pd.DataFrame, column: Hashable, quantity: str) -> Array:
    unit = split_name(str(column))[1]
    return scale_of(quantity, unit, str(column)) * numeric(frame[column], str(column))
