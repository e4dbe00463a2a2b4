"""Gradients of a crossbar with wires, by the adjoint method: one more solve of the network.

With the residual currents F(nodes, parameter) = 0 and K = -dF/d(nodes), which is symmetric, the
adjoint voltages are lambda = K^-1 dL/d(nodes), and dL/d(parameter) = lambda . dF/d(parameter). A
cell's current leaves its column and enters its row, so dL/dI = -(lambda_column - lambda_row).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synfab.common.types import Array
from synfab.model.cell_model import CellModel
from synfab.network.bias import Bias
from synfab.network.ideal import through_ideal
from synfab.network.network import Cells, Solution
from synfab.network.solver import solve_lines
from synfab.network.wires import Wires

# Largest allowed residual of the adjoint solve, relative to the current of a cell between the ends.
TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Gradient:
    """Derivatives of a quantity L that depends on the row currents.

    Attributes
    ----------
    conductance
        dL/dG, (rows, columns), with G the static conductance of each cell at U_0; units of L per S.
    columns, rows
        dL/dV, (columns,) and (rows,), with V the voltages at the ends of the lines; L per V.
    solution
        Solution at which the derivatives are taken.
    """

    conductance: Array
    columns: Array
    rows: Array
    solution: Solution


def gradient(
    wires: Wires | None, cells: Cells, bias: Bias, found: Solution, seed: Array, model: CellModel
) -> Gradient:
    """Return the gradient of L; ``seed`` is dL/dI of the row currents, (rows,)."""
    through = _through(wires, cells, bias, found, seed)
    flow = through * found.slope
    return Gradient(
        conductance=through * _per_conductance(cells, found, model),
        columns=np.where(bias.floating_columns, 0.0, flow.sum(axis=0)),
        rows=np.where(bias.floating_rows, 0.0, -flow.sum(axis=1)),
        solution=found,
    )


def _through(wires: Wires | None, cells: Cells, bias: Bias, found: Solution, seed: Array) -> Array:
    """Return dL/dI for a current from column to row at each crosspoint, (rows, columns)."""
    if wires is None:
        return through_ideal(cells, bias, found, seed)
    # K lambda = dL/d(nodes) is the linear network with the seed as voltages at the row ends.
    adjoint_bias = replace(bias, columns=np.zeros(wires.shape[1]), rows=seed)
    slopes = Cells(found.slope, None)
    tolerance = TOLERANCE * float(np.abs(seed).max() * np.abs(found.slope).max())
    adjoint = solve_lines(wires, slopes, adjoint_bias, None, tolerance)
    return np.asarray(adjoint.row_voltage - adjoint.column_voltage)


def _per_conductance(cells: Cells, found: Solution, model: CellModel) -> Array:
    """Return dI/dG (V) of each cell at its own voltage; an access device reduces it."""
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
