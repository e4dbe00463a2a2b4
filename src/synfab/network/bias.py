"""Bias conditions at the ends of the lines: voltages, floating lines, gate lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array, ArrayLike, GridShape, LineSelection, Mask


@dataclass(frozen=True, eq=False)
class Bias:
    """Bias conditions of one network.

    Attributes
    ----------
    columns, rows
        Voltages at the ends of the lines, V, (columns,) and (rows,).
    floating_columns, floating_rows
        Masks of the lines that are not driven; their voltages are ignored.
    gates
        Mask of the gate lines that are on; None: all, or no gate lines.
    """

    columns: Array
    rows: Array
    floating_columns: Mask
    floating_rows: Mask
    gates: Mask | None

    @property
    def floats(self) -> bool:
        """Whether any line is floating."""
        return bool(self.floating_columns.any() or self.floating_rows.any())

    def scaled(self, factor: float) -> Bias:
        """Return the same bias with all voltages multiplied by ``factor``."""
        return replace(self, columns=factor * self.columns, rows=factor * self.rows)

    def kept(self, index: Array) -> Bias:
        """Return the bias of the listed rows only, without gates, which determined ``index``."""
        return replace(
            self, rows=self.rows[index], floating_rows=self.floating_rows[index], gates=None
        )


def make_bias(
    shape: GridShape,
    columns: ArrayLike,
    rows: ArrayLike = 0.0,
    floating_columns: LineSelection | None = None,
    floating_rows: LineSelection | None = None,
    gates: Mask | None = None,
) -> Bias:
    """Return the checked bias conditions; see ``Bias``. None: no floating lines.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        A voltage is not a finite number, a shape is wrong, or all lines are floating.
    """
    n_rows, n_columns = shape
    bias = Bias(
        columns=line_voltages("v", columns, n_columns),
        rows=line_voltages("row_voltage", rows, n_rows),
        floating_columns=lines("floating_columns", floating_columns, n_columns),
        floating_rows=lines("floating_rows", floating_rows, n_rows),
        gates=gates,
    )
    if bias.floating_columns.all() and bias.floating_rows.all():
        raise InvalidValueError("floating_rows: at least one line must be driven")
    held = (
        np.where(bias.floating_columns, 0.0, bias.columns),
        np.where(bias.floating_rows, 0.0, bias.rows),
    )
    return replace(bias, columns=held[0], rows=held[1])


def line_voltages(name: str, value: ArrayLike, count: int) -> Array:
    """Return finite voltages (count,), float64, from one number or one per line."""
    array = checks.real_array(name, value)
    if array.shape not in {(), (count,)}:
        raise InvalidValueError(f"{name}: expected shape ({count},), found {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{name}: expected finite voltages, found NaN or infinity")
    return np.array(np.broadcast_to(array, (count,)), np.float64)


def lines(name: str, value: LineSelection | None, count: int) -> Mask:
    """Return a mask (count,) from a mask, line numbers or a slice; None: no line."""
    mask = np.zeros(count, np.bool_)
    if value is None:
        return mask
    if isinstance(value, slice):
        try:
            mask[value] = True
        except Exception as error:  # slice bounds may have any type
            pass_on(error)
            raise InvalidTypeError(f"{name}: expected a slice of integers") from None
        return mask
    array = checks.selection(name, value, "a mask, a slice or line numbers")
    if array.dtype == np.bool_:
        if array.shape != (count,):
            raise InvalidValueError(f"{name}: expected a mask ({count},), found {array.shape}")
        return array.copy()
    if array.size == 0:
        return mask
    if array.ndim > 1:
        raise InvalidValueError(
            f"{name}: expected a mask, a slice or line numbers, found shape {array.shape}"
        )
    if (array < -count).any() or (array >= count).any():
        raise InvalidValueError(
            f"{name}: expected line numbers 0 … {count - 1}, found {array.min()} … {array.max()}"
        )
    mask[array] = True
    return mask
