"""Node voltages of a crossbar with resistive wires: Newton's method with conjugate gradients.

Rows are eliminated line by line; the Schur complement of the columns is solved with the tridiagonal
column lines as preconditioner, see ``conjugate``. If it is not positive definite (cells with
negative differential resistance) or does not converge, SciPy's sparse direct solver solves the
whole network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from synfab.common.errors import SolverError
from synfab.common.types import Array
from synfab.network import kernels
from synfab.network.bias import Bias
from synfab.network.conjugate import HEAVY, Linearised, spread
from synfab.network.direct import direct_step
from synfab.network.ideal import solve_ideal
from synfab.network.network import Cells, Solution, evaluate
from synfab.network.wires import Wires

# Largest allowed current residual at a node, A; for large currents, rounding sets the limit.
TOLERANCE = 1e-12
ROUNDING = 5e-16
# The same relative to the largest current of a cell, so that differences of solutions are accurate.
RELATIVE = 1e-10
MAX_STEPS = 40
HALVINGS = 8
# Relative tolerance of a step: the loosest, and the tightest in either precision.
LOOSE, TIGHT = 1e-3, {np.float32: 3e-5, np.float64: 1e-10}
# No step is solved more accurately than to this part of the allowed residual.
ENOUGH = 0.1
# A step that leaves more than this part of the residual is slow. Ohmic cells are then solved in
# double precision; other cells after several slow steps, which their I-V curves may also cause.
SLOW, MAX_SLOW_STEPS = 0.5, 3


class Network:
    """Newton iteration on the node voltages ``x`` and ``b`` as in ``kernels``.

    A network can be solved repeatedly, with different cells and voltages on the same wires: memory,
    node voltages and the factorisation are kept.
    """

    def __init__(self, wires: Wires) -> None:
        shape = wires.shape
        self.wires = wires
        self.lines = (wires.column, wires.top, wires.bottom, wires.row, wires.left, wires.right)
        self.x, self.b = np.zeros(shape), np.zeros(shape)
        self.g, self.current = np.empty(shape), np.empty(shape)
        self.f_column, self.f_row = np.empty(shape), np.empty(shape)
        self.extremes = np.empty((2, shape[0]))
        self.inner: Array | None = None
        self.linearised = Linearised(wires, np.float32)

    def solve(self, cells: Cells, bias: Bias, tolerance: float | None = None) -> None:
        """Solve for the node voltages, starting from the present ones.

        Raises
        ------
        SolverError
            Kirchhoff's current law is not met.
        """
        self.cells, self.v, self.w = cells, bias.columns, bias.rows
        if cells.barriers is not None and self.inner is None:
            self.inner = np.zeros(self.x.shape)
        self.steps = self.iterations = self.slow_steps = 0
        self.direct = self.factored = False
        self.rate: float = np.inf  # part of the residual that the last step left
        self.measure()
        if tolerance is None:
            tolerance = min(TOLERANCE, RELATIVE * float(np.abs(self.current).max()))
        while not self.worst <= (allowed := self.allowed(tolerance)):
            if self.steps == MAX_STEPS:
                raise SolverError(
                    f"crossbar: Kirchhoff's law is violated by {self.worst:.2g} A after "
                    f"{MAX_STEPS} Newton steps; allowed: {allowed:.2g} A"
                )
            self.step(allowed)
            self.steps += 1

    def measure(self) -> None:
        """Evaluate the cells and the current residuals: the largest is ``worst``, A."""
        cells, nodes, found = self.cells, (self.x, self.b, self.v, self.w), (self.g, self.current)
        left = (*self.lines, self.f_column, self.f_row, self.extremes)

        def work(low: int, high: int) -> None:
            if self.inner is None or cells.barriers is None:
                kernels.measure(low, high, *nodes, *cells.curve(), *found, *left)
            else:
                evaluate(cells, nodes, self.inner, *found, low, high)
                kernels.residuals(low, high, self.x, self.b, self.current, *left)

        spread(work, len(self.x), HEAVY * self.x.size)
        self.worst, self.highest = map(float, self.extremes.max(axis=1))

    def allowed(self, tolerance: float) -> float:
        """Return the residual (A) at which to stop, given the rounding of the node voltages."""
        return max(tolerance, ROUNDING * self.wires.strongest * self.highest)

    def step(self, allowed: float) -> None:
        """Take one Newton step; halve it while it increases the residual."""
        before, size = self.worst, 1.0
        move = self.correction(allowed)
        move(1.0)
        self.measure()
        for _ in range(HALVINGS):
            if self.cells.ohmic or self.worst <= before or self.worst <= allowed:
                break
            size /= 2.0
            move(-size)
            self.measure()
        self.rate = self.worst / before
        if self.rate > SLOW:
            self.slow_steps += 1
            if self.cells.ohmic or self.slow_steps > MAX_SLOW_STEPS:
                self.use_double()

    def correction(self, allowed: float) -> Callable[[float], None]:
        """Return a function that adds a multiple of the Newton step to the node voltages."""
        f_column, f_row = self.f_column, self.f_row
        while self.factor(allowed):
            found = self.linearised.solve(f_column, f_row, self.worst, self.step_tolerance(allowed))
            if found >= 0:
                self.iterations += found
                return partial(self.linearised.move, column_nodes=self.x, row_nodes=self.b)
            if not self.use_double():
                break
        self.direct = True
        dx, db = direct_step(self.wires, self.g, f_column, f_row)

        def move(size: float) -> None:
            self.x += size * dx
            self.b += size * db

        return move

    def step_tolerance(self, allowed: float) -> float:
        """Return the relative tolerance of the next step.

        The error of a step is the square of the one before (Newton), or that of the step's solution
        alone (ohmic cells); accuracy beyond ``allowed`` would be wasted.
        """
        expected = 0.0 if self.cells.ohmic else min(self.rate**2, LOOSE)
        tightest = TIGHT[self.linearised.dtype]
        return min(max(expected, tightest, ENOUGH * allowed / self.worst), LOOSE)

    def factor(self, allowed: float) -> bool:
        """Factor the lines unless that can be saved; return whether all pivots are positive."""
        # Slopes of the step before: the next step leaves the same part of the residual.
        kept = self.cells.ohmic or self.rate * self.worst <= allowed
        if not (self.factored and kept):
            self.factored = self.linearised.factor(self.g)
        return self.factored

    def use_double(self) -> bool:
        """Compute further steps in double precision; return False if that is the case already."""
        if self.linearised.dtype is np.float64:
            return False
        self.linearised, self.factored = Linearised(self.wires, np.float64), False
        return True

    @property
    def cell_voltage(self) -> Array:
        """Voltages of the cells, V, (rows, columns)."""
        if self.inner is not None:
            return self.inner
        u = self.v - self.w[:, None]
        u += self.x
        u -= self.b
        return u

    def solution(self) -> Solution:
        """Return the solution; it shares memory with the network until that is solved again."""
        wires, x, b = self.wires, self.x, self.b
        return Solution(
            currents=wires.left * b[:, 0] + wires.right * b[:, -1],
            driver_currents=-wires.top * x[0] - wires.bottom * x[-1],
            cell_voltage=self.cell_voltage,
            cell_current=self.current,
            column_voltage=self.v + x,
            row_voltage=self.w[:, None] + b,
            slope=self.g,
            residual=self.worst,
            steps=self.steps,
            iterations=self.iterations,
            direct=self.direct,
        )


def solve_lines(
    wires: Wires | None,
    cells: Cells,
    bias: Bias,
    start: tuple[Array, Array] | None = None,
    tolerance: float | None = None,
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
        Largest allowed current residual at a node, A; None: ``TOLERANCE``, or ``RELATIVE`` times
        the largest current of a cell if that is less.

    Raises
    ------
    SolverError
        Kirchhoff's current law is not met; an unconverged solution is never returned.
    """
    if wires is None:
        return solve_ideal(cells, bias, start, TOLERANCE if tolerance is None else tolerance)
    network = Network(wires)
    if start is not None:
        network.x[:], network.b[:] = start
    network.solve(cells, bias, tolerance)
    return network.solution()
