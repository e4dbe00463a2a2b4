"""Node voltages of a crossbar with resistive wires: Newton's method around conjugate gradients.

Rows are eliminated line by line; the columns' Schur complement is solved with the columns' own
tridiagonal lines as preconditioner. Where that matrix is not positive definite (cells with a
falling I-V curve), or does not converge, the whole network goes to SciPy's sparse direct solver.
"""

from __future__ import annotations

import numpy as np

from synfab.common.errors import SolverError
from synfab.common.types import Array
from synfab.network import kernels
from synfab.network.bias import Bias
from synfab.network.direct import direct_step
from synfab.network.ideal import solve_ideal
from synfab.network.network import Cells, Solution, evaluate
from synfab.network.wires import Wires

# Largest current that may be missing at a node, A; rounding of large currents allows no less.
TOLERANCE = 1e-12
ROUNDING = 5e-16
MOST_STEPS = 40
MOST_ITERATIONS = 5000
LOOSE, TIGHT = 1e-3, 1e-10
HALVINGS = 8


class Network:
    """Node voltages at work: ``x`` and ``b`` as in ``kernels``, and what is wrong with them."""

    def __init__(
        self,
        wires: Wires,
        cells: Cells,
        v: Array,
        w: Array,
        start: tuple[Array, Array] | None = None,
        tolerance: float = TOLERANCE,
    ) -> None:
        rows, columns = wires.shape
        self.wires, self.cells = wires, cells
        self.v, self.w = v, w
        self.tolerance = tolerance
        row_line = np.ascontiguousarray(wires.row.T)
        self.lines = (wires.column, wires.top, wires.bottom, row_line, wires.left, wires.right)
        self.strongest = max(float(line.max(initial=0.0)) for line in self.lines)
        self.x, self.b = np.zeros((rows, columns)), np.zeros((columns, rows))
        if start is not None:
            self.x[:], self.b[:] = start[0], start[1].T
        self.inner = None if cells.barriers is None else np.zeros((rows, columns))
        self.g, self.current = np.empty((rows, columns)), np.empty((rows, columns))
        self.f_column, self.f_row = np.empty((rows, columns)), np.empty((columns, rows))
        self.iterations, self.direct = 0, False
        self.worst = self.measure()

    def measure(self) -> float:
        """Evaluate the cells; return the largest current that is missing at a node, A."""
        nodes = (self.x, self.b, self.v, self.w)
        evaluate(self.cells, nodes, self.inner, self.g, self.current)
        self.worst = float(
            kernels.residuals(self.x, self.b, self.current, *self.lines, self.f_column, self.f_row)
        )
        return self.worst

    def allowed(self) -> float:
        """Residual to stop at, A: node voltages of this size cannot be told apart any finer."""
        largest = max(np.abs(self.x).max(), np.abs(self.b).max())
        return max(self.tolerance, ROUNDING * self.strongest * float(largest))

    def solve_linearised(
        self, f_column: Array, f_row: Array, tolerance: float
    ) -> tuple[Array, Array]:
        """Node voltages that currents into the nodes cause at the present slopes."""
        dx, db = np.empty_like(self.x), np.empty_like(self.b)
        found = kernels.newton_step(
            self.g, f_column, f_row, *self.lines, tolerance, MOST_ITERATIONS, dx, db
        )
        if found < 0:
            self.direct = True
            return direct_step(self.wires, self.g, f_column, f_row)
        self.iterations += found
        return dx, db

    def step(self) -> None:
        """One Newton step; a step that makes things worse is halved."""
        ohmic = self.cells.ohmic
        dx, db = self.solve_linearised(self.f_column, self.f_row, TIGHT if ohmic else LOOSE)
        before, scale = self.worst, 1.0
        self.x += dx
        self.b += db
        self.measure()
        for _ in range(HALVINGS):
            if ohmic or self.worst <= before or self.worst <= self.allowed():
                break
            scale /= 2.0
            self.x -= scale * dx
            self.b -= scale * db
            self.measure()

    def solution(self, steps: int) -> Solution:
        """Gather the result."""
        wires, b = self.wires, np.ascontiguousarray(self.b.T)
        column_voltage, row_voltage = self.v + self.x, self.w[:, None] + b
        between = column_voltage - row_voltage
        return Solution(
            currents=wires.left * b[:, 0] + wires.right * b[:, -1],
            driver_currents=-wires.top * self.x[0] - wires.bottom * self.x[-1],
            cell_voltage=between if self.inner is None else self.inner,
            cell_current=self.current,
            column_voltage=column_voltage,
            row_voltage=row_voltage,
            slope=self.g,
            residual=self.worst,
            steps=steps,
            iterations=self.iterations,
            direct=self.direct,
        )


def solve(
    wires: Wires,
    cells: Cells,
    v: Array,
    w: Array | None = None,
    start: tuple[Array, Array] | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Solve the network for one vector of voltages.

    Parameters
    ----------
    wires
        Lines.
    cells
        (rows, columns) at the crosspoints.
    v
        (columns,) voltages at the ends of the columns, V.
    w
        (rows,) voltages at the ends of the rows, V; None: 0 V.
    start
        (rows, columns) deviations of the column nodes from ``v`` and of the row nodes from ``w``
        to start from, as a neighbouring solution has them.
    tolerance
        Largest current that may be missing at a node, A.

    Raises
    ------
    SolverError
        Kirchhoff's law could not be met; nothing unconverged is ever returned.
    """
    rows, _ = wires.shape
    ends = np.zeros(rows) if w is None else np.ascontiguousarray(w, np.float64)
    network = Network(wires, cells, np.ascontiguousarray(v, np.float64), ends, start, tolerance)
    for step in range(MOST_STEPS):
        if network.worst <= network.allowed():
            return network.solution(step)
        network.step()
    raise SolverError(
        f"crossbar: Kirchhoff's law is violated by {network.worst:.2g} A after {MOST_STEPS} Newton "
        f"steps; allowed: {network.allowed():.2g} A"
    )


def solve_lines(
    wires: Wires | None,
    cells: Cells,
    bias: Bias,
    start: tuple[Array, Array] | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Solve for one drive, by ``solve``, or by ``solve_ideal`` where there are no ``wires``."""
    if wires is None:
        return solve_ideal(cells, bias, start, tolerance)
    return solve(wires, cells, bias.columns, bias.rows, start, tolerance)
