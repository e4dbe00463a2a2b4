"""The base class of layers on cells: weights, reading and state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Self, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import FloatArray
from synfab.crossbar.array import Crossbar
from synfab.network.wires import make_wires
from synfab.physics.noise import NONE, ReadNoise
from synfab.programming.tiles import Tiles
from synfab.random.streams import WORD
from synfab.torch import former
from synfab.torch import state as cell_state
from synfab.torch.gradients import straight_through
from synfab.torch.graphs import outside_graphs
from synfab.torch.inputs import check_same_shapes, check_tensor, check_vectors
from synfab.torch.mapping import largest_weights, pair_targets
from synfab.torch.noise import readout_normals
from synfab.torch.options import LayerOptions, LayerOptionsDict
from synfab.torch.reading import noisy_pair_currents, pair_currents, rounded
from synfab.torch.wires import read_tiles

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Plain = TypeVar("Plain", bound=nn.Module, default=nn.Module)
else:
    from typing import TypeVar

    Plain = TypeVar("Plain", bound=nn.Module)  # Python has defaults since 3.13

Layer = TypeVar("Layer", bound=nn.Module)
EXTRA = "_extra_state"


@no_array("layer.weight")
class CrossbarLayer(nn.Module, ABC, Generic[Plain]):
    """Base class of layers whose weights are cells; ``Plain`` is the layer in software.

    A subclass computes its outputs with ``multiply`` and adds ``bias``; see ``register_layer``.

    Parameters
    ----------
    shape
        Of the weights, (outputs, …).
    bias
        Whether there is a bias, (outputs,), which is added digitally.
    options
        Of the layer.

    Attributes
    ----------
    weight
        Weights that the cells were last programmed to, a parameter. Its gradient is that of a
        linear layer. The cells follow at the next ``program``, or pulse by pulse with
        ``PulsedSGD``.
    bias
        A parameter, or None.
    options
        ``LayerOptions`` of the layer.
    tiles
        The cells.
    """

    weight: nn.Parameter
    options: LayerOptions
    weight_range: Tensor
    difference: Tensor
    total: Tensor

    def __init__(self, shape: tuple[int, ...], bias: bool, options: LayerOptions) -> None:
        super().__init__()
        self.options = options
        outputs, inputs = shape[0], math.prod(shape[1:])
        self.tiles = Tiles(
            options.model, (outputs, inputs), options.tile, first_cell=options.first_cell,
            seed=options.seed, order=options.order, engine=options.engine,
            history=options.history, device=options.device,
            arrays="numpy" if options.device is None else "torch",
        )  # fmt: skip
        if self.wired:
            for rows, columns in (cells.shape for cells in self.tiles.cells):
                make_wires((rows, columns), options.wire_resistance)
        self.readout_number = 0
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound)) if bias else None
        length = outputs if options.scale == "output" else 1
        self.register_buffer("weight_range", torch.ones(length))
        for name in ("difference", "total"):
            empty = torch.empty(outputs, inputs)
            self.register_buffer(name, empty, persistent=False)
        self._bars: list[Crossbar[Any]] | None = None
        self.set_ideally()

    # ---- a layer in software --------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def from_torch(cls, layer: Plain, **options: Unpack[LayerOptionsDict]) -> Self:
        """Return a layer on cells, ideally programmed to the weights of a layer in software."""

    @staticmethod
    @abstractmethod
    def plain_like(layer: Plain | CrossbarLayer[Plain]) -> Plain:
        """Return a new layer in software of the same sizes, with random weights."""

    @classmethod
    def unsupported(cls, layer: Plain) -> str | None:
        """Return which layers this class cannot represent, if ``layer`` is one of them.

        The answer is a plural noun for messages, such as "grouped convolutions"; None: ``layer``
        can be put on cells.
        """
        return None

    def to_torch(self) -> Plain:
        """Return a layer in software with the weights that the cells hold."""
        return self.copy_weights_to(self.plain_like(self))

    # ---- weights and conductances ---------------------------------------------------------------

    @property
    def wired(self) -> bool:
        """Whether the layer is read through resistive wires."""
        resistance = self.options.wire_resistance
        return not (isinstance(resistance, float) and resistance == 0.0)

    @property
    def weight_per_siemens(self) -> Tensor:
        """Weight per conductance difference, 1/S, (1,) or (outputs,)."""
        low, high = self.options.g_window
        return self.weight_range / (high - low)

    def matrix(self) -> FloatArray:
        """Return the weights as (outputs, inputs), float64 on the host."""
        flat = self.weight.detach().reshape(self.tiles.shape)
        return np.asarray(flat.cpu().numpy(), np.float64)

    def targets(self) -> FloatArray:
        """Return the conductances of G+ and G- for the present weights, (2, outputs, inputs), S.

        Without a ``weight_range`` among the options, the layer's range is set to the largest
        magnitude.
        """
        weight, options = self.matrix(), self.options
        largest = (
            largest_weights(weight, options.scale)
            if options.weight_range is None
            else np.full(self.weight_range.shape, options.weight_range)
        )
        found = pair_targets(weight, largest, options.g_window, options.bits)
        self.weight_range.copy_(torch.from_numpy(largest))
        return found

    def set_ideally(self) -> None:
        """Program every cell to its target at once, without error."""
        self.tiles.set_conductance(self.targets())
        self.refresh()

    def refresh(self) -> None:
        """Update what the layer computes with, after its cells were changed directly."""
        plus, minus = torch.from_numpy(self.tiles.states())
        with torch.no_grad():
            self.difference.copy_(minus - plus)
            self.total.copy_(plus + minus)

    @property
    def cell_weight(self) -> Tensor:
        """Weights that the cells hold, read without noise at U_0, (outputs, inputs)."""
        span = self.options.model.conduction.g_span
        factor = (span * self.weight_per_siemens).to(self.difference)
        return self.difference * factor[:, None]

    @torch.no_grad()
    def load_weights_from(self, layer: Plain) -> None:
        """Copy weights, bias, data type and device of a layer of the same shape; program ideally.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            It has no such weights; nothing has changed then.
        """
        weight, bias = check_same_shapes(layer, self)
        self.to(device=weight.device, dtype=weight.dtype)
        self.weight.copy_(weight)
        if self.bias is not None and bias is not None:
            self.bias.copy_(bias)
        self.train(layer.training)
        self.set_ideally()

    @torch.no_grad()
    def copy_weights_to(self, layer: Layer) -> Layer:
        """Copy the weights that the cells hold, and the bias, to a layer of the same shape.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            It has no such weights; nothing has changed then.
        """
        weight, bias = check_same_shapes(layer, self)
        layer.to(device=self.weight.device, dtype=self.weight.dtype)  # the parameters stay objects
        weight.copy_(self.cell_weight.reshape(self.weight.shape))
        if self.bias is not None and bias is not None:
            bias.copy_(self.bias)
        layer.train(self.training)
        return layer

    # ---- reading --------------------------------------------------------------------------------

    def check_input(self, x: Tensor) -> None:
        """Raise unless an input fits the layer's data type and device."""
        check_tensor(x, self.weight)

    def multiply(self, x: Tensor) -> Tensor:
        """Multiply input vectors (B, inputs) with the cells' weights: (B, outputs), without bias.

        Cells add read noise; the gradients are those of ``nn.Linear`` with the cells' weights.
        """
        check_vectors(x, self.weight, self.tiles.shape[1])
        return outside_graphs(self._multiply, x)

    def _multiply(self, x: Tensor) -> Tensor:
        if len(x) == 0:
            return x.new_zeros(0, self.tiles.shape[0])
        if torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad):
            flat = self.weight.reshape(self.tiles.shape)
            held = self.cell_weight if x.requires_grad else None
            return straight_through(x, flat, self._send, held)
        return self._send(x)

    def send(self, x: Tensor) -> Tensor:
        """Multiply as ``multiply`` does, without a gradient."""
        check_vectors(x, self.weight, self.tiles.shape[1])
        return self._send(x)

    @torch.no_grad()
    def _send(self, x: Tensor) -> Tensor:
        if len(x) == 0:
            return x.new_zeros(0, self.tiles.shape[0])
        options, size = self.options, self.options.input_range
        largest = x.abs().amax(dim=1, keepdim=True) if size is None else x.new_full((1, 1), size)
        # With a range of its own a layer would clip infinity, and pass NaN on.
        if not bool(torch.isfinite(largest if size is None else x).all()):
            raise InvalidValueError("input: expected finite numbers, found NaN or infinity")
        largest = torch.where(largest > 0.0, largest, 1.0)
        v = x * (options.read_voltage / largest)
        if size is not None:
            v = v.clamp_(-options.read_voltage, options.read_voltage)
        if options.dac is not None:
            v = rounded(v, options.read_voltage, options.dac)
        currents = self._currents(v)
        scale = (self.weight_per_siemens / options.read_voltage).to(currents)
        return currents.mul_(largest).mul_(scale)

    def _currents(self, v: Tensor) -> Tensor:
        """Currents (B, outputs) of all pairs, A, with noise, converted if there is an ADC."""
        if self.options.adc is None and not self.wired:
            currents, variance = self._ideal(v, slice(None))
            return self._with_noise(currents, variance, self.tiles.first_cell)
        if self.wired:
            currents, variance = read_tiles(self.tiles, self._crossbars(), v, self._read_noise(),
                                            self.options.linear)  # fmt: skip
            each = list(zip(currents, variance, strict=True))
        else:
            each = [self._ideal(v[:, block], block) for block in self.tiles.column_blocks]
        total = torch.zeros_like(each[0][0])
        first, outputs = self.tiles.first_cell, self.tiles.shape[0]
        begin = self.readout_number
        for block, (current, variance) in enumerate(each):
            self.readout_number = begin  # the same readouts, other rows
            noisy = self._with_noise(current, variance, first + block * outputs)
            total += noisy if self.options.adc is None else self._convert(noisy, self.options.adc)
        return total

    def _read_noise(self) -> ReadNoise:
        return ReadNoise.of_bandwidth(self.options.bandwidth) if self.options.noise else NONE

    def _ideal(self, v: Tensor, block: slice) -> tuple[Tensor, Tensor]:
        conduction, noise = self.options.model.conduction, self._read_noise()
        difference = self.difference[:, block]
        if noise == NONE:
            return pair_currents(conduction, v, difference, self.options.linear), v.new_zeros(())
        states = (difference, self.total[:, block])
        return noisy_pair_currents(conduction, v, states, noise, self.options.linear)

    def _with_noise(self, currents: Tensor, variance: Tensor, first: int) -> Tensor:
        if not self.options.noise:
            return currents
        count, rows = currents.shape
        z = readout_normals(
            self.tiles.seed, first, rows, self.readout_number, count, currents.device
        )
        # Noise counts readouts modulo 2**32, and files hold no larger number.
        self.readout_number = (self.readout_number + count) & WORD
        return currents.addcmul_(variance.sqrt_(), z.to(currents.dtype))

    def _convert(self, currents: Tensor, bits: int) -> Tensor:
        fixed = self.options.adc_range
        largest = float(currents.abs().max()) if fixed is None else fixed
        return rounded(currents, largest or 1.0, bits)

    def _crossbars(self) -> list[Crossbar[Any]]:
        if self._bars is None or any(
            bar.cells is not cells for bar, cells in zip(self._bars, self.tiles.cells, strict=True)
        ):
            resistance = self.options.wire_resistance
            self._bars = [Crossbar(cells, resistance) for cells in self.tiles.cells]
        return self._bars

    # ---- state ----------------------------------------------------------------------------------

    def get_extra_state(self) -> dict[str, Any]:
        """Return the complete state of the cells, for ``state_dict``."""
        state = {**cell_state.dump(self.tiles), "layer_readout_number": self.readout_number}
        return cell_state.with_digest(state)

    def set_extra_state(self, state: object) -> None:
        """Restore the state of the cells from ``state_dict``."""
        found = cell_state.check(self.tiles, state)
        number = checks.word("state_dict: layer_readout_number", found.get("layer_readout_number"))
        cell_state.restore(self.tiles, found)
        self.options = replace(self.options, seed=self.tiles.seed, first_cell=self.tiles.first_cell)
        self.readout_number = number
        self.refresh()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, object], prefix: str, *others: object
    ) -> None:
        # Checked before anything is copied: torch copies what fits and reports the rest afterwards.
        if prefix + EXTRA in state_dict:
            cell_state.check(self.tiles, state_dict[prefix + EXTRA])
        for name in ("weight", "bias", "weight_range"):
            mine, given = getattr(self, name), state_dict.get(prefix + name)
            if mine is not None and isinstance(given, Tensor) and given.shape != mine.shape:
                raise InvalidValueError(
                    f"state_dict: {prefix + name}: this layer has shape {tuple(mine.shape)}, the "
                    f"state {tuple(given.shape)}"
                )
        super()._load_from_state_dict(state_dict, prefix, *others)

    def describe(self) -> str:
        """Return the most important options, for ``extra_repr``."""
        wires = f", wire_resistance={self.options.wire_resistance}" if self.wired else ""
        model = self.options.model.name
        return (
            f"bias={self.bias is not None}, model={model!r}, seed={self.tiles.seed}, "
            f"first_cell={self.tiles.first_cell}{wires}"
        )


former.add_attributes(CrossbarLayer)
