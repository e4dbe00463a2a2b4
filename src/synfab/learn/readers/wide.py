"""Tables with one column per sweep, such as V, I1, I2, I3 or V1, I1, V2, I2, V3, I3."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from synfab.common.types import Array
from synfab.learn.preparation import loop_count
from synfab.learn.readers.columns import ALIASES, scale_of, split_name
from synfab.learn.readers.tables import numeric
from synfab.learn.sweeps import Sweeps, one_record, sweeps_from_arrays

if TYPE_CHECKING:
    import pandas as pd

MIN_SWEEPS = 3  # two numbered columns are the channels of an instrument
# Largest difference of voltages between sweeps, relative to the largest voltage. Sweeps share one
# waveform; channels of an instrument do not.
TOLERANCE = 0.05
NUMBERED = re.compile(r"^(.*?)[ #]*(\d+)$")


def sweeps_in_columns(frame: pd.DataFrame) -> Sweeps | None:
    """Return loops from numbered columns of current; None for a frame without such columns.

    Each column is a cycle of one device; if the shared voltage column contains several loops, each
    column is a device.
    """
    columns = {name: _numbered(frame, name) for name in ("voltage", "current")}
    currents, voltages = columns["current"], columns["voltage"]
    plain = [split_name(str(column))[0] for column in frame.columns]
    if len(currents) < MIN_SWEEPS or any(
        name in ALIASES["device"] | ALIASES["cycle"] | ALIASES["current"] - {"i1"} for name in plain
    ):
        return None
    i = np.array([currents[k] for k in sorted(currents)])
    if set(currents) <= set(voltages):
        v = np.array([voltages[k] for k in sorted(currents)])
        if not np.nanmax(np.abs(v - v[0])) < TOLERANCE * np.nanmax(np.abs(v)):
            return None
        return sweeps_from_arrays(v, i)
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
