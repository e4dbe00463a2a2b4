"""Newton steps of a crossbar by conjugate gradients, in single precision wherever that suffices.

A step is only as accurate as its tolerance, and the residual is always evaluated in double
precision, so the precision of the step decides how many steps there are, not how good the solution
is (iterative refinement). Single precision halves the memory traffic, which limits the speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba.threads import share
from synfab.network import panels
from synfab.network.vectors import LANES
from synfab.network.wires import Wires

MAX_ITERATIONS = 5000
# From this number of cells, threads save time in an iteration; factoring the lines and evaluating
# the cells is HEAVY times the work.
SHARED, HEAVY = 250_000, 3


def spread(kernel: Any, count: int, work: int, *arguments: Any) -> None:
    """Call ``kernel(low, high, *arguments)`` over 0 … count, by threads if that saves time."""
    if work < SHARED:
        kernel(0, count, *arguments)
    else:
        share(lambda low, high: kernel(low, high, *arguments), count, work, discardable=True)


class Linearised:
    """Network linearised at the present slopes of its cells; arrays are those of ``panels``.

    Parameters
    ----------
    wires
        Conductances of the lines.
    dtype
        float32 or float64.
    """

    def __init__(self, wires: Wires, dtype: type[np.floating[Any]]) -> None:
        self.wires, self.dtype = wires, dtype
        rows, columns = wires.shape
        self.size = rows * columns
        self.column_panels, self.row_panels = -(-columns // LANES), -(-rows // LANES)
        self.row_off = np.zeros((self.row_panels, self.column_panels * LANES, LANES), dtype)
        arrays = np.zeros((9, self.column_panels, self.row_panels * LANES, LANES), dtype)
        self.column_off, self.column_scale, self.row_scale, self.coupling = arrays[:4]
        self.r, self.p, self.x, self.source, self.t = arrays[4:]
        self.sums = np.zeros(max(self.column_panels, self.row_panels))
        self.unit = 1.0

    def over_columns(self, kernel: Any, *arguments: Any) -> None:
        """Call a kernel on the panels of column lines."""
        spread(kernel, self.column_panels, self.size, *arguments)

    def over_rows(self, kernel: Any, *arguments: Any) -> None:
        """Call a kernel on the panels of row lines, or on bands of rows."""
        spread(kernel, self.row_panels, self.size, *arguments)

    def factor(self, g: Array) -> bool:
        """Factor the lines with cells ``g``, S; return whether all pivots are positive."""
        wires, scales = self.wires, (self.column_scale, self.row_scale)
        good = np.zeros(self.column_panels, np.bool_), np.zeros(self.row_panels, np.bool_)
        column = (wires.column, wires.top, wires.bottom, False, self.column_off, scales[0])
        row = (wires.row, wires.left, wires.right, True, self.row_off, scales[1])
        work = HEAVY * self.size
        spread(panels.factor, self.column_panels, work, g, *column, good[0])
        spread(panels.factor, self.row_panels, work, g, *row, good[1])
        self.over_rows(panels.couple, g, *scales, self.coupling)
        return bool(good[0].all() and good[1].all())

    def solve(self, f_column: Array, f_row: Array, worst: float, tolerance: float) -> int:
        """Solve for currents into the nodes; return the number of iterations, -1 if that fails.

        ``worst`` is the largest of the currents; the residual decreases by ``tolerance``.
        """
        # Scaled to the largest current: squares of small ones would underflow in float32.
        self.unit = 1.0 / worst
        if self.size >= SHARED:
            return self.solve_shared(f_column, f_row, tolerance)
        found: int = panels.solve(
            f_column, f_row, self.unit, tolerance, MAX_ITERATIONS,
            self.column_off, self.column_scale, self.row_off, self.row_scale, self.coupling,
            self.r, self.p, self.x, self.source, self.t, self.sums,
        )  # fmt: skip
        return found

    def solve_shared(self, f_column: Array, f_row: Array, tolerance: float) -> int:
        """Solve as ``panels.solve`` does, each kernel shared among threads."""
        scales, lines = (self.column_scale, self.row_scale), (self.coupling, self.column_off)
        of_columns, of_rows = self.sums[: self.column_panels], self.sums[: self.row_panels]
        x, t, r, p = self.x, self.t, self.r, self.p
        self.over_rows(panels.enter, f_column, f_row, self.unit, *scales, r, self.source, t)
        self.over_rows(panels.solve_rows, self.row_off, t, of_rows)
        self.over_columns(panels.begin, t, *lines, r, p, x)
        first = rest = beta = 0.0
        for iteration in range(MAX_ITERATIONS):
            self.over_columns(panels.turn, beta, r, *lines, p, t, of_columns)
            along = float(of_columns.sum())
            if iteration == 0:
                first = rest = along
            if rest <= tolerance * tolerance * first:
                self.over_columns(panels.finish, x, *lines, self.source, t)
                self.over_rows(panels.solve_rows, self.row_off, t, of_rows)
                return iteration
            self.over_rows(panels.solve_rows, self.row_off, t, of_rows)
            curvature = along - float(of_rows.sum())
            if not curvature > 0.0:
                break
            before, alpha = rest, rest / curvature
            self.over_columns(panels.advance, alpha, t, *lines, p, r, x, of_columns)
            rest = float(of_columns.sum())
            beta = rest / before
        return -1

    def move(self, size: float, column_nodes: Array, row_nodes: Array) -> None:
        """Add ``size`` times the solution to the voltages of the nodes."""
        scales = self.column_scale, self.row_scale
        self.over_rows(
            panels.move, size / self.unit, self.x, self.t, *scales, column_nodes, row_nodes
        )
