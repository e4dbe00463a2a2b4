"""What programming needs of cells, whether they are pulsed directly or through wires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.random.arrays import to_numpy

Array = npt.NDArray[Any]

# Default duration of a pulse, s.
DURATION = 1e-7


class Pulser(Protocol):
    """Applies to every cell a pulse of its own, and adds up the energy.

    Attributes
    ----------
    cells
        The cells, of any engine and shape; their model and state.
    energy
        J that each cell and its access device have taken so far; of the cells' shape, changed in
        place.
    """

    cells: CellArray
    energy: Array

    @property
    def defects(self) -> Array | None:
        """Mask of the cells that never switch; None: all are good."""

    @property
    def series_resistance(self) -> float:
        """Ohm in series with each cell during a pulse, as far as it is the same for all."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a pulse depends on besides the cells, in JSON's types; identifies a checkpoint."""

    def apply_voltage(self, voltage: Array) -> None:
        """Pulse every cell with its own voltage (V), of the cells' shape; NaN: no pulse."""


class DirectPulser:
    """Gives every cell the whole voltage of its pulse.

    That is what a select transistor of small resistance and a write path calibrated for its wires
    do. Pulses through wires are ``crossbar.programming.RowPulser``'s.

    Parameters
    ----------
    cells
        Of any engine and shape.
    duration
        Of each pulse, s. The energy of a pulse is what the cell draws at its voltage after
        switching, for this time.
    """

    defects = None
    series_resistance = 0.0

    def __init__(self, cells: CellArray, duration: float = DURATION) -> None:
        self.cells = cells
        self.duration = checks.number("duration", duration, minimum=0.0)
        self.energy: Array = np.zeros(cells.shape)

    @property
    def settings(self) -> Mapping[str, Any]:
        """See ``Pulser``."""
        return {"duration": self.duration}

    def apply_voltage(self, voltage: Array) -> None:
        """See ``Pulser``."""
        given = np.isfinite(voltage)
        self.cells.apply_voltage(voltage, where=given)
        u = np.where(given, voltage, 0.0)
        self.energy += np.abs(to_numpy(self.cells.current(u)) * u) * self.duration


def measured_conductance(cells: CellArray) -> Array:
    """Read every cell at U_0, with noise; S, float64."""
    u_0 = cells.model.conduction.u_0
    return to_numpy(cells.read(u_0)).astype(np.float64) / u_0
