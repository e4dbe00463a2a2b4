"""I-V curves of a cell as a mixture of two limiting curves, weighted by its state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from synfab.common.array_checks import numbers, read_only, real_array
from synfab.common.checks import freeze, number
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray

# Largest negative conductance (S) that counts as a rounding error.
ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class Conduction:
    """I-V curves I(r, U) = (1 - r) P_LLRS(U) + r P_HHRS(U) of state r (Hennen et al. 2022).

    Parameters
    ----------
    hhrs, llrs
        Polynomial coefficients of the limiting curves, A/V**k, highest power first; the constant
        term is zero.
    eta
        Exponent of the RESET transition.
    u_max
        Voltage of a complete RESET, V.
    u_0
        Voltage at which the static resistance is defined, V.
    voltage_range
        Range of the measured voltages, V; the curves are extrapolated as ohmic.

    Raises
    ------
    InvalidValueError
        The curves are not passive, or a parameter is out of range.
    """

    hhrs: FloatArray
    llrs: FloatArray
    eta: float
    u_max: float
    u_0: float
    voltage_range: tuple[float, float]

    def __init__(
        self,
        hhrs: npt.ArrayLike,
        llrs: npt.ArrayLike,
        eta: SupportsFloat,
        u_max: SupportsFloat,
        u_0: SupportsFloat,
        voltage_range: npt.ArrayLike,
    ) -> None:
        low, high = numbers("voltage_range", voltage_range, (2,))
        freeze(
            self,
            hhrs=numbers("hhrs", hhrs, (None,)),
            llrs=numbers("llrs", llrs, (None,)),
            eta=number("eta", eta),
            u_max=number("u_max", u_max),
            u_0=number("u_0", u_0),
            voltage_range=(float(low), float(high)),
        )
        self._check()

    def _check(self) -> None:
        for name in ("hhrs", "llrs"):
            if getattr(self, name)[-1] != 0.0:
                raise InvalidValueError(f"{name}: expected I(0) = 0, found a constant term")
        if not self.eta > 0.0:
            raise InvalidValueError(f"eta: expected a number above 0, found {self.eta:g}")
        if not self.u_max > self.u_0 > 0.0:
            raise InvalidValueError(
                f"u_max: expected u_max > u_0 > 0, found {self.u_max:g} V and {self.u_0:g} V"
            )
        low, high = self.voltage_range
        if not (low < 0.0 and self.u_0 <= high):
            raise InvalidValueError(
                f"voltage_range: expected low < 0 and high >= u_0, found {low:g} … {high:g} V"
            )
        if not self.g_llrs > self.g_hhrs:
            raise InvalidValueError("llrs: expected a higher conductance than hhrs at u_0")
        if not self.r_max > 0.0:
            raise InvalidValueError("llrs: not passive, I·U < 0 inside voltage_range")
        for r in (0.0, self.r_max):
            if self._lowest_power(r) < -ROUNDING:
                raise InvalidValueError(
                    f"hhrs: not passive, I·U < 0 at r = {r:.4g} inside voltage_range"
                )

    @cached_property
    def g_hhrs(self) -> float:
        """Static conductance of the HHRS curve at u_0, S."""
        return float(np.polyval(self.hhrs, self.u_0) / self.u_0)

    @cached_property
    def g_llrs(self) -> float:
        """Static conductance of the LLRS curve at u_0, S."""
        return float(np.polyval(self.llrs, self.u_0) / self.u_0)

    @cached_property
    def g_span(self) -> float:
        """Conductance between the two curves at u_0, S: what the state r scales."""
        return self.g_llrs - self.g_hhrs

    def state(self, g: Any) -> Any:
        """State r of static conductance ``g`` (S) at u_0; ``g`` may be an array of any library."""
        return (self.g_llrs - g) / self.g_span

    def conductance(self, r: npt.ArrayLike) -> FloatArray:
        """Static conductance at u_0 of state ``r``, in S, float64."""
        return np.asarray(self.current(r, self.u_0) / self.u_0)

    @cached_property
    def padded(self) -> tuple[FloatArray, FloatArray]:
        """Coefficients of LLRS and HHRS, padded to equal length."""
        length = max(len(self.hhrs), len(self.llrs))
        llrs, hhrs = (np.pad(curve, (length - len(curve), 0)) for curve in (self.llrs, self.hhrs))
        return read_only(llrs), read_only(hhrs)

    @cached_property
    def slopes_at_zero(self) -> tuple[float, float]:
        """Small-signal conductances of the LLRS and the HHRS curve at 0 V, S."""
        llrs, hhrs = self.slope([0.0, 1.0], 0.0)
        return float(llrs), float(hhrs)

    @cached_property
    def r_max(self) -> float:
        """Largest passive state: the minimum of P_L / (P_L - P_H) over ``voltage_range``."""
        # Both curves are zero at U = 0; dividing by U includes the limit U -> 0.
        llrs, difference = self.llrs[:-1], np.polysub(self.llrs, self.hhrs)[:-1]
        turning = np.polysub(
            np.polymul(np.polyder(llrs), difference), np.polymul(llrs, np.polyder(difference))
        )
        u = self._candidates(turning)
        denominator = np.polyval(difference, u)
        positive = denominator > 0.0
        ratio = np.polyval(llrs, u[positive]) / denominator[positive]
        return float(ratio.min(initial=1.0))

    def _lowest_power(self, r: float) -> float:
        """Return the minimum of I / U over ``voltage_range``, times 1 V."""
        conductance = np.polyadd((1.0 - r) * self.llrs, r * self.hhrs)[:-1]
        u = self._candidates(np.polyder(conductance))
        return float(np.polyval(conductance, u).min())

    def _candidates(self, derivative: FloatArray) -> FloatArray:
        """Return the voltages of possible extrema: range limits, zero, and roots inside."""
        low, high = self.voltage_range
        scale = np.abs(derivative).max(initial=0.0)
        roots = np.roots(derivative / scale) if scale > 0.0 else np.empty(0)
        real = roots.real[np.abs(roots.imag) < 1e-6]
        return np.concatenate([[low, 0.0, high], real[(real > low) & (real < high)]])

    def current(self, r: npt.ArrayLike, u: npt.ArrayLike) -> FloatArray:
        """Return the current (A) of state ``r`` at ``u`` (V); the arguments broadcast."""
        r, u = _pair(r, u)
        inside = np.clip(u, *self.voltage_range)
        outside = inside != u
        stretch = np.where(outside, u / np.where(outside, inside, 1.0), 1.0)
        llrs, hhrs = np.polyval(self.llrs, inside), np.polyval(self.hhrs, inside)
        return np.asarray((llrs + r * (hhrs - llrs)) * stretch)

    def slope(self, r: npt.ArrayLike, u: npt.ArrayLike) -> FloatArray:
        """Return the small-signal conductance dI/dU (S) of state ``r`` at ``u`` (V)."""
        r, u = _pair(r, u)
        inside = np.clip(u, *self.voltage_range)
        llrs, hhrs = (np.polyval(np.polyder(curve), inside) for curve in (self.llrs, self.hhrs))
        ohmic = self.current(r, inside) / np.where(inside == u, 1.0, inside)
        return np.asarray(np.where(inside == u, llrs + r * (hhrs - llrs), ohmic))


def _pair(r: npt.ArrayLike, u: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return states and voltages as float64 after checking that their shapes broadcast."""
    state, voltage = (real_array(n, x).astype(np.float64) for n, x in (("r", r), ("u", u)))
    try:
        np.broadcast_shapes(state.shape, voltage.shape)
    except ValueError:
        raise InvalidValueError(
            f"u: shape {voltage.shape} does not broadcast with r of shape {state.shape}"
        ) from None
    return state, voltage
