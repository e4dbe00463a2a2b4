"""Rising edge of a pulse: the actual voltage of every cell, and which cells switch.

A cell that RESETs raises the voltage of its neighbours, never lowers it, so the outcome of a pulse
that only RESETs does not depend on the shape of the edge: the network is solved at full voltage
until no state changes. A cell that SETs lowers the voltage of its neighbours, so the order matters:
the edge is ramped in steps, or event by event.
"""

from __future__ import annotations

import numpy as np

from synfab.common.types import Array, Mask
from synfab.crossbar.circuit import Circuit
from synfab.network import kernels
from synfab.network.access import Barriers, make_barriers
from synfab.network.bias import Bias
from synfab.network.ideal import solve_ideal
from synfab.network.network import Cells, Solution
from synfab.network.reduction import distances, keep_rows
from synfab.network.solver import TOLERANCE, Network
from synfab.random.arrays import to_numpy

MAX_STEPS = 10
# Steps of an event-by-event edge, in addition to one per SET.
EXACT_STEPS = 100
# Allowed current residual at a node, A, while cells still switch: event by event, on a ramp, and
# for estimating the voltage at which the edge starts. 1e-7 A changes voltages by some 10 uV
# (0.4 mV at most) with 0.5 to 20 ohm per segment; the steps of a ramp are coarser by far.
BY_EVENT, ON_RAMP, ROUGHLY = 1e-8, 1e-7, 1e-6
# Cells have settled when no state changes by more than this; the range of r is about 1.
SETTLED, EXACTLY_SETTLED = 1e-3, 1e-6
MAX_SETTLING = 1000
# The edge starts at this fraction of the voltage of the first SET without prior switching.
EARLY = 0.9


def _conducting_rows(barriers: Barriers | None) -> Array | None:
    """Return the numbers of the rows that conduct; None: all rows, or no row."""
    if barriers is None:
        return None
    conducts = np.isfinite(barriers.resistance).any(axis=1)
    return None if conducts.all() or not conducts.any() else np.flatnonzero(conducts)


