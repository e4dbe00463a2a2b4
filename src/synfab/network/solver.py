"""Node voltages of a crossbar with resistive wires: Newton's method with conjugate gradients.

Rows are eliminated line by line; the Schur complement of the columns is solved with the tridiagonal
column lines as preconditioner. If it is not positive definite (cells with negative differential
resistance) or does not converge, SciPy's sparse direct solver solves the whole network.
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

# Largest allowed current residual at a node, A; for large currents, rounding sets the limit.
TOLERANCE = 1e-12
ROUNDING = 5e-16
MAX_STEPS = 40
MAX_ITERATIONS = 5000
LOOSE, TIGHT = 1e-3, 1e-10
HALVINGS = 8


class Network:
    """Newton iteration: node voltages ``x`` and ``b`` as in ``kernels``, and their residuals."""

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
        """Evaluate the cells; return the largest current residual at a node, A."""
        nodes = (self.x, self.b, self.v, self.w)
        evaluate(self.cells, nodes, self.inner, self.g, self.current)
        self.worst = float(
            kernels.residuals(self.x, self.b, self.current, *self.lines, self.f_column, self.f_row)
        )
        return self.worst

    def allowed(self) -> float:
        """Return the residual (A) at which to stop, given the rounding of the node voltages."""
        largest = max(np.abs(self.x).max(), np.abs(self.b).max())
        return max(self.tolerance, ROUNDING * self.strongest * float(largest))

    def solve_linearised(
        self, f_column: Array, f_row: Array, tolerance: float
    ) -> tuple[Array, Array]:
        """Return the node voltages caused by currents into the nodes, at the present slopes."""
        dx, db = np.empty_like(self.x), np.empty_like(self.b)
        found = kernels.newton_step(
            self.g, f_column, f_row, *self.lines, tolerance, MAX_ITERATIONS, dx, db
        )
        if found < 0:
            self.direct = True
            return direct_step(self.wires, self.g, f_column, f_row)
        self.iterations += found
        return dx, db

    def step(self) -> None:
        """Take one Newton step; halve it while it increases the residual."""
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
        """Return the solution after ``steps`` Newton steps."""
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


def solve_lines(
    wires: Wires | None,
    cells: Cells,
    bias: Bias,
    start: tuple[Array, Array] | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Return the solution of the network for one bias.

    Parameters
    ----------
    wires
        Conductances of the lines; None: ideal wires, see ``solve_ideal``.
    cells
        Cells at the crosspoints, (rows, columns).
    bias
        Voltages at the ends of the lines.
    start
        Initial guess, for example from a similar solution: deviations (rows, columns) of the column
        and row nodes from the voltages at the ends of their lines.
    tolerance
        Largest allowed current residual at a node, A.

    Raises
    ------
    SolverError
        Kirchhoff's current law is not met; an unconverged solution is never returned.
    """
    if wires is None:
        return solve_ideal(cells, bias, start, tolerance)
    network = Network(wires, cells, bias.columns, bias.rows, start, tolerance)
    for step in range(MAX_STEPS):
        if network.worst <= network.allowed():
            return network.solution(step)
        network.step()
    raise SolverError(
        f"crossbar: Kirchhoff's law is violated by {network.worst:.2g} A after {MAX_STEPS} Newton "
        f"steps; allowed: {network.allowed():.2g} A"
    )
