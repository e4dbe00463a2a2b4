"""Node voltages of a crossbar with resistive wires: Newton's method around conjugate gradients.

Rows are eliminated line by line; the columns' Schur complement is solved with the columns' own
tridiagonal lines as preconditioner. Where that matrix is not positive definite (cells with a
falling I-V curve), or does not converge, the whole network goes to SciPy's sparse direct solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.conduction import Conduction
from synfab.crossbar import kernels
from synfab.crossbar.wires import Wires
from synfab.errors import SolverError

Array = npt.NDArray[Any]

# Largest current that may be missing at a node, A; rounding of large currents allows no less.
TOLERANCE = 1e-12
ROUNDING = 5e-16
MOST_STEPS = 40
MOST_ITERATIONS = 5000
LOOSE, TIGHT = 1e-3, 1e-10
HALVINGS = 8


@dataclass(frozen=True, eq=False)
class Solution:
    """One solved network; all arrays (rows, columns) unless said otherwise.

    Attributes
    ----------
    currents
        (rows,) into the sense amplifiers, A.
    cell_voltage, cell_current
        V and A across and through every cell, from column to row.
    column_voltage, row_voltage
        V at both ends of every cell.
    residual
        Largest violation of Kirchhoff's current law, A.
    steps, iterations
        Newton steps, and conjugate-gradient iterations in all of them.
    direct
        Whether the sparse direct solver had to help.
    """

    currents: Array
    cell_voltage: Array
    cell_current: Array
    column_voltage: Array
    row_voltage: Array
    residual: float
    steps: int
    iterations: int
    direct: bool


@dataclass(frozen=True, eq=False)
class Cells:
    """What conducts: states of a technology, or plain conductances (S) without ``conduction``."""

    values: Array
    conduction: Conduction | None

    def arguments(self) -> tuple[Any, ...]:
        """Arguments of ``kernels.cell_currents`` behind the voltages."""
        if self.conduction is None:
            nothing = np.zeros(1)
            return self.values, nothing, nothing, 0.0, 0.0, True
        c = self.conduction
        length = max(len(c.hhrs), len(c.llrs))
        llrs, hhrs = (np.pad(curve, (length - len(curve), 0)) for curve in (c.llrs, c.hhrs))
        return self.values, llrs, hhrs, *c.voltage_range, False


def solve(
    wires: Wires, cells: Cells, v: Array, start: tuple[Array, Array] | None = None
) -> Solution:
    """Solve the network for one vector of column voltages.

    Parameters
    ----------
    wires
        Lines.
    cells
        (rows, columns) states or conductances.
    v
        (columns,) voltages of the drivers, V.
    start
        Deviations of the column nodes and voltages of the row nodes to start from, as a
        neighbouring solution has them.

    Raises
    ------
    SolverError
        Kirchhoff's law could not be met; nothing unconverged is ever returned.
    """
    rows, columns = wires.shape
    v = np.ascontiguousarray(v, np.float64)
    row_line = np.ascontiguousarray(wires.row.T)
    lines = (wires.column, wires.top, wires.bottom, row_line, wires.left, wires.right)
    x, b = np.zeros((rows, columns)), np.zeros((columns, rows))
    if start is not None:
        x[:], b[:] = start[0], start[1].T
    g, current = np.empty((rows, columns)), np.empty((rows, columns))
    f_column, f_row = np.empty((rows, columns)), np.empty((columns, rows))
    dx, db = np.empty_like(x), np.empty_like(b)

    def measure() -> float:
        kernels.cell_currents(x, b, v, *cells.arguments(), g, current)
        return float(kernels.residuals(x, b, current, *lines, f_column, f_row))

    worst, iterations, direct = measure(), 0, False
    strongest = max(float(line.max(initial=0.0)) for line in lines)
    stop = TOLERANCE
    linear = cells.conduction is None
    for step in range(MOST_STEPS):
        # Node voltages of this size cannot be told apart any finer.
        largest = max(np.abs(x).max(), np.abs(b).max())
        stop = max(TOLERANCE, ROUNDING * strongest * float(largest))
        if worst <= stop:
            row_voltage = np.ascontiguousarray(b.T)
            column_voltage = v + x
            sensed = wires.left * row_voltage[:, 0] + wires.right * row_voltage[:, -1]
            return Solution(
                sensed, column_voltage - row_voltage, current, column_voltage, row_voltage,
                worst, step, iterations, direct,
            )  # fmt: skip
        found = kernels.newton_step(
            g, f_column, f_row, *lines, TIGHT if linear else LOOSE, MOST_ITERATIONS, dx, db
        )
        if found < 0:
            direct = True
            dx, db = _direct_step(wires, g, f_column, f_row)
        else:
            iterations += found
        before, scale = worst, 1.0
        x += dx
        b += db
        worst = measure()
        # Damping: a Newton step that makes things worse is halved.
        for _ in range(HALVINGS):
            if linear or worst <= before or worst <= stop:
                break
            scale /= 2.0
            x -= scale * dx
            b -= scale * db
            worst = measure()
    raise SolverError(
        f"crossbar: Kirchhoff's law is violated by {worst:.2g} A after {MOST_STEPS} Newton steps; "
        f"allowed: {stop:.2g} A"
    )


def _direct_step(wires: Wires, g: Array, f_column: Array, f_row: Array) -> tuple[Array, Array]:
    """One Newton step by sparse LU of the whole network."""
    from scipy.sparse.linalg import splu

    rows, columns = wires.shape
    try:
        factors = splu(matrix(wires, g), permc_spec="COLAMD")
        found = factors.solve(np.concatenate([f_column.ravel(), f_row.T.ravel()]))
    except RuntimeError as error:
        raise SolverError(f"crossbar: the network has no unique solution ({error})") from None
    half = rows * columns
    return found[:half].reshape(rows, columns), found[half:].reshape(rows, columns).T.copy()


def matrix(wires: Wires, g: Array) -> Any:
    """Conductance matrix of all nodes, columns' first, row by row each; SciPy CSC, S."""
    from scipy.sparse import coo_array

    rows, columns = wires.shape
    node = np.arange(rows * columns).reshape(rows, columns)
    other = node + rows * columns
    entries: list[tuple[Array, Array, Array]] = []

    def join(a: Array, b: Array, conductance: Array) -> None:
        p, q, c = a.ravel(), b.ravel(), conductance.ravel()
        entries.extend([(p, p, c), (q, q, c), (p, q, -c), (q, p, -c)])

    def ground(a: Array, conductance: Array) -> None:
        entries.append((a, a, conductance))

    join(node, other, g)
    join(node[1:], node[:-1], wires.column)
    join(other[:, 1:], other[:, :-1], wires.row)
    ground(node[0], wires.top)
    ground(node[-1], wires.bottom)
    ground(other[:, 0], wires.left)
    ground(other[:, -1], wires.right)
    p, q, c = (np.concatenate([entry[k] for entry in entries]) for k in range(3))
    size = 2 * rows * columns
    return coo_array((c, (p, q)), shape=(size, size)).tocsc()
