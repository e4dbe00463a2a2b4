"""Tables of measurements as pandas frames: points, loops in rows, sweeps in columns, features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.learn.features import AssumedVoltage, FeatureTable, numeric, read_frame
from synfab.learn.preparation import DeviceSweeps
from synfab.learn.readers.arrange import arranged
from synfab.learn.readers.columns import (
    Found,
    check_sweep_units,
    find_columns,
    need_sweeps,
    with_current,
)
from synfab.learn.readers.labels import counted, grouped
from synfab.learn.readers.pulse_trains import after_pulses, read_outs
from synfab.learn.readers.registry import Columns
from synfab.learn.readers.wide import sweeps_in_columns
from synfab.learn.sweeps import Sweeps, device_sweeps

if TYPE_CHECKING:
    import pandas as pd

Indices = npt.NDArray[np.intp]


def from_frame(
    frame: pd.DataFrame, columns: Columns, u_set: AssumedVoltage, u_reset: AssumedVoltage
) -> Sweeps | FeatureTable:
    """Return the features or loops in a frame; the names of its columns decide which.

    Raises
    ------
    InvalidValueError
        Rows or columns are missing, or values cannot be right.
    """
    if len(frame) == 0:
        raise InvalidValueError("found a header and no rows")
    frame, given, notes = arranged(frame, columns)
    read = _contents(frame, given, u_set, u_reset)
    return replace(read, notes={**notes, **read.notes})


def _contents(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    u_set: AssumedVoltage,
    u_reset: AssumedVoltage,
) -> Sweeps | FeatureTable:
    if not columns and (wide := sweeps_in_columns(frame)) is not None:
        return wide
    found = find_columns(frame.columns, columns)
    if "r_hrs" in found or "r_lrs" in found:
        return read_frame(frame, columns, u_set=u_set, u_reset=u_reset)
    need_sweeps(found, frame.columns)
    cells = frame[found["voltage"][0]].iloc[0]
    if np.ndim(cells) == 1 and not isinstance(cells, (str, bytes)):
        return _loop_rows(frame, found)
    data = {name: scale * numeric(frame[column], column)
            for name, (column, scale) in found.items()
            if name not in ("device", "time")}  # fmt: skip
    names, rows = _device_rows(frame, found)
    if (pulses := _pulse_train(frame, data, names, rows, u_set, u_reset)) is not None:
        return pulses
    points = with_current(data)
    check_sweep_units(points["voltage"], points["current"])

    def devices() -> Iterator[DeviceSweeps]:
        for name, mine in zip(names, rows, strict=True):
            yield device_sweeps(name or "0", {k: x[mine] for k, x in points.items()})

    return Sweeps(devices)


def _pulse_train(
    frame: pd.DataFrame,
    data: dict[str, Array],
    names: list[str],
    rows: list[Indices],
    u_set: AssumedVoltage,
    u_reset: AssumedVoltage,
) -> FeatureTable | None:
    """Return the resistances between pulses; None if the first device was swept."""
    import pandas as pd

    parts: list[pd.DataFrame] = []
    text = ""
    for name, mine in zip(names, rows, strict=True):
        one = {quantity: values[mine] for quantity, values in data.items()}
        v = one["voltage"]
        if "current" in one:
            found = read_outs(v, one["current"])
        elif "resistance" in one:
            found = after_pulses(frame.iloc[mine], v, one["resistance"])
        else:
            return None
        if found is None and not parts:
            return None
        if found is None:
            raise InvalidValueError(f"device {name}: expected pulses and read-outs, as of others")
        text = text or found.text
        parts.append(pd.DataFrame({"device": name, "r_hrs": found.r_hrs, "r_lrs": found.r_lrs}))
    if u_set is None or u_reset is None:
        raise InvalidValueError(
            f"found {text}, which do not tell the switching voltages: pass u_set=V and u_reset=V, "
            "or (mean, standard deviation) (--u-set V --u-reset V, or mean,deviation)"
        )
    notes = {"pulses": text}
    return read_frame(pd.concat(parts), u_set=u_set, u_reset=u_reset, notes=notes)


def _device_rows(frame: pd.DataFrame, found: Found) -> tuple[list[str], list[Indices]]:
    """Return the device names, ordered by their first rows, and the row numbers of each."""
    if "device" not in found:
        return ["0"], [np.arange(len(frame))]
    return grouped(frame[found["device"][0]])


def _loop_rows(frame: pd.DataFrame, found: Found) -> Sweeps:
    """Return loops from a frame with one loop per row, whose values are arrays."""
    v_column, v_scale = found["voltage"]
    i_column, i_scale = found["current"]
    names, rows = _device_rows(frame, found)
    if "cycle" in found:
        cycles = np.asarray(frame[found["cycle"][0]], np.int64)
    else:
        cycles = counted(rows, len(frame))

    def devices() -> Iterator[DeviceSweeps]:
        for name, unsorted in zip(names, rows, strict=True):
            mine = unsorted[np.argsort(cycles[unsorted], kind="stable")]
            v = [np.asarray(frame[v_column].iloc[k], np.float64) * v_scale for k in mine]
            i = [np.asarray(frame[i_column].iloc[k], np.float64) * i_scale for k in mine]
            offsets = np.concatenate([[0], np.cumsum([len(x) for x in v])])
            if [len(x) for x in i] != [len(x) for x in v]:
                raise InvalidValueError(f"device {name}: voltage and current differ in length")
            yield DeviceSweeps(str(name), cycles[mine], offsets, np.concatenate(v),
                               np.concatenate(i))  # fmt: skip

    return Sweeps(devices)
