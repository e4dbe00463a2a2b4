"""The typical device: the means of a technology's most common component, in the median cycle."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from synfab.common.types import Array, ArrayLike
from synfab.model.cell_model import CellModel
from synfab.model.scale import PUBLISHED

# Voltages and conductances at which the transition of the typical device is tabulated.
VOLTAGES, CONDUCTANCES = 2001, 200


class TypicalDevice(NamedTuple):
    """Features of the typical device in its median cycle.

    Attributes
    ----------
    log_r_hrs
        log10 of the HRS resistance in ohm.
    u_set, u_reset
        V.
    r_lrs
        LRS resistance, ohm.
    """

    log_r_hrs: float
    u_set: float
    r_lrs: float
    u_reset: float


def typical_device(model: CellModel) -> TypicalDevice:
    """Return the features of the typical device of ``model``."""
    population = model.population
    mean = population.means[int(np.argmax(population.weights))][:4]
    r_hrs, u_set, r_lrs, u_reset = (float(feature) for feature in model.to_features(mean))
    # log10(10**y) is not exactly y.
    log_r_hrs = float(mean[0]) if model.scales[0] == PUBLISHED[0] else math.log10(r_hrs)
    return TypicalDevice(log_r_hrs, u_set, r_lrs, u_reset)


def typical_voltage(model: CellModel, g: ArrayLike, series: float = 0.0) -> Array:
    """Return the voltage (V) that RESETs the typical device to conductance ``g`` (S).

    The transition I_t(U) = a (U_max - U)**eta + c (Hennen et al. 2022) is tabulated over U and
    the state that the device has there. ``series`` (ohm) is in series with the device.
    """
    conduction, device = model.conduction, typical_device(model)
    r_low, r_high = conduction.state(1.0 / np.array([device.r_lrs, 10.0**device.log_r_hrs]))
    floor = conduction.current(r_high, conduction.u_max)
    u = np.linspace(device.u_reset, conduction.u_max, VOLTAGES)
    part = (conduction.u_max - u) / (conduction.u_max - device.u_reset)
    falling = floor + (conduction.current(r_low, device.u_reset) - floor) * part**conduction.eta
    llrs, hhrs = conduction.current(0.0, u), conduction.current(1.0, u)
    reached = conduction.conductance(np.maximum.accumulate((llrs - falling) / (llrs - hhrs)))
    return np.asarray(np.interp(-np.asarray(g), -reached, u + series * falling))


def typical_slope(model: CellModel, window: tuple[float, float]) -> tuple[Array, Array]:
    """Return conductances over ``window`` (S) and |dG/dU| (S/V) of the typical device there."""
    g = np.linspace(*window, CONDUCTANCES)
    return g, np.abs(np.gradient(g, typical_voltage(model, g)))
