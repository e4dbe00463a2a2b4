"""Reading through resistive wires, differentiable by the adjoint solve."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array
from synfab.crossbar.array import Crossbar
from synfab.crossbar.reading import sense
from synfab.network.bias import Bias, make_bias
from synfab.network.gradients import gradient
from synfab.network.network import Cells, Solution
from synfab.network.solver import solve_lines
from synfab.physics.noise import ReadNoise
from synfab.programming.tiles import Tiles
from synfab.torch.options import WireModel
from synfab.torch.transfer import corrected_currents, linear_currents, of_lines


def tile_currents(
    bar: Crossbar[Any],
    v: Array,
    noise: ReadNoise,
    linear: bool,
    wire_model: WireModel = "solve",
    cells: int = 2,
) -> tuple[Array, Array]:
    """Return the currents of lines and their variance, (B, lines), for voltages (B, columns).

    A line is a pair of rows, whose currents are subtracted, or one row: 2 or 1 ``cells``.
    """
    if linear:
        return linear_currents(bar, v, noise, cells)
    if wire_model == "transfer":
        return corrected_currents(bar, v, noise, cells)
    biases = [make_bias(bar.shape, u, 0.0, None, None, None) for u in v]
    currents, variance = sense(bar.circuit, biases, bar.circuit.conducting(), noise)
    return of_lines(currents, cells)[0].T, of_lines(variance, cells)[1].T


def read_tiles(
    tiles: Tiles,
    bars: list[Crossbar[Any]],
    v: Tensor,
    noise: ReadNoise,
    linear: bool,
    wire_model: WireModel = "solve",
    cells: int = 2,
) -> tuple[Tensor, Tensor]:
    """Return currents (A) and variance (A^2) of every block of columns, (blocks, B, lines).

    A line has 2 or 1 ``cells`` at each column. ``v`` are the voltages of the columns of each group
    of outputs, (B, groups, inputs).
    """
    blocks = {(block.start, block.stop): k for k, block in enumerate(tiles.column_blocks)}
    each = 2 // cells  # lines of a pair of rows
    shape = (2, len(blocks), len(v), each * tiles.shape[0])
    result = np.zeros(shape)
    volts = v.detach().cpu().numpy().astype(np.float64)
    for tile, bar in zip(tiles.tiles, bars, strict=True):
        block = blocks[tile.inputs.start, tile.inputs.stop]
        part = np.ascontiguousarray(volts[:, tiles.group_of(tile), tile.inputs])
        lines = slice(each * tile.outputs.start, each * tile.outputs.stop)
        result[0, block, :, lines], result[1, block, :, lines] = tile_currents(
            bar, part, noise, linear, wire_model, cells
        )
    both = torch.from_numpy(result).to(v)
    return both[0], both[1]


class _Context(Protocol):
    """What autograd passes from the forward to the backward pass."""

    kept: tuple[Crossbar[Any], Cells, list[Bias], list[Solution]]


class _Wired(torch.autograd.Function):
    """Currents of the rows; the backward pass is one more solve for each input vector."""

    @staticmethod
    def forward(ctx: _Context, v: Tensor, g: Tensor, bar: Crossbar[Any], linear: bool) -> Tensor:
        cells = _cells(bar, g, linear)
        biases = [make_bias(bar.shape, u, 0.0, None, None, None) for u in v.detach().numpy()]
        found = [solve_lines(bar.wires, cells, bias) for bias in biases]
        ctx.kept = (bar, cells, biases, found)
        return torch.from_numpy(np.stack([solution.currents for solution in found]))

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        bar, cells, biases, found = ctx.kept
        volts = np.empty((len(biases), bar.shape[1]))
        siemens = np.zeros(bar.shape)
        model = bar.cells.model
        for k, seed in enumerate(grads[0].numpy()):
            got = gradient(bar.wires, cells, biases[k], found[k], np.array(seed), model)
            volts[k] = got.columns
            siemens += got.conductance
        return torch.from_numpy(volts), torch.from_numpy(siemens), None, None


def _cells(bar: Crossbar[Any], g: Tensor, linear: bool) -> Cells:
    """Return cells of given conductances at U_0."""
    values, conduction = g.detach().numpy(), bar.cells.model.conduction
    if linear:
        return Cells(values, None)
    return Cells(conduction.state(values), conduction)


def wired_currents(v: Tensor, g: Tensor, bar: Crossbar[Any], *, linear: bool = False) -> Tensor:
    """Return the currents of a crossbar's rows (A), differentiable in voltages and conductances.

    Parameters
    ----------
    v
        V, (B, columns), float64 on the CPU.
    g
        Static conductance of every cell at U_0, S, (rows, columns), float64; used instead of the
        states of the crossbar's own cells.
    bar
        Crossbar that gives wires and technology, without access devices and defects.
    linear
        Cells as resistors.

    Returns
    -------
    Tensor
        (B, rows). The backward pass is the adjoint solve of ``Crossbar.gradient``.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        A wrong type, shape or crossbar.
    """
    checks.instance("bar", bar, Crossbar)
    checks.flag("linear", linear)
    for name, tensor, shape in (("v", v, (None, bar.shape[1])), ("g", g, bar.shape)):
        checks.instance(name, tensor, Tensor)
        if tensor.dtype != torch.float64 or tensor.device.type != "cpu":
            raise InvalidTypeError(
                f"{name}: expected float64 on the CPU, found {tensor.dtype} on {tensor.device}"
            )
        checks.numbers(name, tensor, shape)
    if bar.access is not None or bar.stuck is not None:
        raise InvalidValueError("bar: expected neither access devices nor defects")
    result: Tensor = _Wired.apply(v, g, bar, linear)  # type: ignore[no-untyped-call]
    return result


def effective_conductance(g: Tensor, bar: Crossbar[Any]) -> Tensor:
    """Return the matrix of linear cells behind wires: currents of rows per volt of columns, S.

    Its shape is (rows, columns); it is differentiable in ``g``. Arguments are those of
    ``wired_currents``.
    """
    checks.instance("bar", bar, Crossbar)
    one = torch.eye(bar.shape[1], dtype=torch.float64)
    return wired_currents(one, g, bar, linear=True).T
