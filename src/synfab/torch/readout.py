"""Readouts of a layer on cells: inputs to voltages, currents with noise, converters.

    v = U_read x / x_max,   y = x_max w_max / (g_max - g_min) (I+ - I-) / U_read

``x_max`` is the largest magnitude of each input vector, or the layer's ``input_range``. A layer may
have groups of outputs with inputs of their own, as grouped convolutions have; then the vectors of
all groups stand one after another in a row of ``x``, and each is scaled by its own magnitude.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from synfab.common.errors import InvalidValueError
from synfab.physics.noise import NONE
from synfab.random.streams import WORD
from synfab.torch import host
from synfab.torch.noise import readout_normals
from synfab.torch.passes import key_of, recomputing
from synfab.torch.reading import noisy_pair_currents, pair_currents, rounded
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
        return x.new_zeros(len(x), layer.tiles.shape[0], *x.shape[2:])
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
            raise _not_finite()
        return found
    if x.ndim == 2:
        return on_any_device(layer, x)
    y = on_any_device(layer, x.transpose(1, 2).reshape(-1, x.shape[1]))
    return y.reshape(len(x), x.shape[2], -1).transpose(1, 2)


def _not_finite() -> InvalidValueError:
    return InvalidValueError("input: expected finite numbers, found NaN or infinity")


def on_any_device(layer: AnyLayer, x: Tensor) -> Tensor:
    """Return outputs (B, outputs), computed by operations of PyTorch on any device."""
    options, size = layer.options, layer.options.input_range
    parts = x.reshape(len(x), layer.tiles.groups, -1)
    largest = parts.abs().amax(dim=2, keepdim=True)
    if size is not None:
        largest = torch.full_like(largest, size)
    # With a range of its own a layer would clip infinity, and pass NaN on.
    if not bool(torch.isfinite(largest if size is None else x).all()):
        raise _not_finite()
    magnified = _magnification(largest)
    largest = largest * magnified
    largest = torch.where(largest > 0.0, largest, 1.0)
    v = (parts * magnified).mul_(options.read_voltage / largest)
    if size is not None:
        v = v.clamp_(-options.read_voltage, options.read_voltage)
    if options.dac is not None:
        v = rounded(v, options.read_voltage, options.dac)
    scale = (layer.weight_per_siemens / options.read_voltage).to(x)
    y = _currents(layer, v).reshape(*v.shape[:2], -1).mul_(largest)
    y = y.reshape(len(x), -1).mul_(scale)
    # Exact, and without effect for inputs of usual size.
    return y.reshape(*v.shape[:2], -1).div_(magnified).reshape(len(x), -1)


def _magnification(largest: Tensor) -> Tensor:
    """Return 1, or a power of two for inputs so small that their reciprocal would overflow."""
    limits = torch.finfo(largest.dtype)
    digits = 24 if largest.dtype == torch.float32 else 53
    small = (largest > 0.0) & (largest < limits.tiny * 2.0**digits)
    return torch.where(small, 4.0**digits, 1.0).to(largest)


def _currents(layer: AnyLayer, v: Tensor) -> Tensor:
    """Return currents (B, outputs) of all pairs, A, with noise, converted if there is an ADC."""
    first, outputs = layer.tiles.first_cell, layer.tiles.shape[0]
    options = layer.options
    if options.adc is None and not layer.wired and layer.seen is None:
        return _with_noise(layer, *_ideal(layer, v, slice(None)), first)
    each = _of_blocks(layer, v)
    ranges = adc_ranges(layer)
    total = torch.zeros_like(each[0][0])
    begin = layer.readout_number
    for block, (current, variance) in enumerate(each):
        layer.readout_number = begin  # the same readouts, other rows
        noisy = _with_noise(layer, current, variance, first + block * outputs)
        if layer.seen is not None:  # calibration
            layer.seen = max(layer.seen, float(noisy.abs().max()))
        elif options.adc is not None:
            noisy = rounded(noisy, ranges[block], options.adc)
        total += noisy
    return total


def adc_ranges(layer: AnyLayer) -> list[float]:
    """Return the largest current of the converters of every block of columns, A.

    Without an ``adc_range``, from the conductances: ``ADC_MARGIN`` times the root mean square of
    the current of the largest output for independent inputs, uniform up to ``read_voltage``. It
    depends on the programmed cells only, neither on the batch nor on how it is split.
    """
    options, blocks = layer.options, layer.tiles.column_blocks
    if options.adc_range is not None or options.adc is None:
        return [options.adc_range or 1.0] * len(blocks)
    siemens = layer.difference * options.model.conduction.g_span
    return [converter_range(siemens[:, block], options.read_voltage) for block in blocks]


def converter_range(siemens: Tensor, read_voltage: float) -> float:
    """Return the default range of a converter (A) for differences of pairs (outputs, inputs), S."""
    rms = read_voltage / 3.0**0.5
    largest = float(siemens.square().sum(dim=1).max().sqrt())
    return float(ADC_MARGIN * rms * (largest or 1.0))


def _of_blocks(layer: AnyLayer, v: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return currents and variance (B, outputs) of every block of columns."""
    blocks = layer.tiles.column_blocks
    if not layer.wired:
        return [_ideal(layer, v[:, :, block], block) for block in blocks]
    currents, variance = read_tiles(
        layer.tiles,
        layer.crossbars(),
        v,
        layer.read_noise,
        layer.options.linear,
        layer.options.wire_model,
    )
    return list(zip(currents, variance, strict=True))


def _ideal(layer: AnyLayer, v: Tensor, block: slice) -> tuple[Tensor, Tensor]:
    """Return currents and variance (B, outputs) of cells behind ideal wires."""
    options, noise, groups = layer.options, layer.read_noise, layer.tiles.groups
    states = (layer.difference[:, block].to(v), layer.total[:, block].to(v))
    if groups == 1:
        vectors = v[:, 0]
    else:
        vectors = v.transpose(0, 1)
        states = tuple(part.reshape(groups, -1, part.shape[1]) for part in states)  # type: ignore[assignment]
    conduction = options.model.conduction
    if noise == NONE:
        current = pair_currents(conduction, vectors, states[0], options.linear)
        return _in_rows(current), v.new_zeros(())
    current, variance = noisy_pair_currents(conduction, vectors, states, noise, options.linear)
    return _in_rows(current), _in_rows(variance)


def _in_rows(values: Tensor) -> Tensor:
    """Return (groups, B, outputs of a group) as (B, outputs)."""
    return values if values.ndim == 2 else values.transpose(0, 1).reshape(values.shape[1], -1)


def _with_noise(layer: AnyLayer, currents: Tensor, variance: Tensor, first: int) -> Tensor:
    if not layer.options.noise:
        return currents
    count, rows = currents.shape
    z = readout_normals(layer.tiles.seed, first, rows, layer.readout_number, count, currents.device)
    # Noise counts readouts modulo 2**32, and files hold no larger number.
    layer.readout_number = (layer.readout_number + count) & WORD
    return currents.addcmul_(variance.sqrt_(), z.to(currents.dtype))
