"""Hardware-aware training: limits and errors of a technology in the forward pass, in software.

A parametrisation computes the weights that a layer uses from those that the optimizer changes: they
are clipped to the window, rounded to the cells' levels, given programming errors and reduced by the
wire resistance. The gradient of rounding and of clipping to a device's limits is 1; that of the
wires is exact, from the adjoint solve.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Unpack, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from synfab.cells.array import CellArray
from synfab.cells.traps import checked_temperature, checked_time
from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import GridShape, ProgramMethod
from synfab.crossbar.array import Crossbar
from synfab.model.model_file import load_model
from synfab.network.wires import Resistance
from synfab.programming.methods import check_options, program_cells
from synfab.programming.pairs import check_bits, check_window
from synfab.programming.result import achieved_conductance
from synfab.programming.tiles import Tiles
from synfab.random.streams import check_seed
from synfab.torch.convert import (
    Modules,
    join_composites,
    replace_modules,
    report_left,
    split_composites,
)
from synfab.torch.exceptions import Chosen
from synfab.torch.inputs import check_network
from synfab.torch.options import (
    CheckedResistance,
    ModelLike,
    ProgramOptions,
    TrainingScale,
    bits_and_range,
    check_resistance,
    positive_or_none,
)
from synfab.torch.registry import class_on_cells, registered_types
from synfab.torch.training_cells import Cells, Errors
from synfab.torch.training_readout import Readout, TrainingForward, check_noise
from synfab.torch.transposed import CrossbarTransposed


def measure_errors(
    model: ModelLike = "published",
    method: ProgramMethod = "open-loop",
    *,
    g_window: tuple[float, float] | None = None,
    points: int = 16,
    cells: int = 512,
    seed: int = 0,
    seconds: float = 0.0,
    temperature: float = 300.0,
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
    seconds, temperature
        Time (s) between programming and measuring, and temperature (K), as in
        ``CellArray.wait``: the errors then include drift. Above 0 s the model needs traps.
    """
    technology = load_model(model)
    window = check_window(technology, g_window)
    checks.choice("method", method, get_args(ProgramMethod))
    checked = check_options(method, options)
    points, cells = checks.count("points", points), checks.count("cells", cells)
    duration, kelvin = checked_time("seconds", seconds), checked_temperature(temperature)
    bench = CellArray(technology, (points, cells), seed=seed)
    targets = np.linspace(*window, points)
    wanted = np.repeat(targets[:, None], cells, axis=1)
    errors = program_cells(bench, wanted, method, checked).errors
    if duration > 0.0:
        errors = achieved_conductance(bench.wait(duration, kelvin), wanted) - wanted
    return Errors(targets, errors.mean(axis=1), errors.std(axis=1))


