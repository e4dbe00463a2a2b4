"""Conduction: two limiting I-V curves that the state of a cell mixes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common.checks import Float64, freeze, number, numbers, read_only, real_array
from synfab.common.errors import InvalidValueError

# Currents this small (A) against the voltage are rounding, not physics.
ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class Conduction:
    """I(r, U) = (1 - r) P_LLRS(U) + r P_HHRS(U) (Hennen et al. 2022).

    Parameters
    ----------
    hhrs, llrs
        Coefficients of the limiting curves, A/V**k, highest power first, last one zero.
    eta
        Exponent of the RESET transition.
    u_max
        Voltage of a full RESET, V.
    u_0
        Voltage at which static resistance is defined, V.
    voltage_range
        Lowest and highest voltage that the curves were trained on, V; ohmic beyond.

    Raises
    ------
    InvalidValueError
        The curves are not passive, or a number is out of its range.
    """

    hhrs: Float64
    llrs: Float64
    eta: float
    u_max: float
    u_0: float
    voltage_range: tuple[float, float]

    def __init__(
        self, hhrs: Any, llrs: Any, eta: Any, u_max: Any, u_0: Any, voltage_range: Any
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
            raise InvalidValueError("llrs: expected to conduct more than hhrs at u_0")
        if not self.r_max > 0.0:
            raise InvalidValueError("llrs: no state is passive in voltage_range")
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

    def conductance(self, r: npt.ArrayLike) -> Float64:
        """Static conductance at u_0 of state ``r``, in S, float64."""
        return np.asarray(self.current(r, self.u_0) / self.u_0)

    @cached_property
    def padded(self) -> tuple[Float64, Float64]:
        """LLRS and HHRS coefficients, of one length."""
        length = max(len(self.hhrs), len(self.llrs))
        llrs, hhrs = (np.pad(curve, (length - len(curve), 0)) for curve in (self.llrs, self.hhrs))
        return read_only(llrs), read_only(hhrs)

    @cached_property
    def slopes_at_zero(self) -> tuple[float, float]:
        """Small-signal conductance at 0 V of the LLRS and the HHRS curve, S."""
        llrs, hhrs = self.slope([0.0, 1.0], 0.0)
        return float(llrs), float(hhrs)

    @cached_property
    def r_max(self) -> float:
        """Largest passive state: the minimum of P_L / (P_L - P_H) over the trained voltages."""
        # Both curves vanish at 0, so one power of U is divided out: this covers the limit U -> 0.
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
        """Least I / U over the trained voltages, times 1 V."""
        conductance = np.polyadd((1.0 - r) * self.llrs, r * self.hhrs)[:-1]
        u = self._candidates(np.polyder(conductance))
        return float(np.polyval(conductance, u).min())

    def _candidates(self, derivative: Float64) -> Float64:
        """Where an extremum over the trained voltages can lie: ends, zero, roots inside."""
        low, high = self.voltage_range
        scale = np.abs(derivative).max(initial=0.0)
        roots = np.roots(derivative / scale) if scale > 0.0 else np.empty(0)
        real = roots.real[np.abs(roots.imag) < 1e-6]
        return np.concatenate([[low, 0.0, high], real[(real > low) & (real < high)]])

    def current(self, r: npt.ArrayLike, u: npt.ArrayLike) -> Float64:
        """Current of state ``r`` at voltage ``u`` (V), in A, float64; the arguments broadcast."""
        r, u = _pair(r, u)
        inside = np.clip(u, *self.voltage_range)
        outside = inside != u
        stretch = np.where(outside, u / np.where(outside, inside, 1.0), 1.0)
        llrs, hhrs = np.polyval(self.llrs, inside), np.polyval(self.hhrs, inside)
        return np.asarray((llrs + r * (hhrs - llrs)) * stretch)

    def slope(self, r: npt.ArrayLike, u: npt.ArrayLike) -> Float64:
        """Small-signal conductance dI/dU of state ``r`` at ``u`` (V), in S, float64."""
        r, u = _pair(r, u)
        inside = np.clip(u, *self.voltage_range)
        llrs, hhrs = (np.polyval(np.polyder(curve), inside) for curve in (self.llrs, self.hhrs))
        ohmic = self.current(r, inside) / np.where(inside == u, 1.0, inside)
        return np.asarray(np.where(inside == u, llrs + r * (hhrs - llrs), ohmic))


def _pair(r: npt.ArrayLike, u: npt.ArrayLike) -> tuple[Float64, Float64]:
    """States and voltages as float64, of shapes that broadcast."""
    state, voltage = (real_array(n, x).astype(np.float64) for n, x in (("r", r), ("u", u)))
    try:
        np.broadcast_shapes(state.shape, voltage.shape)
    except ValueError:
        raise InvalidValueError(
            f"u: shape {voltage.shape} does not broadcast with r of shape {state.shape}"
        ) from None
    return state, voltage
