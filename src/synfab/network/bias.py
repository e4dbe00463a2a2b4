"""What the ends of the lines are held at: voltages, floating lines, gate lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array, ArrayLike, GridShape, LineSelection, Mask


@dataclass(frozen=True, eq=False)
class Bias:
    """Drive of one network.

    Attributes
    ----------
    columns, rows
        (columns,) and (rows,) V at the ends of the lines.
    floating_columns, floating_rows
        Masks of the lines that nothing holds; their voltages do not matter.
    gates
        Mask of the gate lines that are on; None: all, or there are none.
    """

    columns: Array
    rows: Array
    floating_columns: Mask
    floating_rows: Mask
    gates: Mask | None

    @property
    def floats(self) -> bool:
        """Whether any line floats."""
        return bool(self.floating_columns.any() or self.floating_rows.any())

    def scaled(self, factor: float) -> Bias:
        """Return the same drive with all voltages times ``factor``."""
        return replace(self, columns=factor * self.columns, rows=factor * self.rows)

    def kept(self, index: Array) -> Bias:
        """Return the drive of the listed rows only; their gates are what ``index`` came from."""
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
    """Check and lay out a drive; see ``Bias``. None: no line floats.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        Voltages are not finite numbers, something has a wrong shape, or all lines float.
    """
    n_rows, n_columns = shape
    bias = Bias(
        columns=voltages("v", columns, n_columns),
        rows=voltages("row_voltage", rows, n_rows),
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


def voltages(name: str, value: ArrayLike, count: int) -> Array:
    """Return (count,) finite volts, float64, of one number or one per line."""
    array = checks.real_array(name, value)
    if array.shape not in {(), (count,)}:
        raise InvalidValueError(f"{name}: expected shape ({count},), found {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{name}: expected finite voltages, found NaN or infinity")
    return np.array(np.broadcast_to(array, (count,)), np.float64)


def lines(name: str, value: LineSelection | None, count: int) -> Mask:
    """Return a mask (count,) of a mask, of one or several line numbers or a slice; None: none."""
    mask = np.zeros(count, np.bool_)
    if value is None:
        return mask
    if isinstance(value, slice):
        try:
            mask[value] = True
        except Exception as error:  # ends of any type
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
