"""Simulations of the explorer in stages; a stage is computed again only if its inputs changed."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

import numpy as np

from synfab.cells.array import CellArray
from synfab.common.types import FloatArray
from synfab.explore.settings import Settings
from synfab.figures.time import BANDS, retained
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.conditions import limited
from synfab.physics.rules import highest_state

Result = TypeVar("Result")

LOOP_POINTS = 120
SET_VOLTAGE = -2.0  # V; puts every cell of the crossbar into its LRS
SHOWN_DEVICES = 16  # more loops would hide each other
# Times (log10 of s) of the figure over time; its programmed conductances, as shares of the range;
# cells of each.
LOG_TIMES = (-3.0, 9.0, 25)
LEVELS, LEVEL_CELLS = (0.1, 0.3, 0.6), 2000
KEPT = 8  # results of each stage that are kept


class Program(NamedTuple):
    """Triangular sweeps: down to ``u_min`` (V) and up to ``u_max`` (V), ``cycles`` times."""

    u_min: float
    u_max: float
    cycles: int

    def voltages(self) -> FloatArray:
        """Return the voltages (V) of one sweep, which starts and ends at 0 V."""
        corners = [0.0, self.u_min, 0.0, self.u_max, 0.0]
        return np.interp(np.linspace(0.0, 4.0, LOOP_POINTS + 1), range(5), corners)


class Loops(NamedTuple):
    """Voltages (points,), currents (cycles, points, devices) in A, features (cycles, cells) each.

    Currents are those of the first devices, at most ``SHOWN_DEVICES``.
    """

    voltage: FloatArray
    current: FloatArray
    features: dict[str, FloatArray]


class Readout(NamedTuple):
    """Conductances (S) of the cells and currents (A) of the rows without wires."""

    conductance: FloatArray
    ideal: FloatArray


class Aging(NamedTuple):
    """Times (s) and the 5, 50 and 95 % conductances (S), (3, times), of each programmed one (S)."""

    times: FloatArray
    bands: dict[float, FloatArray]


def sweep(cells: CellArray, program: Program) -> Loops:
    """Return the loops of new cells; the model's compliance limits the SET half."""
    voltage = program.voltages()
    shown = min(cells.size, SHOWN_DEVICES)
    current = np.empty((program.cycles, len(voltage), shown))
    features = {name: np.empty((program.cycles, cells.size)) for name in FEATURES}
    for cycle in range(program.cycles):
        now = cells.features
        for name in FEATURES:
            features[name][cycle] = now[name]
        measured = cells.apply_program(voltage, read="pulse", noise=False)[:, :shown]
        current[cycle] = limited(measured, voltage[:, None], cells.model.compliance)
    return Loops(voltage, current, features)


def checkered(cells: CellArray, u_max: float) -> CellArray:
    """Put all cells into their LRS, then apply ``u_max`` (V) to every second one; return them."""
    where = np.indices(cells.shape).sum(axis=0) % 2 == 1
    return cells.apply_voltage(SET_VOLTAGE).apply_voltage(u_max, where=where)


def read(cells: CellArray, read_voltage: float) -> Readout:
    """Return what a read without wire resistance shows."""
    v = np.full(cells.shape[1], read_voltage)
    conductance = np.asarray(cells.conductance(read_voltage))
    return Readout(conductance, np.asarray(cells.matvec(v, noise=False)))


def read_with_wires(cells: CellArray, read_voltage: float, wire_resistance: float) -> FloatArray:
    """Return the currents (A) of the rows of a crossbar with wires (ohm per segment), (rows,)."""
    from synfab.crossbar import Crossbar

    v = np.full(cells.shape[1], read_voltage)
    return np.asarray(Crossbar(cells, wire_resistance=wire_resistance).solve(v).currents)


def levels(model: CellModel) -> list[float]:
    """Return the programmed conductances (S) whose change over time is shown."""
    low = float(model.conduction.conductance(highest_state(model)))
    return [low + level * (float(model.conduction.g_llrs) - low) for level in LEVELS]


def age(model: CellModel, seed: int, temperature: float) -> Aging:
    """Return how conductances of a model with traps change over time at a temperature (K)."""
    times = np.logspace(*LOG_TIMES)
    bands = {}
    for g in levels(model):
        found = retained(model, g, times, temperature=temperature, cells=LEVEL_CELLS, seed=seed)
        bands[g] = np.percentile(found, BANDS, axis=1)
    return Aging(times, bands)


class Stages:
    """Results of the stages of one model, each computed once for the same inputs.

    ``computed`` counts the computations of each stage: fabricate, sweep, program, wait, read, wires
    and time.
    """

    def __init__(self, model: CellModel) -> None:
        self.model = model
        self.computed: Counter[str] = Counter()
        self._kept: dict[str, OrderedDict[Hashable, object]] = {}

    def loops(self, now: Settings) -> Loops:
        """Return the loops and features of the devices."""
        shape, program = (now.cells,), Program(now.u_min, now.u_max, now.cycles)
        return self._once(
            "sweep", (self._identity(shape, now), program),
            lambda: sweep(self._cells(shape, now).copy(), program),
        )  # fmt: skip

    def readout(self, now: Settings) -> Readout:
        """Return conductances and ideal currents of the crossbar."""
        return self._once(
            "read", (self._past(now), now.read_voltage),
            lambda: read(self._waited(now), now.read_voltage),
        )  # fmt: skip

    def real(self, now: Settings) -> FloatArray:
        """Return the currents of the rows of the crossbar with its wires (A)."""
        if now.wire_resistance == 0.0:
            return self.readout(now).ideal
        return self._once(
            "wires", (self._past(now), now.read_voltage, now.wire_resistance),
            lambda: read_with_wires(self._waited(now), now.read_voltage, now.wire_resistance),
        )  # fmt: skip

    def aging(self, now: Settings) -> Aging:
        """Return the conductances over time, of a model with traps."""
        key = (now.seed, now.temperature)
        return self._once("time", key, lambda: age(self.model, *key))

    def _cells(self, shape: tuple[int, ...], now: Settings) -> CellArray:
        """Return new cells, of which only copies may be changed."""
        return self._once(
            "fabricate", self._identity(shape, now),
            lambda: CellArray(self.model, shape, order=now.order, seed=now.seed),
        )  # fmt: skip

    def _programmed(self, now: Settings) -> CellArray:
        shape = (now.rows, now.rows)
        return self._once(
            "program", (self._identity(shape, now), now.u_max),
            lambda: checkered(self._cells(shape, now).copy(), now.u_max),
        )  # fmt: skip

    def _waited(self, now: Settings) -> CellArray:
        if self.model.traps is None:
            return self._programmed(now)
        return self._once(
            "wait", self._past(now),
            lambda: self._programmed(now).copy().wait(now.seconds, now.temperature),
        )  # fmt: skip

    @staticmethod
    def _identity(shape: tuple[int, ...], now: Settings) -> Hashable:
        return shape, now.order, now.seed

    def _past(self, now: Settings) -> Hashable:
        """Return what determines the state in which the crossbar is read."""
        time = None if self.model.traps is None else (now.seconds, now.temperature)
        return self._identity((now.rows, now.rows), now), now.u_max, time

    def _once(self, stage: str, key: Hashable, make: Callable[[], Result]) -> Result:
        kept = self._kept.setdefault(stage, OrderedDict())
        if key not in kept:
            self.computed[stage] += 1
            kept[key] = make()
            if len(kept) > KEPT:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return kept[key]  # type: ignore[return-value]
