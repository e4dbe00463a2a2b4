"""Interface through which programming pulses cells, either directly or through wires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from synfab.cells.array import CellArray
from synfab.cells.reading import currents_of
from synfab.common import checks
from synfab.common.types import Array
from synfab.random.arrays import to_numpy

# Default duration of a pulse, s.
DURATION = 1e-7


class Pulser(Protocol):
    """Interface that applies an individual pulse to every cell and accumulates the energy.

    Attributes
    ----------
    cells
        Cells to pulse, of any engine and shape.
    energy
        Energy dissipated so far in each cell and its access device, J, in the cells' shape;
        updated in place.
    """

    cells: CellArray[Any]
    energy: Array

    @property
    def defects(self) -> Array | None:
        """Mask of the cells that never switch; None: no defects."""

    @property
    def series_resistance(self) -> float:
        """Series resistance common to all cells during a pulse, ohm."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that affect a pulse, except the cells, as JSON types; identify a checkpoint."""

    def apply_voltage(self, voltage: Array) -> None:
        """Pulse every cell with its own voltage, V, in the cells' shape; NaN: no pulse."""


class DirectPulser:
    """Pulser that applies the full pulse voltage to every cell.

    This corresponds to a select transistor of small resistance and a write path calibrated for
    its wires. For pulses through wires use ``crossbar.programming.RowPulser``.

    Parameters
    ----------
    cells
        Cells to pulse, of any engine and shape.
    duration
        Pulse duration, s. The energy of a pulse is the power that the cell draws after
        switching, times this duration.
    """

    defects = None
    series_resistance = 0.0

    def __init__(self, cells: CellArray[Any], duration: float = DURATION) -> None:
        self.cells = cells
        self.duration = checks.number("duration", duration, minimum=0.0)
        self.energy: Array = np.zeros(cells.shape)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"duration": self.duration}

    def apply_voltage(self, voltage: Array) -> None:
        given = np.isfinite(voltage)
        self.cells.apply_voltage(voltage, where=given)
        pulsed = np.flatnonzero(given)
        u = np.asarray(voltage, np.float64).reshape(-1)[pulsed]
        after = to_numpy(currents_of(self.cells, pulsed, u.astype(np.float32)))
        self.energy.reshape(-1)[pulsed] += np.abs(after * u) * self.duration


def measured_conductance(cells: CellArray[Any]) -> Array:
    """Return the conductance of every cell, read at U_0 with noise; S, float64."""
    u_0 = cells.model.conduction.u_0
    return np.asarray(np.divide(to_numpy(cells.read(u_0)), u_0, dtype=np.float64))
