"""Weights as conductances of differential pairs.

A weight w is the difference of two cells: w = (G+ - G-) w_max / (g_max - g_min). For w > 0 the
cell G+ is above g_min by the magnitude of w and G- is at g_min; for w < 0 vice versa.
"""

from __future__ import annotations

from collections.abc import Iterator

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


def largest_weights(weight: Array, scale: str) -> Array:
    """Return the largest magnitude of all weights (1,) or of each output (outputs,); 1 for 0."""
    each = np.maximum(weight.max(axis=1), -weight.min(axis=1)).astype(np.float64)
    check_weights(each)  # NaN and infinity are larger than all others
    largest = each if scale == "output" else each.max(keepdims=True)
    return np.where(largest > 0.0, largest, 1.0)


def check_weights(weight: Array) -> None:
    """Raise ``InvalidValueError`` unless all weights are finite."""
    if not np.isfinite(weight).all():
        raise InvalidValueError("weight: expected finite numbers, found NaN or infinity")


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of rows that fit into the caches; whole matrices would be moved many times."""
    step = max(1, AT_ONCE // max(1, shape[1]))
    for begin in range(0, shape[0], step):
        yield slice(begin, begin + step)


def pair_targets(
    weight: Array, w_max: Array, window: tuple[float, float], bits: int | None = None
) -> Array:
    """Return the conductances of the cells G+ and G- for weights, (2, outputs, inputs), S.

    Parameters
    ----------
    weight
        (outputs, inputs).
    w_max
        Weight that is mapped to the whole window, (1,) or (outputs,).
    window
        (g_min, g_max), S.
    bits
        A cell has 2**bits levels, from one end of the window to the other; None: any conductance.

    Raises
    ------
    InvalidValueError
        A weight is not finite, or its magnitude is larger than ``w_max``.
    """
    found = np.empty((2, *weight.shape))
    limits = np.broadcast_to(w_max[:, None], (len(weight), 1))
    worst = 0.0
    for rows in _blocks(weight.shape):
        part = weight[rows].astype(np.float64) / limits[rows]
        check_weights(part)
        worst = max(worst, float(np.abs(part).max(initial=0.0)))
        for levels, sign in zip(found[:, rows], (part, -part), strict=True):
            _conductances(sign, window, bits, levels)
    if worst > 1.0 + 1e-6:
        raise InvalidValueError(
            f"weight: expected magnitudes up to weight_range, found {worst:.4g} times as much; "
            f"clip the weights, or leave weight_range to the layer"
        )
    return found


def _conductances(part: Array, window: tuple[float, float], bits: int | None, out: Array) -> None:
    """Write the conductances of cells, S, for shares of the window; negative ones are 0."""
    low, high = window
    np.clip(part, 0.0, 1.0, out=out)
    if bits is not None:
        top = 2**bits - 1
        np.rint(out * top, out=out)
        out /= top
    out *= high - low
    out += low
