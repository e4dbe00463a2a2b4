"""Reading cells: noise, and conversion between analog and digital."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.checks import number
from synfab.common.errors import InvalidValueError
from synfab.model.conduction import Conduction

BOLTZMANN = 1.380649e-23  # J/K
ELEMENTARY_CHARGE = 1.602176634e-19  # C
TEMPERATURE = 300.0  # K


def noise_factors(bandwidth: float) -> tuple[float, float]:
    """Factors of the noise variance: 4 k_B T BW of |I/U| (Johnson), 2 e BW of |I| (shot).

    At U = 0 there is no current and no shot noise; Johnson noise has dI/dU instead of |I/U|.
    """
    width = number("bandwidth", bandwidth, minimum=0.0)
    return 4.0 * BOLTZMANN * TEMPERATURE * width, 2.0 * ELEMENTARY_CHARGE * width


@dataclass(frozen=True, eq=False)
class Readout:
    """A crossbar readout for B input vectors as sums over r: I_i = base + sum_j r_ij weights_j.

    The mixture is linear in r, and so is the noise variance of a row:
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

    base: npt.NDArray[Any]
    weights: npt.NDArray[Any]
    noise_base: npt.NDArray[Any]
    unit: float

    @classmethod
    def of(
        cls,
        conduction: Conduction,
        batch: npt.NDArray[Any],
        factors: tuple[float, float] | None,
    ) -> Readout:
        """Make the sums for voltages ``batch`` (V), (B, columns), with ``noise_factors`` if any."""
        llrs, hhrs = (conduction.current(r, batch) for r in (0.0, 1.0))
        weights, base = hhrs - llrs, llrs.sum(axis=1)
        if factors is None:
            return cls(base, np.ascontiguousarray(weights, np.float32), base * 0.0, 0.0)
        johnson, shot = factors
        unit = johnson + shot or 1.0
        zero, sign = batch == 0.0, np.sign(batch)
        factor = johnson / np.abs(np.where(zero, 1.0, batch)) + shot
        slope_llrs, slope_hhrs = conduction.slopes_at_zero
        noise_base = np.where(zero, johnson * slope_llrs, factor * sign * llrs).sum(axis=1)
        noise_weights = np.where(zero, johnson * (slope_hhrs - slope_llrs), factor * sign * weights)
        both = np.concatenate([weights, noise_weights / unit])
        return cls(base, np.ascontiguousarray(both, np.float32), noise_base, unit)


def adc(i: npt.ArrayLike, i_min: float, i_max: float, bits: int) -> npt.NDArray[Any]:
    """Quantise currents to 2**bits levels from ``i_min`` to ``i_max`` (A), clipped at both ends.

    A uniform mid-tread quantiser: the levels include both ends.

    Raises
    ------
    InvalidValueError
        The range is empty, or ``bits`` is not 1 … 24.
    """
    return _quantise(("i", "currents in A", i), ("i_min", i_min), ("i_max", i_max), bits)


def dac(v: npt.ArrayLike, v_min: float, v_max: float, bits: int) -> npt.NDArray[Any]:
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
) -> npt.NDArray[Any]:
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
