"""Scales of features: from y, in which devices have means and spreads, to ohm and volt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import real_array
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray

KINDS = ("linear", "log", "reciprocal")


@dataclass(frozen=True)
class Scale:
    """Relation of a feature to its value y on the scale of a model, limited to a range.

    The feature is y (``linear``), sign * (shift + 10**y) (``log``) or sign / y (``reciprocal``),
    and never leaves ``low`` … ``high``. On the last two scales it cannot change its sign.

    Parameters
    ----------
    kind
        ``"linear"``, ``"log"`` or ``"reciprocal"``.
    sign
        Sign of the feature, 1 or -1; linear: 1.
    shift
        Offset of a logarithmic scale, in the unit of the feature.
    low, high
        Range of the feature, in its unit (ohm or V).

    Raises
    ------
    InvalidValueError
        The range is empty, or contains values that the scale cannot have.

    Examples
    --------
    >>> float(sf.model.Scale("log").y(1e4))
    4.0
    """

    kind: str
    sign: float
    shift: float
    low: float
    high: float

    def __init__(
        self,
        kind: str = "linear",
        *,
        sign: SupportsFloat = 1.0,
        shift: SupportsFloat = 0.0,
        low: SupportsFloat = -math.inf,
        high: SupportsFloat = math.inf,
    ) -> None:
        freeze(
            self,
            kind=checks.choice("kind", kind, KINDS),
            sign=checks.number("sign", sign),
            shift=checks.number("shift", shift),
            low=_bound("low", low),
            high=_bound("high", high),
        )
        self._check()

    def _check(self) -> None:
        if self.sign not in (1.0, -1.0):
            raise InvalidValueError(f"sign: expected 1 or -1, found {self.sign:g}")
        if not self.low < self.high:
            raise InvalidValueError(f"low: expected low < high, found {self.low:g} … {self.high:g}")
        if self.kind == "linear" and self.sign != 1.0:
            raise InvalidValueError("sign: expected 1 on a linear scale, which keeps signs")
        if self.kind != "log" and self.shift != 0.0:
            raise InvalidValueError(f"shift: expected 0 on a {self.kind} scale")
        if (
            self.kind == "reciprocal"
            and not 0.0 < min(self.magnitudes) <= max(self.magnitudes) < math.inf
        ):
            raise InvalidValueError(
                f"low: a reciprocal scale needs a range of one sign without 0, "
                f"found {self.low:g} … {self.high:g}"
            )

    @property
    def magnitudes(self) -> tuple[float, float]:
        """Smallest and largest value of sign * feature."""
        return (self.low, self.high) if self.sign > 0.0 else (-self.high, -self.low)

    @property
    def is_plain(self) -> bool:
        """Whether the scale neither limits nor shifts the feature nor changes its sign."""
        return (
            self.kind != "reciprocal" and self.sign == 1.0 and self.shift == 0.0
            and math.isinf(self.low) and math.isinf(self.high)
        )  # fmt: skip

    def feature(self, y: npt.ArrayLike) -> FloatArray:
        """Return the feature (ohm or V) of a value y, float64."""
        value = real_array("y", y).astype(np.float64)
        with np.errstate(over="ignore"):
            if self.kind == "log":
                value = self.sign * (self.shift + 10.0**value)
            elif self.kind == "reciprocal":
                value = self.sign / np.maximum(value, 1.0 / self.magnitudes[1])
        return np.asarray(np.clip(value, self.low, self.high))

    def y(self, feature: npt.ArrayLike) -> FloatArray:
        """Return the value y of a feature (ohm or V), float64; NaN where there is none."""
        value = real_array("feature", feature).astype(np.float64)
        if self.kind == "linear":
            return value
        magnitude = self.sign * value - self.shift
        positive = np.where(magnitude > 0.0, magnitude, np.nan)
        return np.asarray(np.log10(positive) if self.kind == "log" else 1.0 / positive)

    def slope(self, y: npt.ArrayLike) -> FloatArray:
        """Return the magnitude of d feature / d y at y, float64, without the limits."""
        value = real_array("y", y).astype(np.float64)
        if self.kind == "log":
            return np.asarray(math.log(10.0) * 10.0**value)
        if self.kind == "reciprocal":
            return np.asarray(1.0 / value**2)
        return np.ones_like(value)


def _bound(name: str, value: SupportsFloat) -> float:
    """Return a limit, which may be infinite, but not NaN."""
    if isinstance(value, float) and math.isinf(value):
        return value
    return checks.number(name, value)


# Scales of the published model: log10 of R_HRS, the others as they are.
PUBLISHED = (Scale("log"), Scale(), Scale(), Scale())
