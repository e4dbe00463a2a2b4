"""Write pulses through resistive wires: the voltage of every cell, and which cells switch.

The pulse is rectangular; its edge is a ramp, slow compared with the circuit and fast compared with
the pulse. Cells switch during the edge, so charge and energy are those of the network after all
switching, at full voltage for the whole duration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike, LineSelection, Mask, SchemeName
from synfab.crossbar.circuit import Circuit
from synfab.crossbar.edge import MAX_STEPS, Pulse
from synfab.crossbar.html import write_html
from synfab.network.bias import Bias, lines
from synfab.network.network import Solution
from synfab.network.reduction import restore_rows
from synfab.network.schemes import scheme_bias

# Arrays of up to this many rows and columns are written event by event by default.
EXACT_SIDE = 32


@no_array("write.switched, write.cell_energy or write.solution")
@dataclass(frozen=True, eq=False)
class Write:
    """Result of one write pulse; arrays have shape (rows, columns).

    Attributes
    ----------
    solution
        Solution of the network at full voltage, after all switching.
    selected
        Mask of the selected cells.
    switched
        Mask of the cells whose state has changed, selected or not.
    extreme_voltage
        Voltage of the largest magnitude across each cell during the pulse, V.
    cell_energy
        Energy in each cell and its access device, J.
    energy, charge
        Energy delivered by the drivers, wires included, J; charge through all cells, C.
    solves
        Number of networks solved.
    """

    solution: Solution
    selected: Array
    switched: Array
    extreme_voltage: Array
    cell_energy: Array
    energy: float
    charge: float
    solves: int

    def _repr_html_(self) -> str:
        return write_html(self)

    @property
    def disturbed(self) -> Array:
        """Mask of the unselected cells that have switched."""
        return np.asarray(self.switched & ~self.selected)

    @property
    def loss(self) -> float:
        """Fraction of the energy lost in wires, drivers and amplifiers, 0 … 1."""
        return 1.0 - float(self.cell_energy.sum()) / self.energy if self.energy else 0.0


def write_bias(
    circuit: Circuit, rows: Mask, columns: Mask, voltage: ArrayLike, scheme: SchemeName
) -> Bias:
    """Return the bias of a pulse on selected lines, with their gates on; see ``scheme_bias``."""
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
    """Apply one pulse and return its result; see ``Crossbar.write``."""
    steps = checks.count("steps", steps, MAX_STEPS)
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
    """Return the power (W) in each cell and its access device."""
    return np.asarray(found.cell_current * (found.column_voltage - found.row_voltage))
