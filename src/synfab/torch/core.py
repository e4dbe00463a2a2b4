"""What linear layers and convolutions on cells have in common."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.crossbar.array import Crossbar
from synfab.model.cell_model import CellModel
from synfab.network.wires import make_wires
from synfab.physics.noise import NONE, ReadNoise
from synfab.programming.tiles import Tiles
from synfab.random.streams import WORD
from synfab.torch import state as cell_state
from synfab.torch.graphs import beside_graphs
from synfab.torch.inputs import check_tensor, check_twin, check_vectors
from synfab.torch.mapping import largest_weights, pair_targets
from synfab.torch.noise import readout_normals
from synfab.torch.options import LayerOptions, settings
from synfab.torch.reading import noisy_pair_currents, pair_currents
from synfab.torch.wires import read_tiles

Layer = TypeVar("Layer", bound=nn.Module)
EXTRA = "_extra_state"


class CrossbarLayer(nn.Module):
    """Weights (outputs, …) on cells; see ``CrossbarLinear`` and ``CrossbarConv2d``.

    Attributes
    ----------
    weight
        What the cells were last programmed for, a parameter: its gradient is that of a linear
        layer. The cells follow at the next ``program``, or pulse by pulse with ``PulsedSGD``.
    tiles
        The cells.
    """

    weight: nn.Parameter
    model: CellModel
    window: tuple[float, float]
    scale: str
    fixed_range: float | None
    input_range: float | None
    read_voltage: float
    bits: int | None
    dac: int | None
    adc: int | None
    adc_range: float | None
    noise: bool
    bandwidth: float
    linear: bool
    wire_resistance: Any
    weight_range: Tensor
    difference: Tensor
    total: Tensor

    def __init__(self, shape: tuple[int, ...], bias: bool, options: LayerOptions) -> None:
        super().__init__()
        for name, value in settings(options).items():
            setattr(self, name, value)
        outputs, inputs = shape[0], math.prod(shape[1:])
        self.tiles = Tiles(
            self.model, (outputs, inputs), options.get("tile", (256, 256)),
            first_cell=options.get("first_cell", 0), seed=options["seed"],
            order=options.get("order"), engine=options.get("engine", "auto"),
            history=options.get("history", "float32"), device=options.get("device"),
        )  # fmt: skip
        if self.wired:
            for rows, columns in (cells.shape for cells in self.tiles.cells):
                make_wires((rows, columns), self.wire_resistance)
        self.readout_number = 0
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound)) if bias else None
        length = outputs if self.scale == "output" else 1
        self.register_buffer("weight_range", torch.ones(length))
        for name in ("difference", "total"):
            empty = torch.empty(outputs, inputs)
            self.register_buffer(name, empty, persistent=False)
        self._bars: list[Crossbar] | None = None
        self.set_ideally()

    # ---- weights and conductances ---------------------------------------------------------------

    @property
    def wired(self) -> bool:
        """Whether the layer is read through resistive wires."""
        return not (np.ndim(self.wire_resistance) == 0 and self.wire_resistance == 0.0)

    @property
    def weight_per_siemens(self) -> Tensor:
        """Weight that a conductance difference stands for, 1/S, (1,) or (outputs,)."""
        low, high = self.window
        return self.weight_range / (high - low)

    def matrix(self) -> npt.NDArray[Any]:
        """Weights as (outputs, inputs), float64 on the host."""
        flat = self.weight.detach().reshape(self.tiles.shape)
        return np.asarray(flat.cpu().numpy(), np.float64)

    def targets(self) -> npt.NDArray[Any]:
        """Conductances of G+ and G- for the present weights, (2, outputs, inputs), S.

        Without a fixed ``weight_range`` it is set to the largest magnitude first.
        """
        weight = self.matrix()
        shape = self.weight_range.shape
        largest = (
            largest_weights(weight, self.scale)
            if self.fixed_range is None
            else np.full(shape, self.fixed_range)
        )
        found = pair_targets(weight, largest, self.window, self.bits)
        self.weight_range.copy_(torch.from_numpy(largest))
        return found

    def set_ideally(self) -> None:
        """Program every cell to its target at once, without error."""
        self.tiles.set_conductance(self.targets())
        self.refresh()

    def refresh(self) -> None:
        """Take over the state of the cells after they were changed from outside."""
        plus, minus = torch.from_numpy(self.tiles.states())
        with torch.no_grad():
            self.difference.copy_(minus - plus)
            self.total.copy_(plus + minus)

    @property
    def cell_weight(self) -> Tensor:
        """Weights that the cells hold, read without noise at U_0, (outputs, inputs)."""
        conduction = self.model.conduction
        span = conduction.g_llrs - conduction.g_hhrs
        factor = (span * self.weight_per_siemens).to(self.difference)
        return self.difference * factor[:, None]

    @torch.no_grad()
    def take(self, layer: nn.Module) -> None:
        """Take over weights, bias, data type and device of a layer of the same shape."""
        check_twin(layer, self)
        source: Any = layer
        self.to(device=source.weight.device, dtype=source.weight.dtype)
        self.weight.copy_(source.weight)
        if self.bias is not None:
            self.bias.copy_(source.bias)
        self.train(layer.training)
        self.set_ideally()

    @torch.no_grad()
    def give(self, layer: Layer) -> Layer:
        """Put the weights that the cells hold into a layer of the same shape."""
        check_twin(layer, self)
        target: Any = layer.to(device=self.weight.device, dtype=self.weight.dtype)
        target.weight.copy_(self.cell_weight.reshape(self.weight.shape))
        if self.bias is not None:
            target.bias.copy_(self.bias)
        target.train(self.training)
        return layer

    # ---- reading --------------------------------------------------------------------------------

    def check_input(self, x: Tensor) -> None:
        """Raise unless an input fits the layer's data type and device."""
        check_tensor(x, self.weight)

    def multiply(self, x: Tensor) -> Tensor:
        """Send input vectors (B, inputs) through the cells: (B, outputs), without the bias."""
        check_vectors(x, self.weight, self.tiles.shape[1])
        return beside_graphs(self._multiply, x)

    def _multiply(self, x: Tensor) -> Tensor:
        if len(x) == 0:
            return x.new_zeros(0, self.tiles.shape[0])
        if torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad):
            flat = self.weight.reshape(self.tiles.shape)
            result: Tensor = StraightThrough.apply(x, flat, self)  # type: ignore[no-untyped-call]
            return result
        return self._send(x)

    def send(self, x: Tensor) -> Tensor:
        """``multiply``, without a gradient."""
        check_vectors(x, self.weight, self.tiles.shape[1])
        return self._send(x)

    @torch.no_grad()
    def _send(self, x: Tensor) -> Tensor:
        if len(x) == 0:
            return x.new_zeros(0, self.tiles.shape[0])
        size = self.input_range
        largest = x.abs().amax(dim=1, keepdim=True) if size is None else x.new_full((1, 1), size)
        # With a range of its own a layer would clip infinity, and pass NaN on.
        if not bool(torch.isfinite(largest if size is None else x).all()):
            raise InvalidValueError("input: expected finite numbers, found NaN or infinity")
        largest = torch.where(largest > 0.0, largest, 1.0)
        v = x * (self.read_voltage / largest)
        if size is not None:
            v = v.clamp_(-self.read_voltage, self.read_voltage)
        if self.dac is not None:
            v = _round(v, self.read_voltage, self.dac)
        currents = self._currents(v)
        scale = (self.weight_per_siemens / self.read_voltage).to(currents)
        return currents.mul_(largest).mul_(scale)

    def _currents(self, v: Tensor) -> Tensor:
        """Currents (B, outputs) of all pairs, A, with noise, converted if there is an ADC."""
        if self.adc is None and not self.wired:
            currents, variance = self._ideal(v, slice(None))
            return self._with_noise(currents, variance, self.tiles.first_cell)
        if self.wired:
            currents, variance = read_tiles(self.tiles, self._crossbars(), v, self._read_noise(),
                                            self.linear)  # fmt: skip
            each = list(zip(currents, variance, strict=True))
        else:
            each = [self._ideal(v[:, block], block) for block in self.tiles.column_blocks]
        total = torch.zeros_like(each[0][0])
        first, outputs = self.tiles.first_cell, self.tiles.shape[0]
        begin = self.readout_number
        for block, (current, variance) in enumerate(each):
            self.readout_number = begin  # the same readouts, other rows
            noisy = self._with_noise(current, variance, first + block * outputs)
            total += noisy if self.adc is None else self._convert(noisy)
        return total

    def _read_noise(self) -> ReadNoise:
        return ReadNoise.of_bandwidth(self.bandwidth) if self.noise else NONE

    def _ideal(self, v: Tensor, block: slice) -> tuple[Tensor, Tensor]:
        conduction, noise = self.model.conduction, self._read_noise()
        difference = self.difference[:, block]
        if noise == NONE:
            return pair_currents(conduction, v, difference, self.linear), v.new_zeros(())
        states = (difference, self.total[:, block])
        return noisy_pair_currents(conduction, v, states, noise, self.linear)

    def _with_noise(self, currents: Tensor, variance: Tensor, first: int) -> Tensor:
        if not self.noise:
            return currents
        count, rows = currents.shape
        z = readout_normals(
            self.tiles.seed, first, rows, self.readout_number, count, currents.device
        )
        # Modulo 2**32, as the noise counts: a file holds no larger number.
        self.readout_number = (self.readout_number + count) & WORD
        return currents.addcmul_(variance.sqrt_(), z.to(currents.dtype))

    def _convert(self, currents: Tensor) -> Tensor:
        assert self.adc is not None
        largest = float(currents.abs().max()) if self.adc_range is None else self.adc_range
        return _round(currents, largest or 1.0, self.adc)

    def _crossbars(self) -> list[Crossbar]:
        if self._bars is None or any(
            bar.cells is not cells for bar, cells in zip(self._bars, self.tiles.cells, strict=True)
        ):
            self._bars = [Crossbar(cells, self.wire_resistance) for cells in self.tiles.cells]
        return self._bars

    # ---- state ----------------------------------------------------------------------------------

    def get_extra_state(self) -> dict[str, Any]:
        """Return the whole state of the cells, for ``state_dict``."""
        state = {**cell_state.dump(self.tiles), "layer_readout_number": self.readout_number}
        return cell_state.sealed(state)

    def set_extra_state(self, state: Any) -> None:
        """Take over the state of cells from ``state_dict``."""
        cell_state.check(self.tiles, state)
        number = checks.word("state_dict: layer_readout_number", state.get("layer_readout_number"))
        cell_state.restore(self.tiles, state)
        self.readout_number = number
        self.refresh()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # Before anything of this layer is copied: torch would copy what fits and complain later.
        if prefix + EXTRA in state_dict:
            cell_state.check(self.tiles, state_dict[prefix + EXTRA])
        for name in ("weight", "bias", "weight_range"):
            mine, given = getattr(self, name), state_dict.get(prefix + name)
            if mine is not None and isinstance(given, Tensor) and given.shape != mine.shape:
                raise InvalidValueError(
                    f"state_dict: {prefix + name}: this layer has shape {tuple(mine.shape)}, the "
                    f"state {tuple(given.shape)}"
                )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def describe(self) -> str:
        """Return the options that matter most, for ``print``."""
        wires = f", wire_resistance={self.wire_resistance}" if self.wired else ""
        return (
            f"bias={self.bias is not None}, model={self.model.name!r}, seed={self.tiles.seed}, "
            f"first_cell={self.tiles.first_cell}{wires}"
        )


class StraightThrough(torch.autograd.Function):
    """Forward through the cells; backward through the linear map that the cells hold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: CrossbarLayer) -> Tensor:
        """Read the cells."""
        ctx.save_for_backward(x)
        ctx.held = layer.cell_weight if ctx.needs_input_grad[0] else None
        return layer._send(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of ``nn.Linear`` with the weights that the cells held."""
        (grad,) = grads
        (x,) = ctx.saved_tensors
        return (
            grad @ ctx.held if ctx.needs_input_grad[0] else None,
            grad.T @ x if ctx.needs_input_grad[1] else None,
            None,
        )


def _round(values: Tensor, largest: float, bits: int) -> Tensor:
    """Nearest of 2**bits levels from minus to plus ``largest``, clipped at both ends."""
    step = 2.0 * largest / (2**bits - 1)
    level = ((values + largest) / step).round_().clamp_(0, 2**bits - 1)
    result: Tensor = level.mul_(step).sub_(largest)
    return result
