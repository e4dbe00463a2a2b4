"""What goes into a network and what comes out: cells and solutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synfab.common.checks import read_only
from synfab.common.types import Array
from synfab.model.conduction import Conduction
from synfab.network import kernels
from synfab.network.access import Barriers


@dataclass(frozen=True, eq=False)
class Solution:
    """One solved network; all arrays (rows, columns) unless said otherwise.

    Attributes
    ----------
    currents
        (rows,) into the sense amplifiers, or whatever is at the ends of the rows, A.
    driver_currents
        (columns,) out of the columns' drivers, A.
    cell_voltage, cell_current
        V and A across and through every cell, from column to row.
    column_voltage, row_voltage
        V at both ends of every cell and what is in series with it.
    slope
        Small-signal conductance between the lines at each crosspoint, S.
    residual
        Largest violation of Kirchhoff's current law, A.
    steps, iterations
        Newton steps, and conjugate-gradient iterations in all of them.
    direct
        Whether the sparse direct solver had to help.
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


@dataclass(frozen=True, eq=False)
class Cells:
    """What conducts at the crosspoints.

    Attributes
    ----------
    values
        (rows, columns) states of a technology, or conductances (S) without ``conduction``.
    conduction
        I-V curves of the technology; None: ohmic cells.
    barriers
        Access devices and defects; None where lines touch good cells.
    """

    values: Array
    conduction: Conduction | None
    barriers: Barriers | None = None

    def curve(self) -> tuple[Any, ...]:
        """Arguments of the current kernels behind the voltages."""
        if self.conduction is None:
            nothing = read_only(np.zeros(1))  # as curves are: kernels are compiled for one type
            return self.values, nothing, nothing, 0.0, 0.0, True
        c = self.conduction
        return self.values, *c.padded, *c.voltage_range, False

    @property
    def ohmic(self) -> bool:
        """Whether the network is linear."""
        return self.conduction is None and (self.barriers is None or not self.barriers.saturation)


def evaluate(
    cells: Cells, nodes: tuple[Array, ...], inner: Array | None, g: Array, current: Array
) -> None:
    """Put slopes and currents of all cells into ``g`` and ``current``; ``nodes``: x, b, v, w."""
    if inner is None or cells.barriers is None:
        kernels.cell_currents(*nodes, *cells.curve(), g, current)
    else:
        kernels.barred_currents(*nodes, *cells.curve(), *cells.barriers, inner, g, current)
