"""Crossbar readouts as sums over states, and conversion between analog and digital."""

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
    """A crossbar readout for B input vectors as sums over r: I_i = base + sum_j r_ij weights_j.

    The mixture is linear in r, and so is the variance of Johnson and shot noise of a row:
    noise_base + unit sum_j r_ij noise_weights_j.

    Attributes
    ----------
    base, noise_base
        (B,), A and A**2.
    weights
        (2 B, columns), float32: first those of the currents, A; then those of the noise, in units
        that float32 can hold. Only the first B without noise.
    unit
        Of the noise weights, A.
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
        """Make the sums for voltages ``batch`` (V), (B, columns); ``noise`` is linear in r."""
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
    """Quantise currents to 2**bits levels from ``i_min`` to ``i_max`` (A), clipped at both ends.

    A uniform mid-tread quantiser: the levels include both ends.

    Raises
    ------
    InvalidValueError
        The range is empty, or ``bits`` is not 1 … 24.
    """
    return _quantise(("i", "currents in A", i), ("i_min", i_min), ("i_max", i_max), bits)


def dac(v: npt.ArrayLike, v_min: float, v_max: float, bits: int) -> npt.NDArray[np.floating]:
    """Round voltages to the 2**bits levels of a converter from ``v_min`` to ``v_max`` (V).

    The levels include both ends; what is outside is clipped.

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
    """Nearest of 2**bits levels; arguments come with their names, for the errors."""
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
