"""Current of a cell frozen in its present state, as an expression for any SPICE."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from synfab.common.types import Array
from synfab.model.cell_model import CellModel


@lru_cache(maxsize=16)
def _curves(model: CellModel) -> tuple[Array, Array]:
    """Return coefficients of P_LLRS and P_HHRS - P_LLRS, equal in length, highest power first."""
    llrs, hhrs = model.conduction.padded
    return llrs, hhrs - llrs


def snapshot_terms(model: CellModel, a: str, b: str, r: float) -> tuple[str, str, str]:
    """Return I(r, U) between two nodes as a sum of expressions, ohmic outside trained voltages.

    With w = U clamped to the trained range, I = P(w) + (U - w) P(w)/w.
    """
    llrs, difference = _curves(model)
    mixed = llrs + r * difference
    low, high = model.conduction.voltage_range
    u = f"V({a},{b})"
    inside = f"min(max({u},{low!r}),{high!r})"
    polynomial = f"{mixed[0]:.17g}"
    for coefficient in mixed[1:-1]:
        polynomial = f"({polynomial})*{inside}{coefficient:+.17g}"
    above, below = (np.polyval(mixed, end) / end for end in (high, low))
    return (
        f"({polynomial})*{inside}",
        f"{above:.17g}*max({u}-{high!r},0)",
        f"{below:.17g}*min({u}-({low!r}),0)",
    )
