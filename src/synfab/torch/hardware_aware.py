"""Hardware-aware training: the limits and errors of a technology in the forward pass, in software.

A parametrisation stands between the weights that the optimizer moves and those that the layer uses:
weights are clipped to the window, rounded to the cells' levels, disturbed like programmed cells and
weakened by the wires. Rounding and clipping to a device's limits pass gradients straight through;
the wires' gradient is that of the adjoint solve.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.crossbar.array import Crossbar
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.programming.methods import check_options, program_cells
from synfab.programming.tiles import Tiles
from synfab.random.streams import check_seed
from synfab.torch.graphs import beside_graphs
from synfab.torch.inputs import check_network
from synfab.torch.mapping import check_bits, check_window
from synfab.torch.noise import readout_normals
from synfab.torch.options import wires
from synfab.torch.wires import effective_conductance

Array = npt.NDArray[Any]

# Rows of the noise: far from the numbers of any network's cells.
TRAINING_ROWS = 2**63
METHODS = ("write-verify", "open-loop")


@dataclass(frozen=True, eq=False)
class Errors:
    """What programming leaves: mean and standard deviation (S) of the error at each target (S)."""

    targets: Array
    mean: Array
    deviation: Array


def measure_errors(
    model: CellModel | str | os.PathLike[str] = "published",
    method: str = "open-loop",
    *,
    g_window: tuple[float, float] | None = None,
    points: int = 16,
    cells: int = 512,
    seed: int = 0,
    **options: Any,
) -> Errors:
    """Program virtual cells to targets across the window and see where they end.

    Parameters
    ----------
    model, g_window
        Technology and window (S), as of a layer.
    method, **options
        ``"write-verify"`` or ``"open-loop"``, as in ``program``.
    points, cells
        Targets, and cells for each of them.
    seed
        Of the chip that is measured: not one that will be used.
    """
    technology = load_model(model)
    window = check_window(technology, g_window)
    checks.choice("method", method, METHODS)
    options = check_options(method, options)
    points, cells = checks.count("points", points), checks.count("cells", cells)
    bench = CellArray(technology, (points, cells), seed=seed)
    targets = np.linspace(*window, points)
    wanted = np.repeat(targets[:, None], cells, axis=1)
    done = program_cells(bench, wanted, method, options)
    return Errors(targets, done.errors.mean(axis=1), done.errors.std(axis=1))


def hardware_aware(
    network: nn.Module,
    model: CellModel | str | os.PathLike[str] = "published",
    *,
    seed: int,
    errors: Errors | None = None,
    bits: int | None = None,
    clip: float | None = None,
    g_window: tuple[float, float] | None = None,
    wire_resistance: Any = 0.0,
    tile: tuple[int, int] = (256, 256),
    chip: int | None = None,
    inplace: bool = False,
) -> nn.Module:
    """Let every ``nn.Linear`` and ``nn.Conv2d`` feel the cells that it will be put on.

    Train the result with any optimizer, then ``bake`` it and ``convert`` what comes out.

    Parameters
    ----------
    network
        In software.
    model, g_window, bits, wire_resistance, tile
        As of the layers to come.
    seed
        Of the errors drawn in training.
    errors
        From ``measure_errors``, drawn anew in each forward pass of training; None: no errors.
    clip
        Weights are clipped at this many standard deviations; None: not.
    chip
        Seed of a chip whose devices' own limits (the conductances of their mean HRS and LRS) hold;
        None: those of the window alone.
    inplace
        Change the network itself instead of a copy.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """
    check_network(network)
    technology = load_model(model)
    window = check_window(technology, g_window)
    levels = check_bits("bits", bits)
    clip = None if clip is None else checks.positive("clip", clip)
    seed = check_seed(seed)
    if errors is not None:
        checks.instance("errors", errors, Errors, "what measure_errors returns")
    resistance = wires(wire_resistance)
    result = network if checks.flag("inplace", inplace) else copy.deepcopy(network)
    found = [m for m in result.modules() if type(m) in (nn.Linear, nn.Conv2d)]
    if not found or any(getattr(layer, "groups", 1) != 1 for layer in found):
        raise InvalidValueError(
            "network: expected nn.Linear or nn.Conv2d layers without groups, found none or others"
        )
    begin, steps = 0, []
    for layer in found:
        weight: Any = layer.weight
        shape = (len(weight), weight[0].numel())
        made = Tiles(
            technology, shape, tile, first_cell=begin, seed=seed if chip is None else chip,
            order=technology.orders[0],
        )  # fmt: skip
        bars = None if _is_ideal(resistance) else [
            Crossbar(cells, resistance) for cells in made.cells
        ]  # fmt: skip
        limits = None if chip is None else _limits(made, window)
        steps.append(Cells(made, window, (seed, begin), errors, levels, clip, bars, limits))
        begin = made.end_cell
    for layer, step in zip(found, steps, strict=True):
        parametrize.register_parametrization(layer, "weight", step)
    return result


def _is_ideal(resistance: Any) -> bool:
    parts = resistance if isinstance(resistance, tuple) else (resistance,)
    return not any(np.any(part) for part in parts)


def bake(network: nn.Module) -> nn.Module:
    """Return a copy with plain layers: the trained weights, clipped as they were in training."""
    check_network(network)
    memo: dict[int, Any] = {
        id(layer): _plain(layer)
        for layer in network.modules()
        if parametrize.is_parametrized(layer, "weight")
    }
    return copy.deepcopy(network, memo)


def _plain(layer: Any) -> nn.Module:
    """Layer without its parametrisation; its class belongs to every copy of it, so it stays."""
    chain = layer.parametrizations["weight"]
    weight = chain[0].clipped(chain.original)[0].detach()
    kind: Any = nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.Linear
    if kind is nn.Conv2d:
        made = kind(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
            layer.dilation, layer.groups, layer.bias is not None, layer.padding_mode,
        )  # fmt: skip
    else:
        made = kind(layer.in_features, layer.out_features, layer.bias is not None)
    values = {"weight": weight} if layer.bias is None else {"weight": weight, "bias": layer.bias}
    made.to(device=weight.device, dtype=weight.dtype).load_state_dict(values)
    result: nn.Module = made.train(layer.training)
    return result


def _limits(tiles: Tiles, window: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Lowest and highest conductance of each device within the window, (2, outputs, inputs), S."""
    parameters = [cells.device_parameters for cells in tiles.cells]
    lowest = tiles.join([10.0 ** -p[..., 0].astype(np.float64) for p in parameters])
    highest = tiles.join([1.0 / p[..., 2].astype(np.float64) for p in parameters])
    lowest, highest = np.clip(lowest, *window), np.clip(highest, *window)
    return torch.from_numpy(lowest), torch.from_numpy(np.maximum(lowest, highest))


