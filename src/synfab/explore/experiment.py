"""What the explorer computes when a control moves; no page in here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from synfab.cells import CellArray
from synfab.model import FEATURES, CellModel

Array = npt.NDArray[np.float64]

LOOP_POINTS = 120
READ_VOLTAGE = 0.2
WIRE_RESISTANCES = (0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0)
MOST_ROWS = 64


class Program(NamedTuple):
    """A triangular sweep: down to ``u_min`` (V), up to ``u_max`` (V), ``cycles`` times."""

    u_min: float
    u_max: float
    cycles: int

    def voltages(self) -> Array:
        """Voltages of one sweep, which begins and ends at 0 V."""
        corners = [0.0, self.u_min, 0.0, self.u_max, 0.0]
        return np.interp(np.linspace(0.0, 4.0, LOOP_POINTS + 1), range(5), corners)


class Loops(NamedTuple):
    """Voltages (points,), currents (cycles, points, cells) in A, features (cycles, cells) each."""

    voltage: Array
    current: Array
    features: dict[str, Array]


class Readout(NamedTuple):
    """Conductances (S), and read currents (A) of the rows, with ideal and with real wires."""

    conductance: Array
    ideal: Array
    real: Array


def sweep(model: CellModel, program: Program, count: int, order: int, seed: int) -> Loops:
    """Sweep ``count`` fresh cells through the program."""
    cells = CellArray(model, count, order=order, seed=seed)
    voltage = program.voltages()
    current = np.empty((program.cycles, len(voltage), count))
    features = {name: np.empty((program.cycles, count)) for name in FEATURES}
    for cycle in range(program.cycles):
        now = cells.features
        for name in FEATURES:
            features[name][cycle] = now[name]
        for point, u in enumerate(voltage):
            current[cycle, point] = cells.apply_voltage(u).current(u)
    return Loops(voltage, current, features)


def read_crossbar(
    model: CellModel, rows: int, order: int, seed: int, u_max: float, wire_resistance: float
) -> Readout:
    """SET a square array, RESET every second cell with ``u_max``, and read all rows at 0.2 V."""
    from synfab.crossbar import Crossbar

    cells = CellArray(model, (rows, rows), order=order, seed=seed).apply_voltage(-2.0)
    checkered = np.indices((rows, rows)).sum(axis=0) % 2 == 1
    cells.apply_voltage(u_max, where=checkered)
    conductance = np.asarray(cells.conductance(READ_VOLTAGE))
    v = np.full(rows, READ_VOLTAGE)
    ideal = np.asarray(cells.matvec(v, noise=False))
    if wire_resistance == 0.0:
        return Readout(conductance, ideal, ideal)
    real = Crossbar(cells, wire_resistance=wire_resistance).solve(v).currents
    return Readout(conductance, ideal, np.asarray(real))
