"""Solver for ideal wires: each line is one node, and only floating lines have unknown voltages.

Newton's method brings the residual currents of the floating lines to zero. Its matrix is the
Laplacian of the cells' small-signal conductances between these lines, small enough to be dense.
"""

from __future__ import annotations

import numpy as np

from synfab.common.errors import SolverError
from synfab.common.types import Array
from synfab.network.bias import Bias
from synfab.network.network import Cells, Solution, evaluate
from synfab.network.wires import LEAK

MAX_STEPS = 60
HALVINGS = 8


class Lines:
    """Voltages of all lines, and the currents of the cells between them."""

    def __init__(self, cells: Cells, bias: Bias, start: tuple[Array, Array] | None) -> None:
        self.cells, self.bias = cells, bias
        self.shape = (len(bias.rows), len(bias.columns))
        self.columns, self.rows = bias.columns.copy(), bias.rows.copy()
        if start is not None:
            self.columns += np.where(bias.floating_columns, start[0][0], 0.0)
            self.rows += np.where(bias.floating_rows, start[1][:, 0], 0.0)
        self.inner = None if cells.barriers is None else np.zeros(self.shape)
        self.g, self.current = np.empty(self.shape), np.empty(self.shape)
        self.zero = (np.zeros(self.shape), np.zeros(self.shape))
        self.measure()

    def measure(self) -> None:
        """Evaluate the cells; ``missing`` is the net current out of each floating line, A."""
        nodes = (*self.zero, self.columns, self.rows)
        evaluate(self.cells, nodes, self.inner, self.g, self.current, 0, self.shape[0])
        bias = self.bias
        leaving = self.current.sum(axis=0) + LEAK * self.columns
        entering = self.current.sum(axis=1) - LEAK * self.rows
        self.missing = np.concatenate(
            [leaving[bias.floating_columns], -entering[bias.floating_rows]]
        )
        self.worst = float(np.abs(self.missing).max(initial=0.0))

    def laplacian(self) -> Array:
        """Return d(missing)/d(voltage), S, for the voltages of the floating lines."""
        columns, rows = self.bias.floating_columns, self.bias.floating_rows
        between = -self.g[np.ix_(rows, columns)]
        down = np.diag(self.g.sum(axis=0)[columns] + LEAK)
        across = np.diag(self.g.sum(axis=1)[rows] + LEAK)
        return np.block([[down, between.T], [between, across]])

    def move(self, change: Array) -> None:
        """Add ``change`` to the voltages of the floating lines, columns first."""
        count = int(self.bias.floating_columns.sum())
        self.columns[self.bias.floating_columns] += change[:count]
        self.rows[self.bias.floating_rows] += change[count:]
        self.measure()

    def step(self) -> None:
        """Take one Newton step; halve it while it increases the residual."""
        before = self.worst
        change = -np.linalg.solve(self.laplacian(), self.missing)
        self.move(change)
        for _ in range(HALVINGS):
            if self.worst <= before:
                break
            change = change / 2.0
            self.move(-change)

    def solution(self, steps: int) -> Solution:
        """Return the solution after ``steps`` Newton steps."""
        columns = np.broadcast_to(self.columns, self.shape).copy()
        rows = np.broadcast_to(self.rows[:, None], self.shape).copy()
        held_rows, held_columns = ~self.bias.floating_rows, ~self.bias.floating_columns
        return Solution(
            currents=self.current.sum(axis=1) * held_rows,
            driver_currents=self.current.sum(axis=0) * held_columns,
            cell_voltage=columns - rows if self.inner is None else self.inner,
            cell_current=self.current,
            column_voltage=columns,
            row_voltage=rows,
            slope=self.g,
            residual=self.worst,
            steps=steps,
            iterations=0,
            direct=bool(self.missing.size),
        )


def solve_ideal(
    cells: Cells, bias: Bias, start: tuple[Array, Array] | None, tolerance: float
) -> Solution:
    """Return the solution without wire resistance; arguments as in ``solver.solve_lines``.

    Raises
    ------
    SolverError
        Kirchhoff's current law is not met at a floating line.
    """
    lines = Lines(cells, bias, start)
    for step in range(MAX_STEPS):
        if lines.worst <= tolerance:
            return lines.solution(step)
        lines.step()
    raise SolverError(
        f"crossbar: Kirchhoff's law is violated by {lines.worst:.2g} A at a floating line after "
        f"{MAX_STEPS} Newton steps; allowed: {tolerance:.2g} A"
    )


def through_ideal(cells: Cells, bias: Bias, found: Solution, seed: Array) -> Array:
    """Return dL/dI for a current at each crosspoint; ``seed`` is dL/dI of the row currents."""
    held = np.where(bias.floating_rows, 0.0, seed)
    through = np.tile(held[:, None], found.slope.shape[1])
    if not bias.floats:
        return through
    start = (found.column_voltage - bias.columns, found.row_voltage - bias.rows[:, None])
    lines = Lines(cells, bias, start)
    per_line = np.concatenate(
        [(held @ lines.g)[bias.floating_columns], np.zeros(int(bias.floating_rows.sum()))]
    )
    count = int(bias.floating_columns.sum())
    adjoint = np.linalg.solve(lines.laplacian(), per_line)
    at_columns, at_rows = np.zeros(len(bias.columns)), np.zeros(len(bias.rows))
    at_columns[bias.floating_columns] = adjoint[:count]
    at_rows[bias.floating_rows] = adjoint[count:]
    return np.asarray(through - (at_columns - at_rows[:, None]))