class Cells(nn.Module):
    """Weights as the cells would hold them; a parametrisation of ``weight``."""

    def __init__(
        self,
        tiles: Tiles,
        window: tuple[float, float],
        stream: tuple[int, int],
        errors: Errors | None,
        bits: int | None,
        clip: float | None,
        bars: list[Crossbar] | None,
        limits: tuple[Tensor, Tensor] | None,
    ) -> None:
        super().__init__()
        self.tiles, self.window, self.stream = tiles, window, stream
        self.errors, self.bits, self.clip = errors, bits, clip
        self.bars, self.limits = bars, limits
        self.number = 0

    def get_extra_state(self) -> dict[str, int]:
        """Return which errors come next, for ``state_dict``."""
        return {"number": self.number}

    def set_extra_state(self, state: Any) -> None:
        """Go on with the errors that come next."""
        number_ = state.get("number") if isinstance(state, dict) else None
        self.number = checks.word("state_dict: number", number_)

    def clipped(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weights within what the window will hold, and the largest of them."""
        largest = weight.detach().abs().max()
        if self.clip is not None:
            largest = torch.minimum(largest, self.clip * weight.detach().std())
        largest = torch.where(largest > 0.0, largest, 1.0)
        return weight.clamp(-largest, largest), largest

    def forward(self, weight: Tensor) -> Tensor:
        """Weights that the cells would hold."""
        return beside_graphs(self._held, weight)

    def _held(self, weight: Tensor) -> Tensor:
        inside, largest = self.clipped(weight)
        part = inside.reshape(self.tiles.shape).to(torch.float64) / largest
        low, high = self.window
        level = torch.stack([part, -part]).clamp(0.0, 1.0)
        if self.bits is not None:
            top = 2**self.bits - 1
            level = _straight(level, torch.round(level * top) / top)
        g = low + (high - low) * level
        if self.training and self.errors is not None:
            g = g + self._drawn(g.detach())
        if self.limits is not None:
            lowest, highest = (limit.to(g.device) for limit in self.limits)
            g = _straight(g, g.clamp(lowest, highest))
        difference = g[0] - g[1] if self.bars is None else self._through(g, self.bars)
        return (difference * (largest / (high - low))).to(weight.dtype).reshape(weight.shape)

    def _drawn(self, g: Tensor) -> Tensor:
        """Programming errors for targets ``g``, S."""
        assert self.errors is not None
        targets = g.cpu().numpy()
        mean = np.interp(targets, self.errors.targets, self.errors.mean)
        deviation = np.interp(targets, self.errors.targets, self.errors.deviation)
        seed, first = self.stream
        z = readout_normals(
            seed, TRAINING_ROWS + first, g.numel(), self.number, 1, torch.device("cpu")
        )
        self.number += 1
        return torch.from_numpy(mean + deviation * z.numpy().reshape(g.shape)).to(g)

    def _through(self, g: Tensor, bars: list[Crossbar]) -> Tensor:
        """Differences of conductance that the wires leave, (outputs, inputs), S."""
        whole = torch.zeros(self.tiles.shape, dtype=g.dtype)
        for tile, bar in zip(self.tiles.tiles, bars, strict=True):
            pairs = g[:, tile.outputs, tile.inputs].cpu()
            rows = pairs.transpose(0, 1).reshape(bar.shape)
            left = effective_conductance(rows.clamp(min=1e-9), bar)
            # In place on a fresh tensor: autograd follows.
            whole[tile.outputs, tile.inputs] = left[0::2] - left[1::2]
        return whole.to(g.device)


def _straight(value: Tensor, rounded: Tensor) -> Tensor:
    """Return ``rounded``, with the gradient of ``value``."""
    return value + (rounded - value).detach()
