"""Readouts of a layer on cells: inputs to voltages, currents with noise, converters.

    v = U_read x / x_max,   y = x_max w_max / (g_max - g_min) (I+ - I-) / U_read

``x_max`` is the largest magnitude of each input vector, or the layer's ``input_range``. A layer may
have groups of outputs with inputs of their own, as grouped convolutions have; then the vectors of
all groups stand one after another in a row of ``x``, and each is scaled by its own magnitude.
``slicing`` adds slices of inputs and weights, ``arrangement`` the lines that converters read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from synfab.physics.noise import NONE
from synfab.random.streams import WORD
from synfab.torch import host
from synfab.torch.driving import Driven, drive, not_finite
from synfab.torch.inputs import arranged_as, rows_of
from synfab.torch.noise import readout_normals
from synfab.torch.passes import key_of, recomputing
from synfab.torch.reading import line_currents, noisy_line_currents, rounded
from synfab.torch.wires import read_tiles

if TYPE_CHECKING:
    from synfab.torch.core import CrossbarLayer

    AnyLayer: TypeAlias = CrossbarLayer[Any]

ADC_MARGIN = 6.0


def send(layer: AnyLayer, x: Tensor) -> Tensor:
    """Return the outputs of the cells (B, outputs) for vectors (B, groups * inputs), no gradient.

    Vectors may also stand in columns, (images, groups * inputs, places); then the outputs are
    (images, outputs, places), and the places of an image are consecutive readouts.

    A recomputation by ``torch.utils.checkpoint`` repeats the noise of the pass that it repeats.
    """
    layer.follow_cells()
    if x.numel() == 0:
        return x.new_zeros(len(x), layer.arrangement.weights[0], *x.shape[2:])
    if layer.options.noise and not recomputing() and (torch.is_grad_enabled() or layer.training):
        layer.passes.record(key_of(x), layer.readout_number)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        if not layer.options.noise or not recomputing():
            return _outputs(layer, x)
        now, past = layer.readout_number, layer.passes.find(key_of(x))
        if past is None:
            return _outputs(layer, x)
        layer.readout_number = past
        try:
            return _outputs(layer, x)
        finally:
            layer.readout_number = now


def _outputs(layer: AnyLayer, x: Tensor) -> Tensor:
    noise = layer.read_noise
    if host.supports(layer, x, noise):
        found = host.outputs(layer, x, noise)
        if found is None:
            raise not_finite()
        return found
    return arranged_as(x, on_any_device(layer, rows_of(x)))


def on_any_device(layer: AnyLayer, x: Tensor) -> Tensor:
    """Return outputs (B, outputs), computed by operations of PyTorch on any device."""
    options, blocks = layer.options, layer.tiles.column_blocks
    driven = drive(options, x, layer.tiles.groups, blocks)
    scale = (layer.weight_per_siemens / options.read_voltage).to(x)
    if options.input_scale == "tile" or scale.ndim == 2:
        each = scale.T if scale.ndim == 2 else scale.expand(len(blocks), -1)
        found = enumerate(_currents(layer, driven, blocks))
        return sum_of(_scaled(driven, total, each[block], block) for block, total in found)
    ideal = options.adc is None and not layer.wired and layer.seen is None
    return _scaled(
        driven, sum_of(_currents(layer, driven, [slice(None)] if ideal else blocks)), scale, 0
    )


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """Return the sum of tensors, accumulated in the first."""
    found = iter(values)
    total = next(found)
    for value in found:
        total += value
    return total


def _scaled(driven: Driven, currents: Tensor, scale: Tensor, block: int) -> Tensor:
    """Return currents (B, outputs) as outputs, in place; ``block`` chooses the input's range."""
    part = min(block, driven.largest.shape[2] - 1)
    return driven.unmagnified(driven.scaled(currents, part).mul_(scale), part)


