"""Checks that the arrays of a saved state are physically possible, which a checksum cannot show.

Each engine applies one of these checks to the arrays of its ``storage`` before it restores them.
The steepness of transition curves is not checked: ``rules.transition_state`` limits the state that
a wrong value leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from synfab.common.errors import FileFormatError
from synfab.common.types import Array
from synfab.engines.numba import layout
from synfab.physics.rules import MAX_CYCLE

# States beyond r_max are LRSs of negative resistance, which occur in the tails of a wide
# distribution; a conductance of 1e9 times that of the LRS never occurs.
MAX_STATE = 1e9
ROUNDING = 1.0 + 1e-6  # engines round r_max to float32 differently
# Rounding to float32 may raise the spectral radius of a stable reduced history slightly.
MAX_RADIUS = 1.001


def check_fit(arrays: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ``FileFormatError`` unless ``arrays`` match ``wanted`` in type and shape."""
    for name, array in arrays.items():
        mine = wanted[name]
        if array.shape != mine.shape or array.dtype != mine.dtype:
            raise FileFormatError(
                f"{name}: expected {mine.dtype} {mine.shape}, found {array.dtype} {array.shape}"
            )


def check_tiles(arrays: Mapping[str, Array], top: float) -> None:
    """Check the state of tiled cells (``layout``); ``top`` is the highest state of an HRS."""
    status, switch = arrays["status"], arrays["switch"]
    check_status(status)
    check_states(arrays["r"], (status & layout.IN_HRS) != 0, top)
    for row, name in ((layout.THRESHOLD, "threshold"), (layout.U_SET, "u_set")):
        check_finite(f"switch: {name}", np.ascontiguousarray(switch[:, row]))
    check_states(np.ascontiguousarray(switch[:, layout.R_HRS]), None, top, "switch: r_hrs")
    for name in ("history", "devices"):
        check_finite(name, arrays[name])


def check_compact(arrays: Mapping[str, Array]) -> None:
    """Check the state of compact cells, whose integers are valid for every value."""
    check_status(arrays["status"])
    for name in ("step", "innovation", "output"):
        check_finite(name, arrays[name])
    radius = float(np.abs(np.linalg.eigvals(arrays["step"])).max())
    if not radius < MAX_RADIUS:
        raise FileFormatError(f"step: expected a stable history, found spectral radius {radius:g}")


def check_rules(arrays: Mapping[str, Array], top: float) -> None:
    """Check the arrays of a ``rules.CellState`` and the device parameters."""
    flags = [arrays[name].view(np.uint8) for name in ("in_hrs", "in_lrs")]
    if any((flag > 1).any() for flag in flags) or (flags[0] & flags[1]).any():
        raise FileFormatError("in_hrs, in_lrs: expected 0 or 1, and one of the two at most")
    check_states(arrays["r"], arrays["in_hrs"], top)
    cycle = arrays["cycle"]
    if cycle.size and not 0 <= cycle.min() <= cycle.max() <= MAX_CYCLE:
        raise FileFormatError(
            f"cycle: expected 0 … {MAX_CYCLE}, found {cycle.min()} … {cycle.max()}"
        )
    for name in ("threshold", "block", "parameters"):
        check_finite(name, arrays[name])


def check_status(status: Array) -> None:
    """Raise ``FileFormatError`` if a cell is in the HRS and in the LRS at once."""
    both = layout.IN_HRS | layout.IN_LRS
    if ((status & both) == both).any():
        raise FileFormatError("status: a cell is in its HRS and in its LRS at once")


def check_states(r: Array, in_hrs: Array | None, top: float, name: str = "r") -> None:
    """Raise ``FileFormatError`` if a mixing state is not finite or not passive in the HRS.

    ``in_hrs`` is the mask of the cells in their HRS; None: all cells.
    """
    check_finite(name, r)
    # Masking costs ten times as much as all other checks, and few states are this high.
    highest = np.max(r, initial=-MAX_STATE)
    if highest > top * ROUNDING and in_hrs is not None:
        highest = np.max(r[in_hrs], initial=-MAX_STATE)
    if highest > top * ROUNDING or np.min(r) < -MAX_STATE or np.max(r) > MAX_STATE:
        raise FileFormatError(
            f"{name}: expected states up to {top:g} in the HRS and {-MAX_STATE:g} … "
            f"{MAX_STATE:g} elsewhere, found {float(np.min(r)):g} … {float(np.max(r)):g}"
        )


def check_finite(name: str, array: Array) -> None:
    """Raise ``FileFormatError`` if an array contains NaN or infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(array)  # finite only if all elements are, and faster than testing each
    if not np.isfinite(total) and not np.isfinite(array).all():
        raise FileFormatError(f"{name}: expected finite numbers, found NaN or infinity")
