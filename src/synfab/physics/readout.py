"""Crossbar readouts as weighted sums over states; A/D and D/A conversion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.checks import number
from synfab.common.errors import InvalidValueError
from synfab.model.conduction import Conduction
from synfab.physics.noise import NONE, ReadNoise


@dataclass(frozen=True, eq=False)
class Readout:
    """Crossbar readout of B input vectors as sums over r: I_i = base + sum_j r_ij weights_j.

    The current is linear in r, as is the variance of a row due to Johnson and shot noise:
    noise_base + unit sum_j r_ij noise_weights_j.

    Attributes
    ----------
    base, noise_base
        Constant terms, (B,), in A and A**2.
    weights
        (2 B, columns), float32: B rows for the currents (A), then B rows for the noise, divided
        by ``unit`` to stay within the float32 range. Without noise, only the first B rows.
    unit
        Unit of the noise weights (A).
    """

    base: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float32]
    noise_base: npt.NDArray[np.float64]
    unit: float

    @classmethod
    def of(
        cls,
        conduction: Conduction,
        batch: npt.NDArray[np.float64],
        noise: ReadNoise,
    ) -> Readout:
        """Return the readout for voltages ``batch`` (V), (B, columns); ``noise`` must be linear."""
        llrs, hhrs = (conduction.current(r, batch) for r in (0.0, 1.0))
        weights, base = hhrs - llrs, llrs.sum(axis=1)
        if noise == NONE:
            return cls(base, np.ascontiguousarray(weights, np.float32), base * 0.0, 0.0)
        unit = sum(noise.coefficients)
        zero, sign = batch == 0.0, np.sign(batch)
        factor = noise.per_ampere(np.where(zero, 1.0, batch))
        slope_llrs, slope_hhrs = conduction.slopes_at_zero
        noise_base = np.where(zero, noise.variance(slope_llrs, 0.0), factor * sign * llrs).sum(
            axis=1
        )
        noise_weights = np.where(
            zero, noise.variance(slope_hhrs - slope_llrs, 0.0), factor * sign * weights
        )
        both = np.concatenate([weights, noise_weights / unit])
        return cls(base, np.ascontiguousarray(both, np.float32), noise_base, unit)


def adc(i: npt.ArrayLike, i_min: float, i_max: float, bits: int) -> npt.NDArray[np.floating]:
    """Return currents quantised to 2**bits levels from ``i_min`` to ``i_max`` (A), and clipped.

    The quantiser is uniform (mid-tread); the levels include both limits.

    Raises
    ------
    InvalidValueError
        The range is empty, or ``bits`` is not 1 … 24.

    Examples
    --------
    >>> sf.adc(np.array([0.0, 4e-6, 2e-5]), 0.0, 1e-5, bits=2)
    array([0.00000000e+00, 3.33333333e-06, 1.00000000e-05])
    """
    return _quantise(("i", "currents in A", i), ("i_min", i_min), ("i_max", i_max), bits)


def dac(v: npt.ArrayLike, v_min: float, v_max: float, bits: int) -> npt.NDArray[np.floating]:
    """Return voltages rounded to the 2**bits levels of a DAC from ``v_min`` to ``v_max`` (V).

    The levels include both limits; values outside are clipped.

    Raises
    ------
    InvalidValueError
        The range is empty, or ``bits`` is not 1 … 24.
    """
    return _quantise(("v", "voltages in V", v), ("v_min", v_min), ("v_max", v_max), bits)


def _quantise(
    value: tuple[str, str, npt.ArrayLike],
    lowest: tuple[str, float],
    highest: tuple[str, float],
    bits: int,
) -> npt.NDArray[np.floating]:
    """Return the nearest of 2**bits levels; arguments include their names for error messages."""
    bits = checks.integer("bits", bits, 1, 24)
    low, high = number(*lowest), number(*highest)
    if not high > low:
        raise InvalidValueError(
            f"{highest[0]}: expected more than {lowest[0]}, found {low:g} … {high:g}"
        )
    name, what, given = value
    values = checks.real_array(name, given)
    if np.isnan(values).any():
        raise InvalidValueError(f"{name}: expected {what}, found NaN")
    top = 2**bits - 1
    step = (high - low) / top
    level = np.rint(np.clip((values.astype(np.float64) - low) / step, 0, top))
    kind = values.dtype if values.dtype.kind == "f" else np.float64
    return np.asarray(low + step * level, kind)