def _currents(layer: AnyLayer, driven: Driven, blocks: list[slice]) -> Iterator[Tensor]:
    """Yield currents (B, outputs) of each block of columns, A: with noise, converted, combined."""
    first, lines = layer.tiles.first_cell, layer.arrangement.lines
    options, each = layer.options, _of_blocks(layer, driven.v, blocks)
    ranges = adc_ranges(layer)
    begin = layer.readout_number
    for block, (current, variance) in enumerate(each):
        layer.readout_number = begin  # the same readouts, other rows
        noisy = _with_noise(layer, current, variance, first + block * lines)
        if layer.seen is not None:  # calibration
            layer.seen.add(layer.arrangement.without_spare(noisy))
        elif options.adc is not None:
            noisy = rounded(noisy, ranges[block], options.adc)
        yield driven.joined(layer.arrangement.combined(noisy))


def adc_ranges(layer: AnyLayer) -> list[float]:
    """Return the largest current of the converters of every block of columns, A.

    Without an ``adc_range``, from the conductances: ``ADC_MARGIN`` times the root mean square of
    the current of the largest output for independent inputs, uniform up to ``read_voltage``. It
    depends on the programmed cells only, neither on the batch nor on how it is split. A single row,
    of offset mapping, has the range of its largest possible current.
    """
    options, blocks = layer.options, layer.tiles.column_blocks
    if options.adc_range is not None or options.adc is None:
        return [options.adc_range or 1.0] * len(blocks)
    siemens = layer.difference * options.model.conduction.g_span
    if layer.arrangement.cells_per_line == 1:
        siemens += options.model.conduction.g_llrs
        return [options.read_voltage * float(siemens[:, b].sum(dim=1).max()) for b in blocks]
    low, high = options.g_window
    return [
        converter_range(siemens[:, block], high - low, options.read_voltage) for block in blocks
    ]


def converter_range(siemens: Tensor, window: float, read_voltage: float) -> float:
    """Return the default range of a converter (A) for differences of pairs (outputs, inputs), S.

    Pairs without any difference, of weights of 0, have the range of one of the whole ``window``, S.
    """
    rms = read_voltage / 3.0**0.5
    largest = float(siemens.square().sum(dim=1).max().sqrt())
    return float(ADC_MARGIN * rms * (largest or window))


def _of_blocks(layer: AnyLayer, v: Tensor, blocks: list[slice]) -> list[tuple[Tensor, Tensor]]:
    """Return currents and variance (B, lines) of every block of columns."""
    if not layer.wired:
        return [_ideal(layer, v[:, :, block], block) for block in blocks]
    currents, variance = read_tiles(
        layer.tiles,
        layer.crossbars(),
        v,
        layer.read_noise,
        layer.options.linear,
        layer.options.wire_model,
        layer.arrangement.cells_per_line,
    )
    return list(zip(currents, variance, strict=True))


def _ideal(layer: AnyLayer, v: Tensor, block: slice) -> tuple[Tensor, Tensor]:
    """Return currents and variance (B, lines) of cells behind ideal wires."""
    options, noise, groups = layer.options, layer.read_noise, layer.tiles.groups
    states = (layer.difference[:, block].to(v), layer.total[:, block].to(v))
    if groups == 1:
        vectors = v[:, 0]
    else:
        vectors = v.transpose(0, 1)
        states = tuple(part.reshape(groups, -1, part.shape[1]) for part in states)  # type: ignore[assignment]
    conduction, cells = options.model.conduction, layer.arrangement.cells_per_line
    if noise == NONE:
        current = line_currents(conduction, vectors, states[0], options.linear, cells)
        return _in_rows(current), v.new_zeros(())
    current, variance = noisy_line_currents(
        conduction, vectors, states, noise, options.linear, cells
    )
    return _in_rows(current), _in_rows(variance)


def _in_rows(values: Tensor) -> Tensor:
    """Return (groups, B, lines of a group) as (B, lines)."""
    return values if values.ndim == 2 else values.transpose(0, 1).reshape(values.shape[1], -1)


def _with_noise(layer: AnyLayer, currents: Tensor, variance: Tensor, first: int) -> Tensor:
    if not layer.options.noise:
        return currents
    count, rows = currents.shape
    z = readout_normals(layer.tiles.seed, first, rows, layer.readout_number, count, currents.device)
    # Noise counts readouts modulo 2**32, and files hold no larger number.
    layer.readout_number = (layer.readout_number + count) & WORD
    return currents.addcmul_(variance.sqrt_(), z.to(currents.dtype))
