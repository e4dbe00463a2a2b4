"""Writing through the wires: a pulse, the true voltage of every cell, and what switches.

The pulse is rectangular; its edge is a ramp that is slow beside the circuit and fast beside the
pulse. Cells switch during the edge, so charge and energy are those of the top: the network after
all switching, for the duration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.crossbar.edge import MOST_STEPS, Pulse
from synfab.network.access import Transistor
from synfab.network.bias import Bias, lines, make_bias
from synfab.network.network import Solution
from synfab.network.reduction import restore_rows
from synfab.random.arrays import to_numpy

if TYPE_CHECKING:
    from synfab.crossbar.array import Crossbar

Array = npt.NDArray[Any]

SCHEMES = ("V/2", "V/3", "floating", "ground")
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
    bar: Crossbar, rows: Array, columns: Array, voltage: npt.ArrayLike, scheme: str
) -> Bias:
    """Voltages of all lines for a pulse ``voltage`` (V, column minus row) on selected lines.

    ``rows`` and ``columns`` are masks; ``voltage`` is one number or one per selected column.
    """
    checks.choice("scheme", scheme, SCHEMES)
    given = checks.real_array("voltage", voltage)
    count = int(columns.sum())
    if given.shape not in {(), (count,)} or not np.isfinite(given).all():
        raise InvalidValueError(
            f"voltage: expected one finite number, or one for each of {count} selected columns, "
            f"found shape {given.shape}"
        )
    each = np.broadcast_to(given, (count,)).astype(np.float64)
    # Unselected lines follow the strongest of the columns' voltages.
    top = float(each[np.argmax(np.abs(each))]) if count else 0.0
    v, w = np.zeros(len(columns)), np.zeros(len(rows))
    if scheme == "V/2":
        w[rows] = -top / 2.0
        v[columns] = each - top / 2.0
    elif scheme == "V/3":
        v[:], w[~rows] = top / 3.0, 2.0 * top / 3.0
        v[columns] = each
    else:
        v[columns] = each
    floating = scheme == "floating"
    gates = None
    if isinstance(bar.access, Transistor):
        gates = rows if bar.access.gates == "rows" else columns
    return make_bias(
        bar.shape, v, w, ~columns if floating else None, ~rows if floating else None, gates
    )


def write(
    bar: Crossbar,
    rows: Any,
    columns: Any,
    voltage: npt.ArrayLike,
    scheme: str,
    steps: int,
    exact: bool | None,
    duration: float,
) -> Write:
    """Apply one pulse; see ``Crossbar.write``."""
    steps = checks.count("steps", steps, MOST_STEPS)
    duration = checks.number("duration", duration, minimum=0.0)
    exactly = max(bar.shape) <= EXACT_SIDE if exact is None else checks.flag("exact", exact)
    row_mask = lines("rows", rows, bar.shape[0])
    column_mask = lines("columns", columns, bar.shape[1])
    if not (row_mask.any() and column_mask.any()):
        raise InvalidValueError("rows, columns: expected at least one selected line of each")
    bias = write_bias(bar, row_mask, column_mask, voltage, scheme)
    before = to_numpy(bar.cells.r)
    pulse = Pulse(bar, bias)
    pulse.climb(None if exactly else steps)
    found, extreme = pulse.top(), pulse.extreme
    if pulse.index is not None:
        wires = bar.wires_for(bias)
        found = restore_rows(found, wires, pulse.index, bias.columns, bias.rows)
        extreme = np.zeros(bar.shape)
        extreme[pulse.index] = pulse.extreme
    return Write(
        solution=found,
        selected=row_mask[:, None] & column_mask,
        switched=to_numpy(bar.cells.r) != before,
        extreme_voltage=extreme,
        cell_energy=power(found) * duration,
        energy=float(bias.columns @ found.driver_currents - bias.rows @ found.currents) * duration,
        charge=float(np.abs(found.cell_current).sum()) * duration,
        solves=pulse.solves,
    )


def power(found: Solution) -> Array:
    """W in each cell and its access device."""
    return np.asarray(found.cell_current * (found.column_voltage - found.row_voltage))
