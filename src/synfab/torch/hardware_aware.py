"""Hardware-aware training: limits and errors of a technology in the forward pass, in software.

A parametrisation computes the weights that a layer uses from those that the optimizer changes: they
are clipped to the window, rounded to the cells' levels, given programming errors and reduced by the
wire resistance. The gradient of rounding and of clipping to a device's limits is 1; that of the
wires is exact, from the adjoint solve.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Unpack, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array, GridShape, ProgramMethod
from synfab.crossbar.array import Crossbar
from synfab.model.model_file import load_model
from synfab.network.wires import Resistance
from synfab.programming.methods import check_options, program_cells
from synfab.programming.tiles import Tiles
from synfab.random.streams import check_seed
from synfab.torch.graphs import outside_graphs
from synfab.torch.inputs import check_network
from synfab.torch.mapping import check_bits, check_window
from synfab.torch.noise import readout_normals
from synfab.torch.options import (
    CheckedResistance,
    ModelLike,
    ProgramOptions,
    check_resistance,
)
from synfab.torch.registry import class_of_parametrized, class_on_cells, registered_types
from synfab.torch.wires import effective_conductance

# First row of the noise: larger than the number of any network's cells.
TRAINING_ROWS = 2**63


@dataclass(frozen=True, eq=False)
class Errors:
    """Programming errors: mean and standard deviation (S) of the error at each target (S)."""

    targets: Array
    mean: Array
    deviation: Array


def measure_errors(
    model: ModelLike = "published",
    method: ProgramMethod = "open-loop",
    *,
    g_window: tuple[float, float] | None = None,
    points: int = 16,
    cells: int = 512,
    seed: int = 0,
    **options: Unpack[ProgramOptions],
) -> Errors:
    """Return the programming errors of virtual test cells at targets across the window.

    Parameters
    ----------
    model, g_window
        Technology and window (S), as of a layer.
    method, **options
        ``"write-verify"`` or ``"open-loop"``, as in ``program``.
    points, cells
        Number of targets, and of cells for each of them.
    seed
        Seed of the chip that is measured; use another one than for inference.
    """
    technology = load_model(model)
    window = check_window(technology, g_window)
    checks.choice("method", method, get_args(ProgramMethod))
    checked = check_options(method, options)
    points, cells = checks.count("points", points), checks.count("cells", cells)
    bench = CellArray(technology, (points, cells), seed=seed)
    targets = np.linspace(*window, points)
    wanted = np.repeat(targets[:, None], cells, axis=1)
    done = program_cells(bench, wanted, method, checked)
    return Errors(targets, done.errors.mean(axis=1), done.errors.std(axis=1))


def hardware_aware(
    network: nn.Module,
    model: ModelLike = "published",
    *,
    seed: int,
    errors: Errors | None = None,
    bits: int | None = None,
    clip: float | None = None,
    g_window: tuple[float, float] | None = None,
    wire_resistance: Resistance = 0.0,
    tile: GridShape = (256, 256),
    chip: int | None = None,
    inplace: bool = False,
) -> nn.Module:
    """Return a network in software whose weights have the limits and errors of cells.

    This applies to ``nn.Linear``, ``nn.Conv2d`` and the types added by ``register_layer``. Train
    the result with any optimizer, then pass it to ``bake`` and the baked network to ``convert``.

    Parameters
    ----------
    network
        In software.
    model, g_window, bits, wire_resistance, tile
        As for ``convert``; use the same values there.
    seed
        Of the errors drawn in training.
    errors
        From ``measure_errors``; new ones are drawn in each forward pass of training. None: no
        errors.
    clip
        Weights are clipped at this many standard deviations; None: no clipping.
    chip
        Seed of a chip; the conductances of each of its devices' mean HRS and LRS limit the weights.
        None: only the window limits them.
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
    resistance = check_resistance(wire_resistance)
    result = network if checks.flag("inplace", inplace) else copy.deepcopy(network)
    found = _supported(result)
    begin, steps = 0, []
    for layer in found:
        weight = layer.get_parameter("weight")
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


def _supported(network: nn.Module) -> list[nn.Module]:
    """Return all layers that can be put on cells."""
    found = []
    for layer in network.modules():
        kind = class_on_cells(layer)
        if kind is None:
            continue
        what = kind.unsupported(layer)
        if what is not None:
            raise InvalidValueError(f"network: {what} are not supported")
        found.append(layer)
    if not found:
        names = ", ".join(kind.__name__ for kind in registered_types())
        raise InvalidValueError(f"network: expected a layer of type {names}; found none")
    return found


def _is_ideal(resistance: CheckedResistance) -> bool:
    parts = resistance if isinstance(resistance, tuple) else (resistance,)
    return not any(np.any(part) for part in parts)


