"""Readouts of layers on a CPU: matrix products of PyTorch between kernels.

The kernels (``engines.numba.layer_kernels``) compute what ``readout`` computes with operations of
PyTorch, for the most frequent case: float32, ideal wires, no converters of the outputs, Johnson and
shot noise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from synfab.engines.numba import layer_kernels as kernels
from synfab.engines.numba.threads import share
from synfab.engines.numba.workspace import noise_work
from synfab.model.conduction import Conduction
from synfab.physics.noise import ReadNoise
from synfab.random.streams import WORD

if TYPE_CHECKING:
    from synfab.torch.core import CrossbarLayer

    AnyLayer: TypeAlias = CrossbarLayer[Any]


class Driven(NamedTuple):
    """What the cells receive: factors of the matrix products, and the scale of each vector."""

    current: Tensor  # like the vectors
    noisy: Tensor | None  # like the vectors; None: no noise
    shape: Any  # (4, units, places), see ``layer_kernels``
    unit: float  # A**2, of the variance


def supports(layer: AnyLayer, x: Tensor, noise: ReadNoise) -> bool:
    """Tell whether ``outputs`` can compute the outputs of a layer for vectors ``x``."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and layer.difference.dtype == torch.float32
        and layer.options.adc is None
        and layer.options.input_bits is None
        and layer.options.input_scale == "vector"
        and layer.options.scale != "tile"
        and layer.arrangement.is_plain
        and layer.seen is None
        and not layer.wired
        and noise.linear
        and (x.ndim == 3 or layer.tiles.groups == 1)
    )


def outputs(layer: AnyLayer, x: Tensor, noise: ReadNoise) -> Tensor | None:
    """Return the outputs of a layer as ``readout.send`` does; None: an input is not finite."""
    driven = _drive(layer, x.contiguous(), noise)
    if driven is None:
        return None
    current = _product(layer, layer.difference, driven.current)
    variance = None if driven.noisy is None else _product(layer, layer.total, driven.noisy)
    _finish(layer, current, variance, driven)
    return current


def _drive(layer: AnyLayer, x: Tensor, noise: ReadNoise) -> Driven | None:
    options, groups = layer.options, layer.tiles.groups
    rows = x.ndim == 2
    units = len(x) * groups
    shape = np.empty((4, units, 1 if rows else x.shape[2]), np.float32)
    bad = np.zeros(1, np.int32)
    unit = sum(noise.coefficients)
    current = empty(tuple(x.shape))
    noisy = empty(tuple(x.shape)) if unit else None
    drive = _drive_of(options.read_voltage, options.input_range, options.dac)
    coefficients = tuple(np.float32(c) for c in noise.scaled(unit or 1.0).coefficients)
    curves = curves_of(options.model.conduction, options.linear)
    parts = [
        None if part is None else _array(part if rows else part.reshape(units, -1, x.shape[2]))
        for part in (x, current, noisy)
    ]
    fixed = (parts[0], drive, curves, coefficients, parts[1], parts[2], shape, bad)

    def work(low: int, high: int) -> None:
        if rows:
            kernels.drive_rows(low, high, *fixed)
        else:
            kernels.drive_columns(low, high, *fixed, noise_work())

    share(work, units, x.numel(), discardable=True)
    return None if bad[0] else Driven(current, noisy, shape, unit)


def _product(layer: AnyLayer, states: Tensor, factors: Tensor) -> Tensor:
    """Return the products of states, (outputs, inputs of a group), with factors like the inputs."""
    if factors.ndim == 2:
        return torch.nn.functional.linear(factors, states)
    groups, places = layer.tiles.groups, factors.shape[2]
    if groups == 1:
        return torch.matmul(states, factors)
    parts = factors.reshape(len(factors), groups, -1, places)
    return torch.matmul(states.reshape(groups, -1, states.shape[1]), parts).flatten(1, 2)


def _finish(layer: AnyLayer, y: Tensor, variance: Tensor | None, driven: Driven) -> None:
    """Turn currents into outputs with noise, in place; advance the number of the readouts."""
    scales = layer.weight_per_siemens / layer.options.read_voltage
    scales = scales.to(torch.float32).expand(y.shape[1]).contiguous()
    fixed = (
        _array(y), None if variance is None else _array(variance), np.float32(driven.unit),
        _array(scales), driven.shape, np.uint64(layer.tiles.first_cell),
        np.uint64(layer.readout_number), np.uint64(layer.tiles.seed),
    )  # fmt: skip
    kernel = kernels.finish_rows if y.ndim == 2 else kernels.finish_columns
    share(
        lambda low, high: kernel(low, high, *fixed, noise_work()), len(y), y.numel(),
        discardable=True,
    )  # fmt: skip
    if layer.options.noise:
        count = len(y) if y.ndim == 2 else len(y) * y.shape[2]
        layer.readout_number = (layer.readout_number + count) & WORD


def empty(shape: tuple[int, ...]) -> Tensor:
    """Return an uninitialised float32 tensor in memory of NumPy, whose large pages cost less."""
    return torch.from_numpy(np.empty(shape, np.float32))


def _array(tensor: Tensor) -> Any:
    return tensor.detach().numpy()


@lru_cache(maxsize=64)
def _drive_of(volts: float, limit: float | None, bits: int | None) -> tuple[np.float32, ...]:
    """Return voltage, range (0: of each vector), step (V, 0: no converter) and number of steps."""
    levels = 0 if bits is None else 2**bits - 1
    step = 2.0 * volts / levels if levels else 0.0
    return tuple(np.float32(x) for x in (volts, limit or 0.0, step, levels))


@lru_cache(maxsize=64)
def curves_of(conduction: Conduction, linear: bool) -> tuple[Any, ...]:
    """Return ``reading.static_conductances`` as coefficients, and the range of the voltages."""
    llrs, hhrs = conduction.padded
    both = (llrs[:-1], (llrs - hhrs)[:-1])
    if linear:
        both = (np.array([conduction.g_llrs]), np.array([conduction.g_span]))
    coefficients = (tuple(np.float32(c) for c in curve) for curve in both)
    return (*coefficients, *(np.float32(v) for v in conduction.voltage_range))
