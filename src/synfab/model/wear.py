"""Optional parts of a model that change with the cycle number: wear-in and failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import numbers
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray

N_FEATURES = 4
MAX_TERMS = 8


@dataclass(frozen=True, eq=False)
class WearIn:
    """Decaying deviation of the first cycles from the stationary law of later ones.

    In cycle n, y = mu + sigma (spread(n) Gamma(x*_n) + shift(n)), where
    shift(n) = sum_j shift_j exp(-n / tau_j) and ln spread(n) = sum_j log_spread_j exp(-n / tau_j).

    Parameters
    ----------
    cycles
        tau_j, (J,), in cycles.
    shift
        Shifts of the four features, in standard deviations of a device, (J, 4).
    log_spread
        Natural logarithms of the factors of the four spreads, (J, 4).

    Raises
    ------
    InvalidValueError
        A time constant is not positive, or a shape is wrong.
    """

    cycles: FloatArray
    shift: FloatArray
    log_spread: FloatArray

    def __init__(
        self, cycles: npt.ArrayLike, shift: npt.ArrayLike, log_spread: npt.ArrayLike
    ) -> None:
        tau = numbers("cycles", cycles, (None,))
        shape = (len(tau), N_FEATURES)
        freeze(
            self,
            cycles=tau,
            shift=numbers("shift", shift, shape),
            log_spread=numbers("log_spread", log_spread, shape),
        )
        if not 1 <= len(tau) <= MAX_TERMS:
            raise InvalidValueError(f"cycles: expected 1 to {MAX_TERMS} terms, found {len(tau)}")
        if not (tau > 0.0).all():
            raise InvalidValueError("cycles: expected numbers above 0")

    def shift_at(self, n: npt.ArrayLike) -> FloatArray:
        """Return the shifts in cycles ``n``, (…, 4)."""
        return np.asarray(self._decay(n) @ self.shift)

    def spread_at(self, n: npt.ArrayLike) -> FloatArray:
        """Return the factors of the spreads in cycles ``n``, (…, 4)."""
        return np.asarray(np.exp(self._decay(n) @ self.log_spread))

    def _decay(self, n: npt.ArrayLike) -> FloatArray:
        cycle = checks.real_array("n", n).astype(np.float64)
        return np.asarray(np.exp(-np.maximum(cycle, 0.0)[..., None] / self.cycles))


@dataclass(frozen=True)
class Failure:
    """Failure of cells for good: the hazard per cycle is that of a Weibull distribution.

    A cell that fails in cycle n cannot leave the HRS of that cycle (its u_set is -inf) or the LRS
    (its u_reset is inf). Its cycle number does not increase any more, so it stays in this state.

    Parameters
    ----------
    scale
        Characteristic life, in cycles: 63 % of the cells that fail do so earlier.
    shape
        Exponent: below 1 the hazard falls over the cycles, above 1 it rises.
    share
        Share of the cells that fail at all, 0 to 1.
    stuck_hrs
        Share of the failures in the HRS, 0 to 1; the others are in the LRS.

    Raises
    ------
    InvalidValueError
        A number is out of range.
    """

    scale: float
    shape: float
    share: float
    stuck_hrs: float

    def __init__(
        self,
        scale: SupportsFloat,
        shape: SupportsFloat = 1.0,
        *,
        share: SupportsFloat = 1.0,
        stuck_hrs: SupportsFloat = 0.5,
    ) -> None:
        freeze(
            self,
            scale=checks.positive("scale", scale),
            shape=checks.positive("shape", shape),
            share=checks.number("share", share, minimum=0.0, maximum=1.0),
            stuck_hrs=checks.number("stuck_hrs", stuck_hrs, minimum=0.0, maximum=1.0),
        )

    def survival(self, n: npt.ArrayLike) -> FloatArray:
        """Return the share of the cells that work in cycles ``n``."""
        past = np.maximum(checks.real_array("n", n).astype(np.float64), 0.0) / self.scale
        return np.asarray(1.0 - self.share * -np.expm1(-(past**self.shape)))