def bake(network: nn.Module) -> nn.Module:
    """Return a copy of a hardware-aware network with plain layers and the trained weights.

    The weights are clipped as in training, but neither rounded nor disturbed.
    """
    check_network(network)
    memo: dict[int, Any] = {}
    for layer in network.modules():
        steps = getattr(layer, "parametrizations", {})
        if "weight" in steps and isinstance(steps["weight"][0], Cells):
            memo[id(layer)] = _plain(layer, steps["weight"][0], steps["weight"].original)
    return copy.deepcopy(network, memo)


def _plain(layer: nn.Module, step: Cells, trained: Tensor) -> nn.Module:
    """Return a new layer: torch would remove a parametrisation from all copies of ``layer``."""
    kind = class_of_parametrized(layer)
    assert kind is not None
    made: nn.Module = kind.plain_like(layer)
    weight = step.clipped(trained)[0].detach()
    bias: Tensor | None = getattr(layer, "bias", None)
    values = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    made.to(device=weight.device, dtype=weight.dtype).load_state_dict(values)
    return made.train(layer.training)


def _limits(tiles: Tiles, window: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return each device's conductance limits within the window, (2, outputs, inputs), S."""
    usual = [cells.model.to_features(cells.device_parameters[..., :4]) for cells in tiles.cells]
    lowest = tiles.join([1.0 / resistances[..., 0] for resistances in usual])
    highest = tiles.join([1.0 / resistances[..., 2] for resistances in usual])
    lowest, highest = np.clip(lowest, *window), np.clip(highest, *window)
    return torch.from_numpy(lowest), torch.from_numpy(np.maximum(lowest, highest))


class Cells(nn.Module):
    """Parametrisation of ``weight``: the weights that cells would hold."""

    def __init__(
        self,
        tiles: Tiles,
        window: tuple[float, float],
        stream: tuple[int, int],
        errors: Errors | None,
        bits: int | None,
        clip: float | None,
        bars: list[Crossbar[Any]] | None,
        limits: tuple[Tensor, Tensor] | None,
    ) -> None:
        super().__init__()
        self.tiles, self.window, self.stream = tiles, window, stream
        self.errors, self.bits, self.clip = errors, bits, clip
        self.bars, self.limits = bars, limits
        self.number = 0

    def get_extra_state(self) -> dict[str, int]:
        """Return the number of the next draw of errors, for ``state_dict``."""
        return {"number": self.number}

    def set_extra_state(self, state: object) -> None:
        """Restore the number of the next draw of errors."""
        number_ = state.get("number") if isinstance(state, dict) else None
        self.number = checks.word("state_dict: number", number_)

    def clipped(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights clipped to the window, and the largest possible magnitude."""
        largest = weight.detach().abs().max()
        if self.clip is not None:
            largest = torch.minimum(largest, self.clip * weight.detach().std())
        largest = torch.where(largest > 0.0, largest, 1.0)
        return weight.clamp(-largest, largest), largest

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights that cells would hold."""
        return outside_graphs(self._held, weight)

    def _held(self, weight: Tensor) -> Tensor:
        inside, largest = self.clipped(weight)
        part = inside.reshape(self.tiles.shape).to(torch.float64) / largest
        low, high = self.window
        level = torch.stack([part, -part]).clamp(0.0, 1.0)
        if self.bits is not None:
            top = 2**self.bits - 1
            level = _with_gradient_of(level, torch.round(level * top) / top)
        g = low + (high - low) * level
        if self.training and self.errors is not None:
            g = g + self._errors(g.detach())
        if self.limits is not None:
            lowest, highest = (limit.to(g.device) for limit in self.limits)
            g = _with_gradient_of(g, g.clamp(lowest, highest))
        difference = g[0] - g[1] if self.bars is None else self._behind_wires(g, self.bars)
        return (difference * (largest / (high - low))).to(weight.dtype).reshape(weight.shape)

    def _errors(self, g: Tensor) -> Tensor:
        """Draw programming errors for targets ``g``, S."""
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

    def _behind_wires(self, g: Tensor, bars: list[Crossbar[Any]]) -> Tensor:
        """Return the effective differences of conductance behind wires, (outputs, inputs), S."""
        whole = torch.zeros(self.tiles.shape, dtype=g.dtype)
        for tile, bar in zip(self.tiles.tiles, bars, strict=True):
            pairs = g[:, tile.outputs, tile.inputs].cpu()
            rows = pairs.transpose(0, 1).reshape(bar.shape)
            left = effective_conductance(rows.clamp(min=1e-9), bar)
            # Autograd allows this in-place change, since ``whole`` needs no gradient before it.
            whole[tile.outputs, tile.inputs] = left[0::2] - left[1::2]
        return whole.to(g.device)


def _with_gradient_of(value: Tensor, rounded: Tensor) -> Tensor:
    """Return ``rounded``, with the gradient of ``value`` (straight-through estimator)."""
    return value + (rounded - value).detach()
