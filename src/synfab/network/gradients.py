"""Gradients through the wires by one more solve of the same network.

With the missing currents F(nodes, parameter) = 0 and K = -dF/d(nodes), which is symmetric, the
adjoint voltages are lambda = K^-1 dL/d(nodes), and dL/d(parameter) = lambda . dF/d(parameter). A
cell's current leaves its column and enters its row, so dL/dI = -(lambda_column - lambda_row).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synfab.common.types import Array
from synfab.model.cell_model import CellModel
from synfab.network.bias import Bias
from synfab.network.ideal import through_ideal
from synfab.network.network import Cells, Solution
from synfab.network.solver import Network
from synfab.network.wires import Wires

# Of the adjoint solve, relative.
TOLERANCE = 1e-13


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of L, which depends on the rows' currents.

    Attributes
    ----------
    conductance
        (rows, columns) dL/dG with G each cell's static conductance at U_0; units of L per S.
    columns, rows
        (columns,) and (rows,) dL/dV with respect to the voltages at the lines' ends; per V.
    solution
        The network that was differentiated.
    """

    conductance: Array
    columns: Array
    rows: Array
    solution: Solution


def gradient(
    wires: Wires | None, cells: Cells, bias: Bias, found: Solution, seed: Array, model: CellModel
) -> Gradient:
    """Differentiate; ``seed`` is dL/dI of the rows' currents, (rows,)."""
    through = _through(wires, cells, bias, found, seed)
    flow = through * found.slope
    return Gradient(
        conductance=through * _per_conductance(cells, found, model),
        columns=np.where(bias.floating_columns, 0.0, flow.sum(axis=0)),
        rows=np.where(bias.floating_rows, 0.0, -flow.sum(axis=1)),
        solution=found,
    )


def _through(wires: Wires | None, cells: Cells, bias: Bias, found: Solution, seed: Array) -> Array:
    """dL/dI of a current put through each crosspoint from column to row, (rows, columns)."""
    if wires is None:
        return through_ideal(cells, bias, found, seed)
    start = (found.column_voltage - bias.columns, found.row_voltage - bias.rows[:, None])
    network = Network(wires, cells, bias.columns, bias.rows, start)
    rows, columns = wires.shape
    into_rows = np.zeros((columns, rows))
    into_rows[0] += seed * wires.left
    into_rows[-1] += seed * wires.right
    at_column, at_row = network.solve_linearised(np.zeros((rows, columns)), into_rows, TOLERANCE)
    return np.asarray(at_row.T - at_column)


def _per_conductance(cells: Cells, found: Solution, model: CellModel) -> Array:
    """dI/dG of each cell at its own voltage, V; behind an access device the cell yields to it."""
    conduction, u = model.conduction, found.cell_voltage
    if cells.conduction is None:
        rate, slope = u, cells.values
    else:
        rate = (conduction.current(0.0, u) - conduction.current(1.0, u)) / conduction.g_span
        slope = conduction.slope(cells.values, u)
    if cells.barriers is None:
        return np.asarray(rate)
    part = found.slope / np.where(slope == 0.0, 1.0, slope)
    return np.where(np.isnan(cells.barriers.stuck), rate * part, 0.0)
