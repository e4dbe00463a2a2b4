"""Weights as conductances of differential pairs.

A weight w is the difference of two cells: w = (G+ - G-) w_max / (g_max - g_min). For w > 0 the
cell G+ is above g_min by the magnitude of w and G- is at g_min; for w < 0 vice versa.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array
from synfab.model.cell_model import CellModel
from synfab.model.typical import typical_device
from synfab.programming.mapping import MAX_BITS

# Limits of the default window in units of the typical device's HRS and LRS conductance.
ABOVE_HRS, BELOW_LRS = 1.5, 0.8
AT_ONCE = 2**16  # weights


def default_window(model: CellModel) -> tuple[float, float]:
    """Return the conductances (g_min, g_max), S, that nearly every device of a technology reaches.

    1.5 times the HRS and 0.8 times the LRS of the typical device, in its median cycle.
    """
    checks.instance("model", model, CellModel)
    device = typical_device(model)
    return ABOVE_HRS * 10.0**-device.log_r_hrs, BELOW_LRS / device.r_lrs


def check_window(model: CellModel, window: object) -> tuple[float, float]:
    """Return (g_min, g_max) in S; None means ``default_window``."""
    if window is None:
        return default_window(model)
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise InvalidTypeError(
            f"g_window: expected (g_min, g_max) in S, found {checks.shown(window)}"
        )
    low, high = (checks.number("g_window", end) for end in window)
    top = model.conduction.g_llrs
    if not 0.0 < low < high <= top:
        raise InvalidValueError(
            f"g_window: expected 0 < g_min < g_max <= {top:.4g} S, found {low:.4g} … {high:.4g} S"
        )
    return low, high


def check_bits(name: str, bits: object) -> int | None:
    """Return a number of bits, or None."""
    return None if bits is None else checks.count(name, bits, MAX_BITS)


def largest_weights(weight: Array, scale: str, blocks: Sequence[slice] = ()) -> Array:
    """Return the largest magnitudes of weights (outputs, inputs); 1 instead of 0.

    ``scale`` ``"layer"``: of all, (1,); ``"output"``: of each output, (outputs,); ``"tile"``: of
    each output in each block of columns, (outputs, blocks).
    """
    if scale == "tile":
        each = np.stack([_largest(weight[:, block]) for block in blocks], axis=1)
    else:
        each = _largest(weight)
    check_weights(each)  # NaN and infinity are larger than all others
    largest = each.max(keepdims=True) if scale == "layer" else each
    return np.where(largest > 0.0, largest, 1.0)


def _largest(weight: Array) -> Array:
    """Return the largest magnitude in each row, without a copy of the weights."""
    return np.asarray(np.maximum(weight.max(axis=1), -weight.min(axis=1)), np.float64)


def check_weights(weight: Array) -> None:
    """Raise ``InvalidValueError`` unless all weights are finite."""
    if not np.isfinite(weight).all():
        raise InvalidValueError("weight: expected finite numbers, found NaN or infinity")


def row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of rows that fit into the caches; whole matrices would be moved many times."""
    step = max(1, AT_ONCE // max(1, shape[1]))
    for begin in range(0, shape[0], step):
        yield slice(begin, min(begin + step, shape[0]))


def normalised(weight: Array, w_max: Array) -> Array:
    """Return weights (outputs, inputs) in units of ``w_max``: -1 … 1.

    ``w_max`` is the weight that is mapped to the whole window, (outputs or 1, inputs or 1).

    Raises
    ------
    InvalidValueError
        A weight is not finite, or its magnitude is larger than ``w_max``.
    """
    check_weights(weight)
    part = weight.astype(np.float64) / w_max
    worst = float(np.abs(part).max(initial=0.0))
    if worst > 1.0 + 1e-6:
        raise InvalidValueError(
            f"weight: expected magnitudes up to weight_range, found {worst:.4g} times as much; "
            f"clip the weights, or leave weight_range to the layer"
        )
    return np.asarray(np.clip(part, -1.0, 1.0))


def conductances(levels: Array, window: tuple[float, float]) -> Array:
    """Return levels, 0 … 1, as conductances from one end of the window to the other, S."""
    low, high = window
    return np.asarray(low + (high - low) * levels)
