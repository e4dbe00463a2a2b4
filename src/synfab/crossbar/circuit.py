"""Circuit description of a crossbar: cells, wires, access devices and defects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import Array, ArrayLike, DriveEnd, GridShape, LineSelection, Mask, SenseEnd
from synfab.io.memory import require_memory
from synfab.network.access import Access, Selector, Transistor, defects, make_barriers
from synfab.network.bias import Bias, lines, make_bias
from synfab.network.network import Cells, Solution
from synfab.network.reduction import distances
from synfab.network.solver import solve_lines
from synfab.network.wires import Resistance, Wires, make_wires
from synfab.random.arrays import to_numpy

# float64 arrays of (rows, columns) that the solver holds per input vector being solved.
ARRAYS = 20


def network_bytes(shape: GridShape) -> int:
    """Return the memory (bytes) to solve a (rows, columns) network, cells not included."""
    lengths = checks.axes("shape", shape)
    if len(lengths) != 2:
        raise InvalidValueError(f"shape: expected (rows, columns), found {len(lengths)} axes")
    rows, columns = lengths
    return 8 * ARRAYS * rows * columns


@no_array("circuit.cells.conductance()")
@dataclass(frozen=True, eq=False)
class Circuit:
    """Circuit of a crossbar, as used by reading, writing, programming and netlists.

    The description is immutable; the state of its cells is not.

    Attributes
    ----------
    cells
        Array of shape (rows, columns), of any engine.
    wires
        Wires between the cells; None: ideal wires.
    access
        Access device in series with every cell; None: no access devices.
    stuck
        Conductance of defective cells, S, NaN for all others, (rows, columns); None: no defects.
    """

    cells: CellArray[Any]
    wires: Wires | None = None
    access: Access | None = None
    stuck: Array | None = None

    @property
    def shape(self) -> GridShape:
        """Rows and columns."""
        rows, columns = self.cells.shape
        return rows, columns

    @cached_property
    def along(self) -> Array:
        """Resistance (ohm) along each column from its first crosspoint, (rows, columns)."""
        return np.zeros(self.shape) if self.wires is None else distances(self.wires)

    @property
    def states(self) -> Array:
        """State r of every cell as a NumPy array, (rows, columns), float32."""
        return to_numpy(self.cells.r)

    @property
    def good(self) -> Mask | None:
        """Mask of the cells without a defect; None: all."""
        return None if self.stuck is None else np.isnan(self.stuck)

    def bias(
        self,
        v: ArrayLike,
        row_voltage: ArrayLike = 0.0,
        floating_columns: LineSelection | None = None,
        floating_rows: LineSelection | None = None,
        gates: LineSelection | None = None,
    ) -> Bias:
        """Return the checked bias conditions; arguments as in ``Crossbar.solve``."""
        on = self.gate_lines(gates)
        return make_bias(self.shape, v, row_voltage, floating_columns, floating_rows, on)

    def gate_lines(self, gates: LineSelection | None) -> Mask | None:
        """Return the mask of the gate lines that are on; None: all, or no gate lines."""
        if gates is None:
            return None
        if not isinstance(self.access, Transistor):
            raise InvalidValueError("gates: expected None, the crossbar has no transistors")
        return lines("gates", gates, self.shape[0 if self.access.gates == "rows" else 1])

    def selected_gates(self, rows: Mask, columns: Mask) -> Mask | None:
        """Return the mask of the gate lines to turn on for selected lines; None: no gate lines."""
        if not isinstance(self.access, Transistor):
            return None
        return rows if self.access.gates == "rows" else columns

    def conducting(self, linear: bool = False, gates: Mask | None = None) -> Cells:
        """Return the cells in the solver's form; ``linear``: as conductances at U_0."""
        barriers = make_barriers(self.shape, self.access, self.stuck, gates)
        conduction = self.cells.model.conduction
        states = self.states.astype(np.float64)
        if not linear:
            return Cells(states, conduction, barriers)
        if barriers is not None and barriers.saturation:
            raise InvalidValueError("linear: a selector cannot be taken as a resistor")
        return Cells(conduction.conductance(states), None, barriers)

    def wires_for(self, bias: Bias) -> Wires | None:
        """Return the wires with floating lines disconnected at their ends; None: ideal wires."""
        if self.wires is None or not bias.floats:
            return self.wires
        return self.wires.floating(bias.floating_rows, bias.floating_columns)

    def solve_bias(
        self,
        bias: Bias,
        cells: Cells,
        start: tuple[Array, Array] | None = None,
        tolerance: float | None = None,
    ) -> Solution:
        """Return the solution for one bias; see ``solver.solve_lines``."""
        return solve_lines(self.wires_for(bias), cells, bias, start, tolerance)


def make_circuit(
    cells: CellArray[Any],
    wire_resistance: Resistance,
    source_resistance: ArrayLike,
    sense_resistance: ArrayLike,
    drive: DriveEnd,
    sense: SenseEnd,
    access: Access | None,
    open_cells: ArrayLike | None,
    shorted_cells: ArrayLike | None,
    short_resistance: float,
) -> Circuit:
    """Return the circuit of a ``Crossbar`` after checking its arguments."""
    checks.instance("cells", cells, CellArray)
    if cells.ndim != 2:
        raise InvalidValueError(f"cells: expected rows x columns, found shape {cells.shape}")
    rows, columns = cells.shape
    require_memory(network_bytes((rows, columns)), f"a crossbar of {rows} x {columns} cells")
    if access is not None:
        checks.instance(
            "access", access, (Transistor, Selector), "a Transistor, a Selector or None"
        )
    wires = make_wires(
        (rows, columns), wire_resistance, source_resistance, sense_resistance, drive, sense
    )
    stuck = defects((rows, columns), open_cells, shorted_cells, short_resistance)
    return Circuit(cells, wires, access, stuck)
