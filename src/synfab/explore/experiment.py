"""Simulations of the explorer, independent of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import FloatArray
from synfab.figures.time import BANDS, retained
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.conditions import limited
from synfab.model.traps import NOMINAL_TEMPERATURE
from synfab.physics.rules import highest_state

Number = TypeVar("Number", int, float)

LOOP_POINTS = 120
READ_VOLTAGE = 0.2
WIRE_RESISTANCES = (0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
# Ranges of the integer controls.
COUNTS = {"cycles": (1, 100), "cells": (1, 1000), "seed": (0, 2**31 - 1), "rows": (2, 64)}
# Ranges of the controls of time, for models with traps: log10 of seconds, and kelvin.
LOG_TIMES, TEMPERATURES = (-3.0, 9.0), (250.0, 500.0)
# Programmed conductances of the figure over time, as shares of the range; cells of each.
LEVELS, LEVEL_CELLS = (0.1, 0.3, 0.6), 2000


class Program(NamedTuple):
    """Triangular sweeps: down to ``u_min`` (V) and up to ``u_max`` (V), ``cycles`` times."""

    u_min: float
    u_max: float
    cycles: int

    def voltages(self) -> FloatArray:
        """Return the voltages (V) of one sweep, which starts and ends at 0 V."""
        corners = [0.0, self.u_min, 0.0, self.u_max, 0.0]
        return np.interp(np.linspace(0.0, 4.0, LOOP_POINTS + 1), range(5), corners)


class Settings(NamedTuple):
    """Values of all controls, within their ranges."""

    u_min: float
    u_max: float
    cycles: int
    cells: int
    order: int
    seed: int
    rows: int
    wire_resistance: float
    seconds: float = 0.0
    temperature: float = NOMINAL_TEMPERATURE


def voltage_limits(model: CellModel) -> tuple[float, float]:
    """Return the range of the voltage controls (V)."""
    low, high = model.conduction.voltage_range
    return round(1.2 * low, 2), round(1.2 * max(high, model.conduction.u_max), 2)


def settings(model: CellModel, values: Mapping[str, object]) -> Settings:
    """Return the values of the controls, with numbers out of range replaced by the nearest limit.

    The limits are applied here because a request can contain values that the page does not offer.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        A value is missing, not a finite number, or not in the list of a control.
    """
    lowest, highest = voltage_limits(model)
    counts = {name: _count(name, values.get(name), *limits) for name, limits in COUNTS.items()}
    time = {} if model.traps is None else {
        "seconds": 10.0 ** _within("log_time", values.get("log_time"), *LOG_TIMES),
        "temperature": _within("temperature", values.get("temperature"), *TEMPERATURES),
    }  # fmt: skip
    return Settings(
        u_min=min(max(checks.number("u_min", values.get("u_min")), lowest), 0.0),
        u_max=min(max(checks.number("u_max", values.get("u_max")), 0.0), highest),
        order=_one_of("order", values.get("order"), model.orders),
        wire_resistance=_one_of("wire_resistance", values.get("wire_resistance"), WIRE_RESISTANCES),
        **counts,
        **time,
    )


def _within(name: str, value: object, minimum: float, maximum: float) -> float:
    return min(max(checks.number(name, value), minimum), maximum)


def _count(name: str, value: object, minimum: int, maximum: int) -> int:
    if isinstance(value, float) and value.is_integer():  # JavaScript has only one type of numbers
        value = int(value)
    return min(max(checks.integer(name, value), minimum), maximum)


def _one_of(name: str, value: object, allowed: tuple[Number, ...]) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(f"{name}: expected a number, found {checks.kind_of(value)}")
    for option in allowed:
        if value == option:
            return option
    raise InvalidValueError(
        f"{name}: expected one of {', '.join(map(str, allowed))}, found {checks.shown(value)}"
    )


class Loops(NamedTuple):
    """Voltages (points,), currents (cycles, points, cells) in A, features (cycles, cells) each."""

    voltage: FloatArray
    current: FloatArray
    features: dict[str, FloatArray]


class Readout(NamedTuple):
    """Conductances (S) and read currents of the rows (A) with ideal and with real wires."""

    conductance: FloatArray
    ideal: FloatArray
    real: FloatArray


class Aging(NamedTuple):
    """Times (s) and the 5, 50 and 95 % conductances (S), (3, times), of each programmed one (S)."""

    times: FloatArray
    bands: dict[float, FloatArray]


def age(model: CellModel, seed: int, temperature: float) -> Aging:
    """Return how conductances of a model with traps change over time at a temperature (K)."""
    times = np.logspace(*LOG_TIMES, 25)
    conduction = model.conduction
    low = float(conduction.conductance(highest_state(model)))
    bands = {}
    for level in LEVELS:
        g = low + level * (conduction.g_llrs - low)
        found = retained(model, g, times, temperature=temperature, cells=LEVEL_CELLS, seed=seed)
        bands[g] = np.percentile(found, BANDS, axis=1)
    return Aging(times, bands)


def sweep(model: CellModel, program: Program, count: int, order: int, seed: int) -> Loops:
    """Return the loops of ``count`` new cells; the model's compliance limits the SET half."""
    cells = CellArray(model, count, order=order, seed=seed)
    voltage = program.voltages()
    current = np.empty((program.cycles, len(voltage), count))
    features = {name: np.empty((program.cycles, count)) for name in FEATURES}
    for cycle in range(program.cycles):
        now = cells.features
        for name in FEATURES:
            features[name][cycle] = now[name]
        measured = cells.apply_program(voltage, read="pulse", noise=False)
        current[cycle] = limited(measured, voltage[:, None], model.compliance)
    return Loops(voltage, current, features)


def read_crossbar(
    model: CellModel,
    rows: int,
    order: int,
    seed: int,
    u_max: float,
    wire_resistance: float,
    time: tuple[float, float] = (0.0, NOMINAL_TEMPERATURE),
) -> Readout:
    """Return a read at 0.2 V of a square array in LRS with every second cell RESET by ``u_max``.

    If the model has traps, a time (s) at a temperature (K) passes before the read.
    """
    from synfab.crossbar import Crossbar

    cells = CellArray(model, (rows, rows), order=order, seed=seed).apply_voltage(-2.0)
    checkered = np.indices((rows, rows)).sum(axis=0) % 2 == 1
    cells.apply_voltage(u_max, where=checkered)
    if model.traps is not None:
        cells.wait(*time)
    conductance = np.asarray(cells.conductance(READ_VOLTAGE))
    v = np.full(rows, READ_VOLTAGE)
    ideal = np.asarray(cells.matvec(v, noise=False))
    if wire_resistance == 0.0:
        return Readout(conductance, ideal, ideal)
    real = Crossbar(cells, wire_resistance=wire_resistance).solve(v).currents
    return Readout(conductance, ideal, np.asarray(real))