def hardware_aware(
    network: nn.Module,
    model: ModelLike = "published",
    *,
    seed: int,
    errors: Errors | None = None,
    bits: int | None = None,
    clip: float | None = None,
    scale: TrainingScale = "output",
    g_window: tuple[float, float] | None = None,
    wire_resistance: Resistance = 0.0,
    tile: GridShape = (256, 256),
    dac: int | None = None,
    adc: int | tuple[int, float] | None = None,
    input_range: float | None = None,
    read_voltage: float = 0.2,
    noise: bool = False,
    bandwidth: float = 1e8,
    chip: int | None = None,
    exceptions: Mapping[str | type[nn.Module], None] | None = None,
    inplace: bool = False,
) -> nn.Module:
    """Return a network in software whose weights have the limits and errors of cells.

    This applies to the layers that ``convert`` puts on cells, except transposed convolutions; a
    warning names others with weight matrices. Train the result with any optimizer, then pass it to
    ``bake`` and the baked network to ``convert``. Cells conduct linearly in training.

    Parameters
    ----------
    network
        In software.
    model, g_window, bits, scale, wire_resistance, tile
        As for ``convert``; use the same values there.
    dac, adc, input_range, read_voltage
        Of the converters, as for ``convert``; the gradients pass rounding and clipping.
    noise, bandwidth
        Whether forward passes of training have read noise, and its bandwidth, Hz.
    seed
        Of the errors and the noise drawn in training.
    errors
        From ``measure_errors``; new ones are drawn in each forward pass of training. None: no
        errors.
    clip
        Weights are clipped at this many standard deviations; None: no clipping.
    chip
        Seed of a chip; the conductances of each of its devices' mean HRS and LRS limit the weights.
        None: only the window limits them.
    exceptions
        Layers that stay as they are, as for ``convert``; the values are None.
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
    converter, most = bits_and_range(adc)
    readout = Readout(
        check_bits("dac", dac), check_bits("adc", converter), positive_or_none("adc", most),
        positive_or_none("input_range", input_range), checks.positive("read_voltage", read_voltage),
        check_noise(noise, bandwidth),
    )  # fmt: skip
    checks.choice("scale", scale, get_args(TrainingScale))
    result = network if checks.flag("inplace", inplace) else copy.deepcopy(network)
    found, splits = _supported(result, exceptions)
    begin, steps = 0, []
    for layer in found:
        weight = layer.get_parameter("weight")
        shape = (len(weight), weight[0].numel())
        made = Tiles(
            technology, shape, tile, groups=getattr(layer, "groups", 1), first_cell=begin,
            seed=seed if chip is None else chip, order=technology.orders[0],
        )  # fmt: skip
        bars = None if _is_ideal(resistance) else [
            Crossbar(cells, resistance) for cells in made.cells
        ]  # fmt: skip
        limits = None if chip is None else _limits(made, window)
        steps.append(Cells(made, window, (seed, begin), errors, levels, clip, scale, bars, limits))
        begin = made.end_cell
    for layer, step in zip(found, steps, strict=True):
        parametrize.register_parametrization(layer, "weight", step)
        kind = class_on_cells(layer)
        if kind is not None and not readout.is_ideal:
            layer.forward = TrainingForward(layer, kind, readout)
    return replace_modules(result, splits)


def _supported(
    network: nn.Module, exceptions: Mapping[str | type[nn.Module], None] | None
) -> tuple[list[nn.Module], Modules]:
    """Return all layers that can be put on cells, and the modules that split others, by name."""
    modules, splits = split_composites(network)
    chosen = Chosen(exceptions, modules)
    if any(own is not None for own in chosen.given.values()):
        raise InvalidValueError("exceptions: expected None for each, which omits a layer")
    found: dict[int, tuple[str, nn.Module]] = {}
    owners: dict[int, str] = {}
    for name, layer in modules.items():
        kind = class_on_cells(layer)
        if kind is None or issubclass(kind, CrossbarTransposed) or chosen.of(name) is None:
            continue
        what = kind.unsupported(layer)
        if what is not None:
            raise InvalidValueError(f"network: {what} are not supported")
        owner = owners.setdefault(id(layer.get_parameter("weight")), name)
        if id(layer) not in found and owner != name:
            raise InvalidValueError(
                f"network: {owner} and {name} share a weight, which is not supported here; "
                f"exceptions can omit them"
            )
        found.setdefault(id(layer), (name, layer))
    if not found:
        names = ", ".join(kind.__name__ for kind in registered_types())
        raise InvalidValueError(f"network: expected a layer of type {names}; found none")
    layers = [layer for _, layer in found.values()]
    report_left(modules, chosen, {id(layer): layer for layer in layers}, strict=False)
    used: Modules = {
        name: splits[id(module)] for name, module in modules.items()
        if id(module) in splits and any(id(c) in found for c in splits[id(module)].children())
    }  # fmt: skip
    return layers, used


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
    join_composites(network, memo)
    return copy.deepcopy(network, memo)


def _plain(layer: nn.Module, step: Cells, trained: Tensor) -> nn.Module:
    """Return a new layer: torch would remove a parametrisation from all copies of ``layer``."""
    kind = class_on_cells(layer)
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
