"""Write schemes: the voltages of all lines during a pulse on the selected lines."""

from __future__ import annotations

from typing import get_args

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, ArrayLike, GridShape, Mask, SchemeName
from synfab.network.bias import Bias, make_bias

SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)


def scheme_bias(
    shape: GridShape,
    rows: Mask,
    columns: Mask,
    voltage: ArrayLike,
    scheme: SchemeName,
    gates: Mask | None = None,
) -> Bias:
    """Return the bias conditions of a pulse on selected lines.

    Parameters
    ----------
    shape
        Rows and columns.
    rows, columns
        Masks of the selected lines.
    voltage
        Column minus row, V, one number or one per selected column. Unselected lines follow the
        column of the largest magnitude.
    scheme
        ``"V/2"``: unselected lines at 0 V, selected ones at plus and minus half the voltage.
        ``"V/3"``: a third of the voltage on every unselected cell. ``"ground"``: all lines but the
        selected columns at 0 V. ``"floating"``: unselected lines are not driven.
    gates
        Gate lines that are on; None: all, or no gate lines.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        The scheme is unknown, or a voltage is not finite.
    """
    checks.choice("scheme", scheme, SCHEMES)
    given = checks.real_array("voltage", voltage)
    count = int(columns.sum())
    if given.shape not in {(), (count,)} or not np.isfinite(given).all():
        raise InvalidValueError(
            f"voltage: expected one finite number, or one for each of {count} selected columns, "
            f"found shape {given.shape}"
        )
    each = np.broadcast_to(given, (count,)).astype(np.float64)
    strongest = float(each[np.argmax(np.abs(each))]) if count else 0.0
    v, w = _levels(rows, columns, each, strongest, scheme)
    floats = scheme == "floating"
    return make_bias(shape, v, w, ~columns if floats else None, ~rows if floats else None, gates)


def _levels(
    rows: Mask, columns: Mask, each: Array, strongest: float, scheme: SchemeName
) -> tuple[Array, Array]:
    """Return the voltages (V) of all columns and of all rows."""
    v, w = np.zeros(len(columns)), np.zeros(len(rows))
    if scheme == "V/2":
        w[rows] = -strongest / 2.0
        v[columns] = each - strongest / 2.0
    elif scheme == "V/3":
        v[:], w[~rows] = strongest / 3.0, 2.0 * strongest / 3.0
        v[columns] = each
    else:
        v[columns] = each
    return v, w
