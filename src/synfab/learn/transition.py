"""Fit of the RESET transition, and the choice of the definition of u_reset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, FloatArray
from synfab.learn.landmarks import PEAK, POSITIVE, VALID, ZERO
from synfab.learn.loops import BACK_SQUARES, BACK_SUM, G_LRS, OFFSET, U_RESET, Loops
from synfab.model.conduction import Conduction

RESET_DEFINITIONS = ("auto", "onset", "peak")
MIN_TRANSITIONS = 3
FEW = 3000


class TransitionFit(NamedTuple):
    """Curves with eta and U_max, and the definition of u_reset that they belong to."""

    conduction: Conduction
    reset: str


class _Ways(NamedTuple):
    """Points of the way out to positive voltages (V, A), and what the model knows of their loop."""

    u: Array
    i: Array
    u_reset: Array
    at_reset: Array  # A, current of the LRS at u_reset
    lrs: Array  # A, current of the LRS at u
    rest: Array  # state after the RESET


def fit_transition(
    loops: Sequence[tuple[Loops, Array]], draft: Conduction, reset: str
) -> TransitionFit:
    """Fit eta and U_max of I_t = a (U_max - U)**eta + c to the RESET halves.

    With ``reset`` "auto", u_reset is defined by the onset or by the peak: by the definition with
    which the way out (LRS up to u_reset, then the transition) differs less from the loops.

    Raises
    ------
    InvalidValueError
        Too few loops have a complete RESET, or no power law fits.
    """
    definitions = ("onset", "peak") if reset == "auto" else (reset,)
    evaluated = [(Loops(before.device, draft.u_0, draft), good) for before, good in loops]
    found = [
        (score, TransitionFit(conduction, definition))
        for definition in definitions
        for conduction, score in [_fit(_ways(evaluated, draft, definition == "peak"), draft)]
    ]
    return min(found, key=lambda one: one[0])[1]


def _ways(loops: Sequence[tuple[Loops, Array]], draft: Conduction, peak: bool) -> _Ways:
    points: list[tuple[FloatArray, FloatArray, Array]] = []  # voltage, current, number of the way
    ends: list[tuple[float, float, float]] = []  # u_reset, conductances of LRS and next HRS
    for again, good in loops:
        offset = float(np.nanmedian(again.numbers[:, OFFSET]))
        for k in good:
            at, numbers = again.points[k], again.numbers[k]
            if again.reasons[k] != VALID or not numbers[BACK_SQUARES] > 0.0:
                continue
            base = again.device.offsets[k]
            part = slice(base + at[ZERO], base + at[POSITIVE] + 1)
            v = again.device.voltage[part]
            points.append((v, again.device.current[part] - offset, np.full(len(v), len(ends))))
            g_next = float(numbers[BACK_SUM] / numbers[BACK_SQUARES])
            u_reset = v[at[PEAK] - at[ZERO]] if peak else numbers[U_RESET]
            ends.append((float(u_reset), float(numbers[G_LRS]), g_next))
    if len(ends) < MIN_TRANSITIONS:
        raise InvalidValueError("conduction: too few loops with a complete RESET transition")
    u, i, n = map(np.concatenate, zip(*points, strict=True))
    begins, g_lrs, g_next = np.asarray(ends)[n].T
    state = draft.state(g_lrs)
    return _Ways(u, i, begins, draft.current(state, begins), draft.current(state, u),
                 draft.state(g_next))  # fmt: skip


def _fit(ways: _Ways, draft: Conduction) -> tuple[Conduction, float]:
    """Return the curves with eta and U_max, and the error of the whole way out."""
    from scipy.optimize import minimize

    after = ways.u >= ways.u_reset
    beyond = _Ways(*(x[after] for x in ways))
    highest, scale = float(np.quantile(beyond.u, 0.999)), float(np.std(beyond.i))
    lowest = max(float(np.quantile(beyond.u_reset, 0.98)) + 0.1 * draft.u_0, draft.u_0 * 1.01)
    lowest = min(lowest, highest)

    def misfit(parameters: Array, ways: _Ways) -> float:
        eta, u_max = float(np.exp(parameters[0])), float(parameters[1])
        if not (lowest <= u_max <= highest + 1e-9) or not 0.2 < eta < 20.0:
            return 1e6
        return _error(_transition(ways, draft, eta, u_max), ways.i, scale)

    def fitted(start: Sequence[float] | Array, ways: _Ways) -> Any:
        options = {"xatol": 1e-4, "fatol": 1e-9}
        return minimize(misfit, start, (ways,), method="Nelder-Mead", options=options)

    # Many starting points with few points of the loops, then the best with all.
    few = _Ways(*(x[:: max(len(beyond.u) // FEW, 1)] for x in beyond))
    starts = [(np.log(eta), lowest + f * (highest - lowest))
              for eta in (1.0, 2.0, 4.0) for f in (0.5, 0.9, 0.999)]  # fmt: skip
    found = [fitted(start, few) for start in starts]
    best = fitted(min(found, key=lambda one: float(one.fun)).x, beyond)
    if not best.fun < 1.0:
        raise InvalidValueError("conduction: the RESET transition cannot be fitted by a power law")
    eta, u_max = float(np.exp(best.x[0])), float(best.x[1])
    whole = np.where(after, _transition(ways, draft, eta, u_max), ways.lrs)
    conduction = Conduction(draft.hhrs, draft.llrs, eta, u_max, draft.u_0, draft.voltage_range)
    return conduction, _error(whole, ways.i, float(np.std(ways.i)))


def _transition(ways: _Ways, draft: Conduction, eta: float, u_max: float) -> Array:
    """Return the current (A) after the start of the RESET."""
    floor = draft.current(ways.rest, u_max)
    width = np.clip(u_max - ways.u_reset, 1e-6, None)
    share = np.clip((u_max - ways.u) / width, 0.0, 1.0) ** eta
    curve = floor + (ways.at_reset - floor) * share
    return np.where(ways.u < u_max, curve, draft.current(ways.rest, ways.u))


def _error(curve: Array, current: Array, scale: float) -> float:
    return float(np.mean(np.minimum(np.abs(current - curve) / scale, 1.0) ** 2))
