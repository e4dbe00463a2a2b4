"""Rows that conduct nothing, because their gates are off, are left out of the network.

Between two rows that are left a column is a plain resistor, so nothing is lost: the voltages at the
crosspoints left out follow from those beside them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synfab.common.types import Array
from synfab.network.network import Solution
from synfab.network.wires import Wires


def distances(wires: Wires) -> Array:
    """Ohm along each column from the first crosspoint to every crosspoint, (rows, columns)."""
    rows, columns = wires.shape
    along = np.zeros((rows, columns))
    np.cumsum(1.0 / wires.column, axis=0, out=along[1:])
    return along


def keep_rows(wires: Wires, along: Array, index: Array) -> Wires:
    """Return the lines with the listed rows only; ``along`` are the wires' ``distances``."""
    kept = along[index]
    return Wires(
        column=1.0 / np.diff(kept, axis=0),
        row=wires.row[index],
        top=_in_series(wires.top, kept[0]),
        bottom=_in_series(wires.bottom, along[-1] - kept[-1]),
        left=wires.left[index],
        right=wires.right[index],
    )


def _in_series(conductance: Array, resistance: Array) -> Array:
    return np.asarray(conductance / (1.0 + conductance * resistance))


def restore_rows(
    found: Solution, wires: Wires | None, index: Array, v: Array, w: Array
) -> Solution:
    """Give a solution of the listed rows the maps of the whole crossbar, (rows, columns).

    ``wires`` are those of the whole crossbar, ``v`` and ``w`` the voltages at all lines' ends, V.
    """
    shape = (len(w), len(v))

    def spread(values: Array) -> Array:
        whole = np.zeros(shape)
        whole[index] = values
        return whole

    currents = np.zeros(len(w))
    currents[index] = found.currents
    # Without resistance a column has one voltage, which only a floating one owes to its cells.
    columns = np.tile(found.column_voltage[0], (len(w), 1))
    if wires is not None:
        columns = v + _between(wires, index, found.column_voltage - v)
    rows = np.tile(w[:, None], len(v))
    rows[index] = found.row_voltage
    return replace(
        found,
        currents=currents,
        cell_voltage=spread(found.cell_voltage),
        cell_current=spread(found.cell_current),
        column_voltage=columns,
        row_voltage=rows,
        slope=spread(found.slope),
    )


def _between(wires: Wires, index: Array, x: Array) -> Array:
    """Deviations from the drivers at all rows from those ``x`` at the listed ones.

    A driver is one more point, without deviation; an end that floats has that of its neighbour.
    """
    along = distances(wires)
    points, values = np.empty((len(index) + 2, x.shape[1])), np.empty((len(index) + 2, x.shape[1]))
    points[1:-1], values[1:-1] = along[index], x
    for end, conductance, line_end, sign in (
        (0, wires.top, along[0], -1.0),
        (-1, wires.bottom, along[-1], 1.0),
    ):
        driven = conductance > 0.0
        reach = 1.0 / np.where(driven, conductance, 1.0)
        points[end] = line_end + sign * reach
        values[end] = np.where(driven, 0.0, values[1 if end == 0 else -2])
    low = np.searchsorted(index, np.arange(len(along)), side="right")
    part = (along - points[low]) / (points[low + 1] - points[low])
    return np.asarray(values[low] + part * (values[low + 1] - values[low]))
