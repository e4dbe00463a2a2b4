"""Network reduction: rows that do not conduct, because their gates are off, are omitted.

Between two remaining rows a column is a plain resistor, so the reduction is exact: voltages at the
omitted crosspoints are interpolated from those at the nearest remaining ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synfab.common.types import Array
from synfab.network.network import Solution
from synfab.network.wires import Wires


def distances(wires: Wires) -> Array:
    """Return the resistance (ohm) along each column from its first crosspoint, (rows, columns)."""
    rows, columns = wires.shape
    along = np.zeros((rows, columns))
    np.cumsum(1.0 / wires.column, axis=0, out=along[1:])
    return along


def keep_rows(wires: Wires, along: Array, index: Array) -> Wires:
    """Return the wires with the listed rows only; ``along``: ``distances`` of the wires."""
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
    """Return a solution of the listed rows, expanded to the whole crossbar, (rows, columns).

    ``wires`` belong to the whole crossbar; ``v`` and ``w`` are the voltages at all line ends, V.
    """
    shape = (len(w), len(v))

    def spread(values: Array) -> Array:
        whole = np.zeros(shape)
        whole[index] = values
        return whole

    currents = np.zeros(len(w))
    currents[index] = found.currents
    # With ideal wires a column has one voltage, which depends on the cells only if it floats.
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
    """Return deviations from the drivers at all rows, interpolated from ``x`` at the listed rows.

    A driver is an additional point of zero deviation; a floating end has that of its neighbour.
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
