"""Input and output of the network solver: cells and solutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synfab.common.array_checks import read_only
from synfab.common.no_array import no_array
from synfab.common.types import Array
from synfab.model.conduction import Conduction
from synfab.network import kernels
from synfab.network.access import Barriers
from synfab.network.html import solution_html


@no_array("solution.currents, solution.cell_voltage or solution.cell_current")
@dataclass(frozen=True, eq=False)
class Solution:
    """Solution of one network; arrays have shape (rows, columns) unless stated otherwise.

    Attributes
    ----------
    currents
        Currents into the sense amplifiers (or other terminations of the rows), A, (rows,).
    driver_currents
        Currents out of the column drivers, A, (columns,).
    cell_voltage, cell_current
        Voltage (V) across and current (A) through every cell, from column to row.
    column_voltage, row_voltage
        Line voltages at both ends of every cell and its access device, V.
    slope
        Small-signal conductance between the lines at each crosspoint, S.
    residual
        Largest violation of Kirchhoff's current law, A.
    steps, iterations
        Number of Newton steps, and total number of conjugate-gradient iterations.
    direct
        Whether a direct solver was used.
    """

    currents: Array
    driver_currents: Array
    cell_voltage: Array
    cell_current: Array
    column_voltage: Array
    row_voltage: Array
    slope: Array
    residual: float
    steps: int
    iterations: int
    direct: bool

    def _repr_html_(self) -> str:
        return solution_html(self)


@dataclass(frozen=True, eq=False)
class Cells:
    """Conducting elements at the crosspoints.

    Attributes
    ----------
    values
        States of the cells, or conductances (S) if ``conduction`` is None, (rows, columns).
    conduction
        I-V curves of the technology; None: ohmic cells.
    barriers
        Access devices and defects; None: neither.
    """

    values: Array
    conduction: Conduction | None
    barriers: Barriers | None = None

    def curve(self) -> tuple[Any, ...]:
        """Return the arguments of the current kernels that follow the voltages."""
        values = np.ascontiguousarray(self.values)
        if self.conduction is None:
            nothing = read_only(np.zeros(1))  # as curves are, so that kernels compile once
            return values, nothing, nothing, 0.0, 0.0, True
        c = self.conduction
        return values, *c.padded, *c.voltage_range, False

    @property
    def ohmic(self) -> bool:
        """Whether the network is linear."""
        return self.conduction is None and (self.barriers is None or not self.barriers.saturation)


def evaluate(
    cells: Cells,
    nodes: tuple[Array, ...],
    inner: Array | None,
    g: Array,
    current: Array,
    low: int,
    high: int,
) -> None:
    """Compute slopes ``g`` and currents of the cells in rows low … high - 1.

    ``nodes`` are x, b, v, w as in ``kernels``.
    """
    if inner is None or cells.barriers is None:
        kernels.cell_currents(low, high, *nodes, *cells.curve(), g, current)
    else:
        kernels.barred_currents(
            low, high, *nodes, *cells.curve(), *cells.barriers, inner, g, current
        )
