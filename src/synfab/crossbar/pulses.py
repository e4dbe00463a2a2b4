"""Writing through the wires: a pulse, the true voltage of every cell, and what switches.

The pulse is rectangular; its edge is a ramp that is slow beside the circuit and fast beside the
pulse. Cells switch during the edge, so charge and energy are those of the top: the network after
all switching, for the duration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, ArrayLike, LineSelection, Mask, SchemeName
from synfab.crossbar.circuit import Circuit
from synfab.crossbar.edge import MOST_STEPS, Pulse
from synfab.network.bias import Bias, lines
from synfab.network.network import Solution
from synfab.network.reduction import restore_rows
from synfab.network.schemes import scheme_bias

# Arrays up to this many lines a side are written event by event unless told otherwise.
EXACT_SIDE = 32


@dataclass(frozen=True, eq=False)
class Write:
    """What one pulse did; arrays (rows, columns) unless said otherwise.

    Attributes
    ----------
    solution
        The network at the top of the pulse, after all switching.
    selected
        Cells that the pulse was meant for.
    switched
        Cells whose state has changed, meant or not.
    extreme_voltage
        V, of each cell, its own voltage of the largest magnitude during the pulse.
    cell_energy
        J in each cell and its access device.
    energy, charge
        J that the drivers delivered, wires included, and C through all cells.
    solves
        Networks solved.
    """

    solution: Solution
    selected: Array
    switched: Array
    extreme_voltage: Array
    cell_energy: Array
    energy: float
    charge: float
    solves: int

    @property
    def disturbed(self) -> Array:
        """Cells that have switched and were not meant to."""
        return np.asarray(self.switched & ~self.selected)

    @property
    def loss(self) -> float:
        """Part of the energy that wires, drivers and amplifiers took, 0 … 1."""
        return 1.0 - float(self.cell_energy.sum()) / self.energy if self.energy else 0.0


def write_bias(
    circuit: Circuit, rows: Mask, columns: Mask, voltage: ArrayLike, scheme: SchemeName
) -> Bias:
    """Return the drive of a pulse on selected lines, their gates on; see ``scheme_bias``."""
    gates = circuit.selected_gates(rows, columns)
    return scheme_bias(circuit.shape, rows, columns, voltage, scheme, gates)


def write(
    circuit: Circuit,
    rows: LineSelection,
    columns: LineSelection,
    voltage: ArrayLike,
    scheme: SchemeName,
    steps: int,
    exact: bool | None,
    duration: float,
) -> Write:
    """Apply one pulse; see ``Crossbar.write``."""
    steps = checks.count("steps", steps, MOST_STEPS)
    duration = checks.number("duration", duration, minimum=0.0)
    exactly = max(circuit.shape) <= EXACT_SIDE if exact is None else checks.flag("exact", exact)
    row_mask = lines("rows", rows, circuit.shape[0])
    column_mask = lines("columns", columns, circuit.shape[1])
    if not (row_mask.any() and column_mask.any()):
        raise InvalidValueError("rows, columns: expected at least one selected line of each")
    bias = write_bias(circuit, row_mask, column_mask, voltage, scheme)
    before = circuit.states
    pulse = Pulse(circuit, bias)
    pulse.climb(None if exactly else steps)
    found, extreme = pulse.top(), pulse.extreme
    if pulse.index is not None:
        wires = circuit.wires_for(bias)
        found = restore_rows(found, wires, pulse.index, bias.columns, bias.rows)
        extreme = np.zeros(circuit.shape)
        extreme[pulse.index] = pulse.extreme
    return Write(
        solution=found,
        selected=row_mask[:, None] & column_mask,
        switched=circuit.states != before,
        extreme_voltage=extreme,
        cell_energy=power(found) * duration,
        energy=float(bias.columns @ found.driver_currents - bias.rows @ found.currents) * duration,
        charge=float(np.abs(found.cell_current).sum()) * duration,
        solves=pulse.solves,
    )


def power(found: Solution) -> Array:
    """W in each cell and its access device."""
    return np.asarray(found.cell_current * (found.column_voltage - found.row_voltage))
