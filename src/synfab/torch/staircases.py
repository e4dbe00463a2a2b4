"""Voltages of RESET pulses that follow one another without reads between them.

A RESET changes a cell only if its voltage is larger than those of earlier pulses. A staircase
returns the voltages of the next pulses for those of the last ones, V, of any shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from synfab.common.types import Array
from synfab.model.cell_model import CellModel
from synfab.model.typical import typical_slope, typical_voltage
from synfab.programming.controller import MAX_RISE, MIN_RISE

Staircase: TypeAlias = Callable[[Array], Array]


def linear_staircase(model: CellModel, window: tuple[float, float], change: float) -> Staircase:
    """Return steps that change the typical device by ``change`` (S) each, wherever it is.

    A step is ``change`` divided by the slope |dG/dU| of the typical device at the last voltage,
    from 1 to 40 mV. The first pulse of a cell is at the voltage at which the typical device leaves
    the top of the window.
    """
    g, slope = typical_slope(model, window)
    voltage = typical_voltage(model, g)
    # The voltages fall with the conductance; np.interp needs them in order.
    known, slopes = voltage[::-1], slope[::-1]

    def following(amplitude: Array) -> Array:
        last = np.maximum(amplitude, known[0])
        return np.asarray(
            last + np.clip(change / np.interp(last, known, slopes), MIN_RISE, MAX_RISE)
        )

    return following


def even_staircase(model: CellModel, window: tuple[float, float], change: float) -> Staircase:
    """Return steps of equal voltage, whose mean change of the typical device is ``change`` (S).

    The conductance falls quickly at first and ever more slowly, so that a pair whose cells have
    fallen by different amounts responds asymmetrically: its larger cell has the larger steps.
    """
    first, last = (float(u) for u in typical_voltage(model, np.array(window[::-1])))
    step = (last - first) * change / (window[1] - window[0])

    def following(amplitude: Array) -> Array:
        return np.asarray(np.maximum(amplitude, first) + step)

    return following


def equal_pulses(voltage: float) -> Staircase:
    """Return the same voltage every time."""

    def following(amplitude: Array) -> Array:
        return np.full(amplitude.shape, voltage)

    return following
