"""Crossbars behind wires as one matrix, which is computed once for each programming.

The matrix M of effective conductances gives the row currents of linear cells exactly. A cell of
state r and static conductance G at U_0 then contributes the part a = M / G of its current. For
nonlinear cells the same parts, with the curves at the attenuated voltages, are a first-order
correction:

    I_i = sum_j a_ij / s_j (P_L(s_j v_j) - r_ij (P_L - P_H)(s_j v_j)),   s_j^2 = mean_i a_ij

P_L and P_H are the limiting curves. About half of the attenuation of a current is a loss of voltage
between driver and cell, so s_j is the mean part of v_j that reaches the cells of a column. Both are
sums over products, of the batch with matrices that depend on the programmed cells only.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from synfab.common.types import Array
from synfab.crossbar.array import Crossbar
from synfab.model.conduction import Conduction
from synfab.physics.noise import ReadNoise
from synfab.random.arrays import to_numpy


class Transfer(NamedTuple):
    """Effective conductances of a crossbar for the states of its cells."""

    states: Array  # r, (rows, columns)
    matrix: Array  # M, S, (rows, columns)


_known: WeakKeyDictionary[Crossbar[Any], Transfer] = WeakKeyDictionary()


def transfer_of(bar: Crossbar[Any]) -> Transfer:
    """Return the transfer matrix of a crossbar; computed again if any cell has changed."""
    states, known = to_numpy(bar.cells.r), _known.get(bar)
    if known is None or not np.array_equal(known.states, states):
        matrix = bar.read(np.eye(bar.shape[1]), noise=False, linear=True)
        known = _known[bar] = Transfer(states, matrix)
    return known


def of_lines(rows: Array, cells: int) -> tuple[Array, Array]:
    """Return difference and sum of the rows of each line, for 1 or 2 ``cells`` per line."""
    if cells == 1:
        return rows, rows
    return rows[0::2] - rows[1::2], rows[0::2] + rows[1::2]


def linear_currents(
    bar: Crossbar[Any], v: Array, noise: ReadNoise, cells: int = 2
) -> tuple[Array, Array]:
    """Return ``wires.tile_currents`` of linear cells."""
    matrix = transfer_of(bar).matrix
    difference, total = of_lines(matrix, cells)
    currents = v @ difference.T
    if noise.linear:
        return currents, noise.variance(1.0, v) @ total.T
    each = [of_lines(noise.at_voltage(matrix, u), cells)[1] for u in v]
    return currents, np.stack(each).sum(axis=2)


def corrected_currents(
    bar: Crossbar[Any], v: Array, noise: ReadNoise, cells: int = 2
) -> tuple[Array, Array]:
    """Return ``wires.tile_currents`` of nonlinear cells, to first order (see the module)."""
    states, matrix = transfer_of(bar)
    conduction = bar.cells.model.conduction
    r = states.astype(np.float64)
    part = matrix / conduction.conductance(r)
    reaching = np.sqrt(np.clip(part.mean(axis=0), 0.0, 1.0))
    reaching = np.where(reaching > 0.0, reaching, 1.0)
    part = part / reaching
    u = reaching * v
    q_low, q = _conductances(conduction, u)
    of_states = part * r
    parts, states_of_lines = of_lines(part, cells), of_lines(of_states, cells)
    currents = (u * q_low) @ parts[0].T
    currents -= (u * q) @ states_of_lines[0].T
    if noise.linear:
        factor = noise.variance(1.0, u)
        variance = (factor * q_low) @ parts[1].T
        return currents, variance - (factor * q) @ states_of_lines[1].T
    each = [
        noise.at_voltage(part * low - of_states * span, volts).sum(axis=1)
        for low, span, volts in zip(q_low, q, u, strict=True)
    ]
    return currents, of_lines(np.stack(each, axis=1), cells)[1].T


def _conductances(conduction: Conduction, u: Array) -> tuple[Array, Array]:
    """Return P_L(u) / u and (P_L - P_H)(u) / u, S; the slopes at 0 V."""
    zero = u == 0.0
    volts = np.where(zero, 1.0, u)
    low, high = (conduction.current(state, volts) / volts for state in (0.0, 1.0))
    slopes = conduction.slopes_at_zero
    return np.where(zero, slopes[0], low), np.where(zero, slopes[0] - slopes[1], low - high)
