"""Currents and noise of lines behind ideal wires, as matrix products in torch.

The mixture is linear in r: a cell carries v (q_L - r q) with q_L(v) = P_LLRS(v) / v and
q(v) = (P_LLRS(v) - P_HHRS(v)) / v, polynomials again. In the difference of a pair q_L cancels, so

    I_i = sum_j v_j q(v_j) (r- - r+)_ij
    variance_i = sum_j noise(1, v_j) (2 q_L(v_j) - q(v_j) (r+ + r-)_ij)

where noise(1, v) is the variance of 1 S at v (Johnson and shot noise; further noise is summed cell
by cell). It is what ``CellArray.matvec`` gives, row by row. A line of one row has the terms of one
cell, including q_L.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synfab.model.conduction import Conduction
from synfab.physics.drawing import polynomial
from synfab.physics.noise import ReadNoise


def static_conductances(conduction: Conduction, v: Tensor, linear: bool) -> tuple[Tensor, Tensor]:
    """Return q_L and q (S) at the voltages ``v``; for ``linear`` cells, those at U_0."""
    if linear:
        q_low = torch.full_like(v, conduction.g_llrs)
        return q_low, torch.full_like(v, conduction.g_span)
    llrs, hhrs = conduction.padded
    inside = v.clamp(*conduction.voltage_range)
    return polynomial(llrs[:-1], inside), polynomial((llrs - hhrs)[:-1], inside)


def line_currents(
    conduction: Conduction, v: Tensor, difference: Tensor, linear: bool = False, cells: int = 2
) -> Tensor:
    """Return the current of each line: the difference of a pair's two rows, or one row, A.

    Parameters
    ----------
    conduction
        I-V curves.
    v
        Voltages of the columns (B, inputs), or (groups, B, inputs), V.
    difference
        r- minus r+, or minus r of a single row; (lines, inputs), or (groups, lines, inputs).
    linear
        Cells as resistors with their conductance at U_0.
    cells
        Rows of each line, 1 or 2.

    Returns
    -------
    Tensor
        (B, lines), or (groups, B, lines); differentiable in ``v`` and ``difference``.
    """
    q_low, q = static_conductances(conduction, v, linear)
    return _with_base(_product(v * q, difference), v * q_low, cells)


def _with_base(currents: Tensor, of_llrs: Tensor, cells: int) -> Tensor:
    """Add the currents at r = 0, which cancel in a pair."""
    return currents if cells == 2 else currents + of_llrs.sum(dim=-1, keepdim=True)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    if weight.ndim == 2:
        return torch.nn.functional.linear(x, weight)
    return torch.bmm(x, weight.transpose(1, 2))


def noisy_line_currents(
    conduction: Conduction,
    v: Tensor,
    states: tuple[Tensor, Tensor],
    noise: ReadNoise,
    linear: bool = False,
    cells: int = 2,
) -> tuple[Tensor, Tensor]:
    """Return currents as ``line_currents``, and their variance by noise, A^2, of the same shape.

    ``states`` are r- minus r+ and r+ plus r-; of single rows -r and r.
    """
    difference, total = states
    q_low, q = static_conductances(conduction, v, linear)
    currents = _with_base(_product(v * q, difference), v * q_low, cells)
    # Squares of currents are too small for float32: the sums are in units of this.
    unit = sum(noise.coefficients) or 1.0
    noise = noise.scaled(unit)
    if noise.linear:
        factor: Tensor = noise.variance(1.0, v)
        base = float(cells) * (factor * q_low).sum(dim=-1, keepdim=True)
        variance = (
            torch.addmm(base, factor * q, total.T, alpha=-1.0)
            if total.ndim == 2
            else base - _product(factor * q, total)
        )
    else:
        pair = ((total - difference) / 2.0, (total + difference) / 2.0)  # r+ and r-
        rows = pair if cells == 2 else (total,)
        one = [slice(b, b + 1) for b in range(v.shape[-2])]  # a vector at a time: less memory
        each = [
            sum(
                noise.at_voltage(q_low[..., b, :] - q[..., b, :] * r, v[..., b, :]).sum(dim=-1)
                for r in rows
            )
            for b in one
        ]
        variance = torch.stack(each, dim=-2)
    return currents, variance.clamp_(min=0.0).mul_(unit)


def rounded(values: Tensor, largest: float, bits: int) -> Tensor:
    """Round to the nearest of 2**bits levels from minus to plus ``largest``; clip at both ends."""
    step = 2.0 * largest / (2**bits - 1)
    level = ((values + largest) / step).round_().clamp_(0, 2**bits - 1)
    result: Tensor = level.mul_(step).sub_(largest)
    return result
