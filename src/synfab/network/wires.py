"""Wires of a crossbar: segment resistances, and the ends that are driven and sensed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias, get_args

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, ArrayLike, DriveEnd, GridShape, SenseEnd

DRIVE_ENDS: tuple[DriveEnd, ...] = get_args(DriveEnd)
SENSE_ENDS: tuple[SenseEnd, ...] = get_args(SenseEnd)
# One value, or a pair (row lines, column lines).
Resistance: TypeAlias = ArrayLike | tuple[ArrayLike, ArrayLike]
# Replaces 0 ohm where other resistances are not zero, ohm; far below that of any wire.
MIN_RESISTANCE = 1e-6
# Conductance to ground at the end of a floating line, S, far below that of any cell; it defines the
# voltage of a line whose cells are all open.
LEAK = 1e-15


@dataclass(frozen=True, eq=False)
class Wires:
    """Conductances (S) of column and row lines, including the drivers and sense amplifiers.

    Attributes
    ----------
    column
        (rows - 1, columns): between adjacent crosspoints of a column line.
    row
        (rows, columns - 1): between adjacent crosspoints of a row line.
    top, bottom
        (columns,): from the driver to the first or last crosspoint; 0 where that end floats.
    left, right
        (rows,): from the first or last crosspoint to the sense amplifier; 0 where that end floats.
    """

    column: Array
    row: Array
    top: Array
    bottom: Array
    left: Array
    right: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.left), len(self.top)

    @cached_property
    def strongest(self) -> float:
        """Largest conductance of a segment, S."""
        lines = (self.column, self.top, self.bottom, self.row, self.left, self.right)
        return max(float(line.max(initial=0.0)) for line in lines)

    def floating(self, rows: Array, columns: Array) -> Wires:
        """Return the wires with the masked lines disconnected at their ends."""

        def let_go(conductance: Array, mask: Array, leak: float) -> Array:
            return np.where(mask, leak, conductance)

        return replace(
            self,
            top=let_go(self.top, columns, LEAK),
            bottom=let_go(self.bottom, columns, 0.0),
            left=let_go(self.left, rows, LEAK),
            right=let_go(self.right, rows, 0.0),
        )


def make_wires(
    shape: GridShape,
    wire_resistance: Resistance,
    source_resistance: ArrayLike = 0.0,
    sense_resistance: ArrayLike = 0.0,
    drive: DriveEnd = "top",
    sense: SenseEnd = "left",
) -> Wires | None:
    """Return the checked wires; None if every resistance is zero (ideal wires).

    Parameters
    ----------
    shape
        Rows and columns.
    wire_resistance
        Ohm per segment: one number, or a pair (row lines, column lines); each a number, one
        per line, or one per segment: (rows, columns) for rows, counted from the sensed end, and
        (rows, columns) for columns, counted from the driven end.
    source_resistance, sense_resistance
        Ohm, before the first segment of each column and after the last one of each row.
    drive, sense
        Which end of the columns is driven and of the rows is sensed, or ``"both"``.

    Raises
    ------
    InvalidValueError
        A resistance is negative, not finite or of a wrong shape, or an end is unknown.
    """
    rows, columns = shape
    checks.choice("drive", drive, DRIVE_ENDS)
    checks.choice("sense", sense, SENSE_ENDS)
    pair = wire_resistance if isinstance(wire_resistance, tuple) else (wire_resistance,) * 2
    if len(pair) != 2:
        raise InvalidValueError(
            f"wire_resistance: expected a number or a pair (rows, columns), found {len(pair)} items"
        )
    along_rows = _segments("wire_resistance of rows", pair[0], shape, lines=0)
    along_columns = _segments("wire_resistance of columns", pair[1], shape, lines=1)
    source = _per_line("source_resistance", source_resistance, columns)
    out = _per_line("sense_resistance", sense_resistance, rows)
    if not (along_rows.any() or along_columns.any() or source.any() or out.any()):
        return None
    # Segment k of a line lies before crosspoint k, seen from the end that is driven or sensed.
    down = along_columns if drive != "bottom" else along_columns[::-1]
    across = along_rows if sense != "right" else along_rows[:, ::-1]
    between_rows = down[1:] if drive != "bottom" else down[:-1]
    between_columns = across[:, 1:] if sense != "right" else across[:, :-1]
    driver = _conductance(source + along_columns[0])
    amplifier = _conductance(out + along_rows[:, 0])
    none_columns, none_rows = np.zeros(columns), np.zeros(rows)
    return Wires(
        column=np.ascontiguousarray(_conductance(between_rows)),
        row=np.ascontiguousarray(_conductance(between_columns)),
        top=driver if drive != "bottom" else none_columns,
        bottom=driver if drive != "top" else none_columns,
        left=amplifier if sense != "right" else none_rows,
        right=amplifier if sense != "left" else none_rows,
    )


def _conductance(resistance: Array) -> Array:
    return np.asarray(1.0 / np.maximum(resistance, MIN_RESISTANCE))


def _numbers(name: str, value: ArrayLike) -> Array:
    array = checks.real_array(name, value)
    if not np.isfinite(array).all() or (array < 0.0).any():
        raise InvalidValueError(f"{name}: expected finite ohm, 0 or above")
    return array.astype(np.float64)


def _segments(name: str, value: ArrayLike, shape: GridShape, lines: int) -> Array:
    array = _numbers(name, value)
    if array.ndim == 1:
        array = np.expand_dims(array, 1 - lines)
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        raise InvalidValueError(
            f"{name}: expected a number, {shape[lines]} lines or segments {shape}, "
            f"found {array.shape}"
        ) from None


def _per_line(name: str, value: ArrayLike, count: int) -> Array:
    array = _numbers(name, value)
    try:
        return np.array(np.broadcast_to(array, (count,)))
    except ValueError:
        raise InvalidValueError(
            f"{name}: expected a number or one per line ({count}), found {array.shape}"
        ) from None