class Pulse:
    """Rising edge of a pulse, restricted to the rows that conduct.

    Attributes
    ----------
    index
        Numbers of the rows that conduct; None: all. Other arrays contain only these rows.
    extreme
        Extreme voltage of each cell, V, as in ``pulses.Write``.
    solves
        Number of networks solved.
    """

    def __init__(self, circuit: Circuit, bias: Bias) -> None:
        self.circuit, self.bias = circuit, bias
        self.wires = circuit.wires_for(bias)
        self.barriers = make_barriers(circuit.shape, circuit.access, circuit.stuck, bias.gates)
        self.good = circuit.good
        self.index = _conducting_rows(self.barriers)
        if self.index is not None:
            self._keep(self.index)
        self.extreme = np.zeros((len(self.bias.rows), len(bias.columns)))
        self.solves = 0
        self._scale: float | None = None  # of the last solution
        self._network = None if self.wires is None else Network(self.wires)
        self._ideal: Solution

    def _keep(self, index: Array) -> None:
        """Remove the rows that do not conduct."""
        assert self.barriers is not None
        whole, self.bias = self.bias, self.bias.kept(index)
        if self.wires is not None:
            along = distances(self.wires) if whole.floats else self.circuit.along
            self.wires = keep_rows(self.wires, along, index)
        resistance, stuck, *selector = self.barriers
        self.barriers = Barriers(resistance[index], stuck[index], *selector)
        self._mask = np.zeros(self.circuit.shape, np.bool_)
        self._voltage = np.zeros(self.circuit.shape, np.float32)
        self.good = None if self.good is None else self.good[index]

    @property
    def _states(self) -> Array:
        r = self.circuit.states
        return r if self.index is None else np.asarray(r[self.index])

    def solve(self, scale: float, tolerance: float = BY_EVENT) -> Solution:
        """Return the solution at ``scale`` times the pulse; valid until the next solve."""
        self._solve(scale, tolerance)
        return self._ideal if self._network is None else self._network.solution()

    def voltage(self, scale: float, tolerance: float = BY_EVENT) -> Array:
        """Return the cell voltages at ``scale`` times the pulse, V; valid as those of ``solve``."""
        self._solve(scale, tolerance)
        return self._ideal.cell_voltage if self._network is None else self._network.cell_voltage

    def _solve(self, scale: float, tolerance: float) -> None:
        """Solve at ``scale`` times the pulse, starting from the last solution, scaled."""
        cells = Cells(
            self._states.astype(np.float64), self.circuit.cells.model.conduction, self.barriers
        )
        last, bias = self._scale, self.bias.scaled(scale)
        # A solution at zero voltage cannot be scaled.
        ratio = scale / last if last else 0.0
        if self._network is None:
            start = None
            if last is not None:
                start = (
                    ratio * (self._ideal.column_voltage - last * self.bias.columns),
                    ratio * (self._ideal.row_voltage - last * self.bias.rows[:, None]),
                )
            self._ideal = solve_ideal(cells, bias, start, tolerance)
        else:
            self._network.x *= ratio
            self._network.b *= ratio
            self._network.solve(cells, bias, tolerance)
        self._scale = scale
        self.solves += 1

    def switch(self, u: Array, where: Mask | None = None) -> None:
        """Apply voltages ``u`` to the cells."""
        kernels.keep_larger(u, self.extreme)
        mask = self.good if where is None else where if self.good is None else where & self.good
        if self.index is None:
            self.circuit.cells.apply_voltage(u, where=mask)
        else:
            self._voltage[self.index] = u
            self._mask[self.index] = True if mask is None else mask
            self.circuit.cells.apply_voltage(self._voltage, where=self._mask)

    def change(self, u: Array) -> float:
        """Apply voltages ``u`` to the cells; return the largest change of a state."""
        before = self._states
        self.switch(u)
        return float(np.abs(self._states - before).max())

    def due(self, u: Array) -> Array:
        """Return u / U_SET of the cells that would SET at voltages ``u``, 0 for all others."""
        if u.min() >= 0.0:
            return np.zeros(u.shape)
        cells = self.circuit.cells
        view = cells if self.index is None else cells[self.index]
        u_set, in_lrs = to_numpy(view.features["u_set"]), to_numpy(view.in_lrs)
        sets = ~in_lrs & (u.astype(np.float32) <= u_set)
        if self.good is not None:
            sets &= self.good
        # A cell with U_SET above 0 V SETs immediately.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(sets, np.where(u_set < 0.0, u / u_set, np.inf), 0.0)

    def climb(self, steps: int | None) -> None:
        """Ramp from zero to full voltage in ``steps``; None: event by event."""
        u = self.voltage(1.0, ROUGHLY)
        overdue = float(self.due(u).max())
        if overdue == 0.0:
            self.settle(MAX_STEPS if steps is not None else None)
            return
        first = EARLY / overdue if np.isfinite(overdue) else 0.0
        if steps is not None:
            for scale in np.linspace(first, 1.0, steps + 1)[1:]:
                self.switch(self.voltage(float(scale), ON_RAMP))
            return
        for scale in np.linspace(first, 1.0, EXACT_STEPS + 1)[1:]:
            self.events(float(scale))

    def settle(self, most: int | None) -> None:
        """Solve and switch at full voltage until no state changes."""
        exact = most is None
        settled = EXACTLY_SETTLED if exact else SETTLED
        tolerance = BY_EVENT if exact else ON_RAMP
        for _ in range(MAX_SETTLING if most is None else most):
            if self.change(self.voltage(1.0, tolerance)) <= settled:
                return

    def events(self, scale: float) -> None:
        """SET cells one by one, the farthest beyond U_SET first; RESETs settle in between."""
        for _ in range(MAX_SETTLING + self.extreme.size):
            u = self.voltage(scale)
            overdue = self.due(u)
            if overdue.any():
                first = np.zeros(overdue.size, np.bool_)
                first[np.argmax(overdue)] = True
                self.switch(u, first.reshape(overdue.shape))
            elif self.change(u) <= EXACTLY_SETTLED:
                return

    def top(self) -> Solution:
        """Return the solution at full voltage, for the present states of the cells."""
        found = self.solve(1.0, TOLERANCE)
        kernels.keep_larger(found.cell_voltage, self.extreme)
        return found
