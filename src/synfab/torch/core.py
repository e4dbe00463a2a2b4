"""The base class of layers on cells: weights, reading and state."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, Unpack

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
from synfab.torch import former, ranges
from synfab.torch import state as cell_state
from synfab.torch.arrangement import Arrangement
from synfab.torch.compiled import ORDER, number_of, read_cells
from synfab.torch.gradients import straight_through
from synfab.torch.graphs import outside_graphs, refuse_export
from synfab.torch.inputs import (
    HALF,
    check_same_shapes,
    check_tensor,
    check_vectors,
    computing_type,
)
from synfab.torch.options import LayerOptions, LayerOptionsDict
from synfab.torch.parallel import refuse_distributed, refuse_replicas
from synfab.torch.parameter import CellWeight, plain, transforming, underlying
from synfab.torch.passes import Passes
from synfab.torch.readout import send
from synfab.torch.seen import Seen

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Plain = TypeVar("Plain", bound=nn.Module, default=nn.Module)
else:
    from typing import TypeVar

    Plain = TypeVar("Plain", bound=nn.Module)  # Python has defaults since 3.13

Layer = TypeVar("Layer", bound=nn.Module)
EXTRA = "_extra_state"
_later: ContextVar[bool] = ContextVar("_later", default=False)


@contextmanager
def programmed_later() -> Iterator[None]:
    """Create layers whose cells are first programmed by ``load_weights_from``."""
    token = _later.set(True)
    try:
        yield
    finally:
        _later.reset(token)


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
    groups
        Number of groups of outputs with inputs of their own; ``shape`` has the inputs of one group.

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
    arrangement
        Which rows of cells hold which weights.
    output_scale
        Factor of the outputs that compensates drift, 1 after programming; see ``compensate_drift``.
    response
        Mean response to calibration vectors after programming; None: not calibrated.
    """

    weight: nn.Parameter
    options: LayerOptions
    weight_range: Tensor
    difference: Tensor
    total: Tensor
    # Defaults of the class, so that layers pickled by earlier versions have them.
    output_scale: float = 1.0
    response: float | None = None
    # Called with the inputs and the outputs of every product, by optimizers that update by vectors.
    recorder: Callable[[Tensor, Tensor], None] | None = None
    _versions: list[object] = []  # noqa: RUF012 - of the cells at the last refresh; replaced

    def __init__(
        self, shape: tuple[int, ...], bias: bool, options: LayerOptions, groups: int = 1
    ) -> None:
        super().__init__()
        self.options = options
        outputs, inputs = shape[0], math.prod(shape[1:])
        self.arrangement = Arrangement.of(options, (outputs, inputs), groups)
        self.tiles = Tiles(
            options.model, self.arrangement.shape, options.tile, groups=groups,
            first_cell=options.first_cell, seed=options.seed, order=options.order,
            engine=options.engine, history=options.history, device=options.device,
            arrays="numpy" if options.device is None else "torch",
        )  # fmt: skip
        if self.wired:
            for rows, columns in (cells.shape for cells in self.tiles.cells):
                make_wires((rows, columns), options.wire_resistance)
        self.readout_number = 0
        self.number = number_of(self, self._read_now)  # in graphs
        self.passes = Passes()
        self.seen: Seen | None = None  # currents of the converters, during calibration
        self.shared: tuple[CrossbarLayer[Plain]] | None = None
        self._programmed: tuple[int, int] | None = None
        bound = 1.0 / math.sqrt(inputs)
        self.weight = CellWeight(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound)) if bias else None
        each = ranges.shapes(self)[0 if options.weight_range is None else -1]
        self.register_buffer("weight_range", torch.ones(each))
        for name in ("difference", "total"):
            empty = torch.empty(self.arrangement.lines, inputs)
            self.register_buffer(name, empty, persistent=False)
        self._bars: list[Crossbar[Any]] | None = None
        if not _later.get():
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
    def read_noise(self) -> ReadNoise:
        """Noise of a readout, as the options state."""
        options = self.options
        return ReadNoise.of_bandwidth(options.bandwidth) if options.noise else NONE

    @property
    def weight_per_siemens(self) -> Tensor:
        """Weight per conductance difference, 1/S, with ``output_scale``.

        Its shape is that of ``weight_range``: (1,), (outputs,) or (outputs, blocks of columns).
        """
        low, high = self.options.g_window
        return self.weight_range / (high - low) * self.output_scale

    def matrix(self) -> FloatArray:
        """Return the weights as (outputs, inputs), float64 on the host."""
        flat = plain(self.weight).detach().reshape(self.arrangement.weights)
        return np.asarray(flat.cpu().double().numpy(), np.float64)

    def targets(self) -> FloatArray:
        """Return the conductances of all cells for the present weights, S.

        Their shape is (2, outputs, inputs), G+ and G-, or in general (2, pairs of rows, inputs).
        Without a ``weight_range`` among the options, the layer's range is set to the largest
        magnitude. Compensation of drift ends.
        """
        weight, options = self.matrix(), self.options
        largest = ranges.of_weights(self, weight)
        spread = ranges.spread(self, torch.from_numpy(largest)).numpy()
        found = self.arrangement.targets(weight, spread, options.g_window, options.bits)
        self.weight_range = torch.from_numpy(largest).to(self.weight_range)
        self.output_scale, self.response = 1.0, None
        return found

    def set_ideally(self) -> None:
        """Program every cell to its target at once, without error."""
        self.tiles.set_conductance(self.targets())
        self.refresh()
        self.note_programmed()

    def refresh(self) -> None:
        """Update what the layer computes with; reads do this themselves if cells have changed."""
        self._versions = [cells.version for cells in self.tiles.cells]
        plus, minus = torch.from_numpy(self.tiles.states())
        with torch.no_grad():
            difference, total = self.arrangement.line_states(plus, minus)
            self.difference.copy_(difference)
            self.total.copy_(total)

    def follow_cells(self) -> None:
        """Call ``refresh`` if any cell was pulsed, programmed, loaded or aged since the last."""
        known = self._versions
        cells = self.tiles.cells
        if len(known) != len(cells) or any(
            array.version is not version for array, version in zip(cells, known, strict=True)
        ):
            self.refresh()

    @property
    def cell_weight(self) -> Tensor:
        """Weights that the cells hold, read without noise at U_0, (outputs, inputs)."""
        self.follow_cells()
        span = self.options.model.conduction.g_span
        factor = (span * self.weight_per_siemens).to(self.difference)
        held = self.arrangement.combined(self.difference.T).T
        return held * ranges.spread(self, factor)

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
        self.weight.copy_(weight).requires_grad_(weight.requires_grad)
        if self.bias is not None and bias is not None:
            self.bias.copy_(bias).requires_grad_(bias.requires_grad)
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
        Vectors of several groups stand one after another: (B, groups * inputs). Vectors may stand
        in columns, (images, inputs, places), as patches of images do; then the result is
        (images, outputs, places). Vectors in half precision are computed in float32, and the
        result is rounded to half precision.
        """
        if self.shared is not None:
            return self.shared[0].multiply(x)
        check_vectors(x, self.weight, self.tiles.groups * self.tiles.shape[1])
        exact = x.to(computing_type(self.weight))
        y = self._compiled(exact) if torch.compiler.is_compiling() else self._multiply(exact)
        if self.recorder is not None:
            self.recorder(exact, y)
        return y.to(x.dtype)

    def _compiled(self, x: Tensor) -> Tensor:
        """Multiply in a graph of ``torch.compile``; with gradients, between two graphs."""
        if self._differentiates(x):
            return outside_graphs(self._multiply, x)
        refuse_export()
        read: Tensor = read_cells(x, ORDER, self.number)
        return read

    def _differentiates(self, x: Tensor) -> bool:
        return torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)

    def _multiply(self, x: Tensor) -> Tensor:
        if not self._differentiates(x) and not transforming():
            return self._read_now(x)
        self._check_weight()
        outputs, inputs = self.arrangement.weights
        shape = (outputs, inputs) if self.tiles.groups == 1 else (self.tiles.groups, -1, inputs)
        held = self.cell_weight.reshape(shape).to(x) if x.requires_grad else None
        flat = plain(self.weight).reshape(shape)
        return straight_through(x, flat, partial(send, self), held)

    def _read_now(self, x: Tensor) -> Tensor:
        """Multiply checked vectors as ``multiply`` does, without a gradient."""
        self._check_weight()
        return send(self, x)

    def send(self, x: Tensor) -> Tensor:
        """Multiply as ``multiply`` does, without a gradient."""
        check_vectors(x, self.weight, self.tiles.groups * self.tiles.shape[1])
        return send(self, x.to(computing_type(self.weight))).to(x.dtype)

    def add_bias(self, y: Tensor) -> Tensor:
        """Add the bias, if there is one, to outputs (…, outputs)."""
        return y if self.bias is None else (y + self.bias).to(y.dtype)

    def crossbars(self) -> list[Crossbar[Any]]:
        """Return the tiles with their wires."""
        if self._bars is None or any(
            bar.cells is not cells for bar, cells in zip(self._bars, self.tiles.cells, strict=True)
        ):
            resistance = self.options.wire_resistance
            self._bars = [Crossbar(cells, resistance) for cells in self.tiles.cells]
        return self._bars

    # ---- weights in software and on cells -------------------------------------------------------

    def note_programmed(self) -> None:
        """Note that the cells were programmed to the present ``weight``."""
        self._programmed = _version(self.weight)

    def is_current(self) -> bool:
        """Tell whether ``weight`` is known to be what the cells were programmed to."""
        return self._programmed is not None and self._programmed == _version(self.weight)

    def _check_weight(self) -> None:
        """Warn once, or raise, if ``weight`` is no longer what the cells were programmed to."""
        refuse_distributed()
        present = self._parameters["weight"]  # of any class in torch.func.functional_call
        assert present is not None
        weight = underlying(present)
        if self._programmed in (None, _version(weight)):
            return
        if not isinstance(weight, nn.Parameter):
            raise InvalidValueError(
                "weight: replaced by another tensor, but the cells hold the weights that they were "
                "programmed to; copy the values to layer.weight and call program"
            )
        self._programmed = None
        warnings.warn(
            "weight: changed since the cells were programmed, by an optimizer, load_state_dict or "
            "other code; outputs are those of the cells. Call program, or train with PulsedSGD",
            stacklevel=4,
        )

    def share_cells(self, owner: CrossbarLayer[Plain]) -> None:
        """Use the cells and the ``weight`` of another layer of the same shape: tied weights."""
        self.weight, self.tiles, self.options = owner.weight, owner.tiles, owner.options
        self.weight_range, self.arrangement = owner.weight_range, owner.arrangement
        self._buffers["difference"] = self._buffers["total"] = None
        self.shared = (owner,)  # in a tuple: no child of this layer

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        current = self.is_current()
        before = self.weight_range
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # States stay in float32, whatever the parameters are.
        if self.shared is None and self.difference.dtype in HALF:
            place = self.difference.device
            self.weight_range = before.to(place)
            for name in ("difference", "total"):
                self._buffers[name] = torch.empty(
                    self.arrangement.lines, self.tiles.shape[1], device=place
                )
            self.refresh()
        if current:
            self.note_programmed()
        return self

    def _replicate_for_data_parallel(self) -> NoReturn:
        refuse_replicas()

    def __getstate__(self) -> dict[str, Any]:
        known = self._programmed  # the copy of a weight has an address and a version of its own
        current = None if known is None else known == _version(self.weight)
        # A copy belongs to no optimizer.
        return {
            **self.__dict__, "_programmed": None, "_current": current, "_versions": [],
            "recorder": None,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        current = state.pop("_current", True)
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if "arrangement" not in state:  # of an earlier version
            self.arrangement = Arrangement.of(self.options, self.tiles.shape, self.tiles.groups)
        self.number = number_of(self, self._read_now)
        if current is not None:
            self._programmed = _version(self.weight) if current else (-1, -1)

    # ---- state ----------------------------------------------------------------------------------

    def get_extra_state(self) -> dict[str, Any]:
        """Return the complete state of the cells, for ``state_dict``."""
        if self.shared is not None:
            return {"shared": True}
        state = {
            **cell_state.dump(self.tiles), **cell_state.mapped(self.options),
            "layer_readout_number": self.readout_number,
        }  # fmt: skip
        if self.options.adc_range is not None:
            state["adc_range"] = self.options.adc_range
        if self.response is not None:
            state |= {"response": self.response, "output_scale": self.output_scale}
        return cell_state.with_digest(state)

    def set_extra_state(self, state: object) -> None:
        """Restore the state of the cells from ``state_dict``."""
        if self.shared is not None:
            return
        found = cell_state.check(self.tiles, state)
        cell_state.check_mapped(self.options, found)
        number = checks.word("state_dict: layer_readout_number", found.get("layer_readout_number"))
        response, scale = cell_state.compensation(found)
        cell_state.restore(self.tiles, found)
        self.response, self.output_scale = response, scale
        self.options = replace(self.options, seed=self.tiles.seed, first_cell=self.tiles.first_cell)
        if self.options.adc is not None and self.options.adc_range is None:
            self.options = replace(self.options, adc_range=found.get("adc_range"))
        self.readout_number = number
        self.refresh()
        self.note_programmed()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, object], prefix: str, *others: object
    ) -> None:
        # Checked before anything is copied: torch copies what fits and reports the rest afterwards.
        if prefix + EXTRA in state_dict and self.shared is None:
            given_state = cell_state.check(self.tiles, state_dict[prefix + EXTRA])
            cell_state.check_mapped(self.options, given_state)
        given = state_dict.get(prefix + "weight_range")
        if isinstance(given, Tensor) and tuple(given.shape) in ranges.shapes(self):
            self.weight_range = self.weight_range.new_ones(given.shape)
        for name in ("weight", "bias", "weight_range"):
            mine, given = getattr(self, name), state_dict.get(prefix + name)
            if mine is not None and isinstance(given, Tensor) and given.shape != mine.shape:
                raise InvalidValueError(
                    f"state_dict: {prefix + name}: this layer has shape {tuple(mine.shape)}, the "
                    f"state {tuple(given.shape)}"
                )
        owner = self.shared[0] if self.shared else None
        current = owner is not None and owner.is_current()
        super()._load_from_state_dict(state_dict, prefix, *others)
        if owner is not None and current:  # the same numbers were copied to the shared weight
            owner.note_programmed()
        if not isinstance(self.weight, CellWeight):  # assign=True replaces the parameter
            self.weight = CellWeight(self.weight.data, self.weight.requires_grad)
            if prefix + EXTRA in state_dict:
                self.note_programmed()

    def describe(self) -> str:
        """Return the most important options, for ``extra_repr``."""
        wires = f", wire_resistance={self.options.wire_resistance}" if self.wired else ""
        model = self.options.model.name
        mapping = "" if self.options.mapping == "differential" else ", mapping='offset'"
        slices = f", slices={self.options.slices}" if self.options.slices > 1 else ""
        return (
            f"bias={self.bias is not None}, model={model!r}, seed={self.tiles.seed}, "
            f"first_cell={self.tiles.first_cell}{mapping}{slices}{wires}"
        )


def _version(weight: Tensor) -> tuple[int, int]:
    """Return what changes if a tensor is changed in place or replaced."""
    return weight.data_ptr(), weight._version


former.add_attributes(CrossbarLayer)
