"""Converters and read noise in the forward pass of hardware-aware training.

The same steps as in ``readout``, in software and differentiable: voltages are rounded to the levels
of the DAC, the currents of each block of columns get read noise and are rounded to those of the
ADC. Gradients pass rounding and clipping unchanged. Cells conduct linearly here.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.physics.noise import NONE, ReadNoise
from synfab.random.streams import WORD
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import arranged_as, check_tensor, computing_type, rows_of
from synfab.torch.noise import readout_normals
from synfab.torch.passes import Passes, key_of, recomputing
from synfab.torch.reading import rounded
from synfab.torch.readout import converter_range
from synfab.torch.training_cells import TRAINING_ROWS, Cells, with_gradient_of

# First row of the read noise: after the rows of programming errors of any network.
NOISE_ROWS = TRAINING_ROWS + 2**62


@dataclass(frozen=True, eq=False)
class Readout:
    """Converters and noise of a layer in training, as in ``LayerOptions``."""

    dac: int | None
    adc: int | None
    adc_range: float | None
    input_range: float | None
    read_voltage: float
    noise: ReadNoise

    @property
    def is_ideal(self) -> bool:
        """Whether a readout changes nothing."""
        parts = (self.dac, self.adc, self.input_range)
        return self.noise == NONE and all(part is None for part in parts)


class TrainingForward:
    """The forward pass of a layer in software that is read as one on cells.

    It runs the ``forward`` of the layer on cells with ``multiply`` of this class: methods and
    constants are those of the class on cells, all else is the layer's.
    """

    def __init__(self, layer: nn.Module, kind: type[CrossbarLayer[Any]], readout: Readout) -> None:
        self.layer, self.kind, self.readout = layer, kind, readout
        self.passes = Passes()

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs of the layer."""
        y: Tensor = self.kind.forward(self, x)
        return y

    def __getattr__(self, name: str) -> Any:
        """Return a method of the class on cells, an attribute of the layer, or a constant."""
        if name.startswith("__") or "layer" not in vars(self):
            raise AttributeError(name)
        found = inspect.getattr_static(self.kind, name, None)
        if inspect.isfunction(found):
            return MethodType(found, self)
        # Convolutions on cells have the padding of PyTorch's under another name.
        own = "_reversed_padding_repeated_twice" if name == "_edges" else name
        return getattr(self.layer if hasattr(self.layer, own) else self.kind, own)

    @property
    def cells(self) -> Cells:
        """The parametrisation of the layer's weight."""
        parts: Any = self.layer.parametrizations
        found: Cells = parts["weight"][0]
        return found

    @property
    def original(self) -> Tensor:
        """The weight that an optimizer changes."""
        parts: Any = self.layer.parametrizations
        found: Tensor = parts["weight"].original
        return found

    def check_input(self, x: Tensor) -> None:
        """Raise unless an input fits the layer's data type and device."""
        check_tensor(x, self.original)

    def add_bias(self, y: Tensor) -> Tensor:
        """Add the bias, if there is one, to outputs (…, outputs)."""
        bias: Tensor | None = getattr(self.layer, "bias", None)
        return y if bias is None else (y + bias).to(y.dtype)

    def multiply(self, x: Tensor) -> Tensor:
        """Multiply vectors with the weights, through the converters: see ``CrossbarLayer``."""
        read, tiles = self.readout, self.cells.tiles
        outputs, inputs = tiles.shape
        exact = rows_of(x).to(computing_type(self.original))
        present: Any = self.layer.weight
        weight = present.reshape(outputs, inputs).to(exact)
        parts = exact.reshape(len(exact), tiles.groups, inputs)
        size = parts.detach().abs().amax(dim=2, keepdim=True)
        if read.input_range is not None:
            size = torch.full_like(size, read.input_range)
        size = torch.where(size > 0.0, size, 1.0)
        v = parts / size
        if read.input_range is not None:
            v = with_gradient_of(v, v.clamp(-1.0, 1.0))
        if read.dac is not None:
            v = with_gradient_of(v, rounded(v.detach().clone(), 1.0, read.dac))
        y = self._currents(v * read.read_voltage, weight, size)
        return arranged_as(x, y).to(x.dtype)

    def _currents(self, v: Tensor, weight: Tensor, size: Tensor) -> Tensor:
        """Return outputs for voltages (B, groups, inputs), V, block by block of columns."""
        read, tiles, (low, high) = self.readout, self.cells.tiles, self.cells.window
        outputs, groups = len(weight), tiles.groups
        # One maximum of all weights, or one per output, as weights are scaled for the cells.
        largest = self.cells.clipped(self.original.detach())[1].to(v)
        siemens = weight * ((high - low) / largest)
        total = 2.0 * low + siemens.detach().abs()  # of both cells: one is at the lower end
        begin = self._first_readout(v) if self._noisy else 0
        result = torch.zeros(len(v), outputs, dtype=v.dtype, device=v.device)
        for block, columns in enumerate(tiles.column_blocks):
            part = v[:, :, columns]
            current = _product(part, siemens[:, columns], groups)
            if self._noisy:
                factor = read.noise.variance(1.0, part.detach())
                variance = _product(factor, total[:, columns], groups)
                first = NOISE_ROWS + tiles.first_cell + block * outputs
                z = readout_normals(tiles.seed, first, outputs, begin, len(v), v.device)
                current = current + variance.clamp(min=0.0).sqrt() * z.to(current)
            if read.adc is not None:
                most = read.adc_range or converter_range(
                    siemens[:, columns].detach(), high - low, read.read_voltage
                )
                levels = rounded(current.detach().clone(), most, read.adc)
                current = with_gradient_of(current, levels)
            result = result + current
        scale = (largest / (high - low) / read.read_voltage).reshape(1, -1)
        each = (result * scale).reshape(len(v), groups, -1) * size
        return each.reshape(len(v), outputs)

    @property
    def _noisy(self) -> bool:
        return self.layer.training and self.readout.noise != NONE

    def _first_readout(self, v: Tensor) -> int:
        """Return the number of the first readout; a recomputation repeats that of its pass."""
        key = key_of(v)
        past = self.passes.find(key) if recomputing() else None
        if past is not None:
            return past
        number = self.cells.readouts
        if not recomputing():
            self.passes.record(key, number)
        self.cells.readouts = (number + len(v)) & WORD
        return number


def _product(v: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Return products (B, outputs) of vectors (B, groups, inputs) with weights of all groups."""
    if groups == 1:
        return v[:, 0] @ weight.T
    parts = weight.reshape(groups, -1, weight.shape[1])
    return torch.einsum("bgi,goi->bgo", v, parts).reshape(len(v), -1)


def check_noise(noise: object, bandwidth: object) -> ReadNoise:
    """Return the read noise of a bandwidth (Hz), or none."""
    width = checks.number("bandwidth", bandwidth, minimum=0.0)
    return ReadNoise.of_bandwidth(width) if checks.flag("noise", noise) else NONE
