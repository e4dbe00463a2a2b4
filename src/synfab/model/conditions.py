"""Conditions of a measurement, such as the compliance current, that shift the features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import numbers
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray
from synfab.model.history import N_FEATURES

# Conditions and their units. Magnitudes: the compliance limits the half-wave of the SET, the stop
# voltage is the extreme of the half-wave of the RESET.
UNITS = {"compliance": "A", "stop_voltage": "V"}
SCALES = ("linear", "log", "reciprocal")
# Values beyond the measured range by this fraction are accepted: nominal values and detected ones
# differ by the tolerance of the instrument.
MARGIN = 0.05


@dataclass(frozen=True, eq=False)
class Conditions:
    """Linear effect of conditions on the means of the features, k conditions.

    The mean of feature j, on the scale of the model (y), is shifted by
    sum_i t_i c_ij with t = value - reference (linear), ln(value / reference) (log) or
    reference / value - 1 (reciprocal).

    Parameters
    ----------
    names
        Names of the conditions, among ``UNITS``.
    reference
        Values (A, V) at which the population of the model holds: medians of the measurement, (k,).
    ranges
        Smallest and largest measured values, (k, 2).
    scales
        ``"linear"``, ``"log"`` or ``"reciprocal"`` for each condition.
    coefficients
        Shift of y per unit of the transformed condition, (k, 4).
    """

    names: tuple[str, ...]
    reference: FloatArray
    ranges: FloatArray
    scales: tuple[str, ...]
    coefficients: FloatArray

    def __init__(
        self,
        names: tuple[str, ...],
        reference: npt.ArrayLike,
        ranges: npt.ArrayLike,
        scales: tuple[str, ...],
        coefficients: npt.ArrayLike,
    ) -> None:
        named = tuple(checks.choice("names", name, UNITS) for name in checks.texts("names", names))
        if not named or len(set(named)) < len(named):
            raise InvalidValueError("names: expected one or more different conditions")
        count = len(named)
        freeze(
            self,
            names=named,
            reference=numbers("reference", reference, (count,)),
            ranges=numbers("ranges", ranges, (count, 2)),
            scales=tuple(
                checks.choice("scales", scale, SCALES)
                for scale in checks.texts("scales", scales, count)
            ),
            coefficients=numbers("coefficients", coefficients, (count, N_FEATURES)),
        )
        if not ((self.ranges[:, 0] > 0.0) & (self.ranges[:, 0] <= self.reference)
                & (self.reference <= self.ranges[:, 1])).all():  # fmt: skip
            raise InvalidValueError("reference: expected 0 < lowest <= reference <= highest")

    def transformed(self, name: str, values: npt.ArrayLike) -> FloatArray:
        """Return t of values of a condition (A, V): 0 at the reference."""
        index = self.names.index(name)
        found = np.asarray(values, np.float64)
        return transform(self.scales[index], found, float(self.reference[index]))

    def shift(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """Return the shift of y at values (A, V), (…, 4); missing conditions are at reference."""
        total: FloatArray = np.zeros(N_FEATURES)
        for name, row in zip(self.names, self.coefficients, strict=True):
            if name in values:
                total = total + self.transformed(name, values[name])[..., None] * row
        return total

    def inside(self, name: str, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return where values (A, V) of a condition are in its measured range; NaN is not."""
        low, high = self.ranges[self.names.index(name)]
        found = np.asarray(values, np.float64)
        return np.asarray((found >= low * (1.0 - MARGIN)) & (found <= high * (1.0 + MARGIN)))

    def complete(self, values: Mapping[str, object]) -> dict[str, float]:
        """Return all conditions, those not in ``values`` at their reference.

        Raises
        ------
        InvalidValueError
            The model has no such condition, or a value is outside the measured range, where the
            effect is unknown.
        """
        found = dict(zip(self.names, map(float, self.reference), strict=True))
        for name, given in values.items():
            if name not in found:
                raise InvalidValueError(
                    f"condition: expected {' or '.join(self.names)}, found {checks.shown(name)}"
                )
            value = checks.positive(name, given)
            if not self.inside(name, value):
                low, high = self.ranges[self.names.index(name)]
                raise InvalidValueError(
                    f"{name}: expected {low:.4g} … {high:.4g} {UNITS[name]}, the range measured, "
                    f"found {value:g}"
                )
            found[name] = value
        return found

    def document(self) -> list[dict[str, object]]:
        """Return the conditions as JSON values."""
        return [
            {"name": name, "unit": UNITS[name], "reference": float(reference),
             "range": limits.tolist(), "scale": scale, "coefficients": row.tolist()}
            for name, reference, limits, scale, row in zip(
                self.names, self.reference, self.ranges, self.scales, self.coefficients, strict=True
            )
        ]  # fmt: skip

    def text(self) -> str:
        """Return the conditions as text that identifies them."""
        return json.dumps(self.document(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return self.text() == other.text() if isinstance(other, Conditions) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text())


def checked_conditions(given: Mapping[str, npt.ArrayLike], count: int) -> dict[str, FloatArray]:
    """Return values of conditions, (count,) each, in the order of ``UNITS``; NaN unless positive.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        A condition is unknown, or its values are not so many numbers.
    """
    for name in checks.mapping("conditions", given):
        checks.choice("conditions", name, UNITS)
    result = {}
    for name in (name for name in UNITS if name in given):
        values = np.abs(checks.real_array(name, given[name]).astype(np.float64))
        if values.shape != (count,):
            raise InvalidValueError(f"{name}: expected shape ({count},), found {values.shape}")
        result[name] = np.where(np.isfinite(values) & (values > 0.0), values, np.nan)
    return result


def limited(current: FloatArray, voltage: FloatArray, compliance: float) -> FloatArray:
    """Return currents (A) as an instrument with a compliance (A) in the half of the SET does."""
    return np.where(voltage < 0.0, np.maximum(current, -compliance), current)


def transform(scale: str, values: FloatArray, reference: float) -> FloatArray:
    """Return values of a condition on one of the ``SCALES``, 0 at the reference."""
    if scale == "linear":
        return values - reference
    ratio = values / reference
    return np.asarray(np.log(ratio) if scale == "log" else 1.0 / ratio - 1.0)
