"""What pulses the cells of one layer in training: its base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.programming.pairs import normalised
from synfab.torch.core import CrossbarLayer
from synfab.torch.parameter import plain
from synfab.torch.pulsed_pairs import PulsedPairs

# What states of earlier versions lack: the constructor programmed the cells then.
EARLIER = {"programmed": 1, "weight_range": 0.0}
# Headroom of weights in training, see ``leave_headroom``. On the digits, a range of twice the
# weights drawn at first pins a third of them, of four times 8 %, of eight times none.
INITIAL, PRESENT = 8.0, 1.5

Group: TypeAlias = dict[str, Any]
Recorded: TypeAlias = list[tuple[Tensor, Tensor]]  # inputs and gradients of outputs


class LayerWriter(ABC):
    """Pulses on the cells of one layer; a subclass decides which ones, in ``update``.

    Parameters
    ----------
    layer
        Its cells stay as they are until ``program``.
    granularity
        Change of a conductance that is meant by one pulse, S; None: 2 % of the window.
    duration
        Of each pulse, s.

    Attributes
    ----------
    programmed
        Whether ``program`` has prepared the cells for training.
    """

    def __init__(
        self, layer: CrossbarLayer[nn.Module], granularity: float | None, duration: float
    ) -> None:
        self.layer, self.duration = layer, duration
        self.pairs = PulsedPairs(layer.tiles, layer.options.g_window, duration)
        self.granularity = 0.02 * self.pairs.span if granularity is None else granularity
        self.updates = 0
        self.recorded: Recorded = []  # only where a method asks for them
        self.programmed = False

    def program(self) -> None:
        """Program the cells for the present weights, the larger one of each pair at the top.

        A layer without a ``weight_range`` is given one with headroom.
        """
        layer = self.layer
        leave_headroom(layer)
        plus, minus = layer.targets()
        self.pairs.refresh(np.ones(layer.tiles.shape, np.bool_), plus - minus)
        self.publish()
        self.programmed = True

    def train(self, gradient: Tensor, group: Group) -> None:
        """Update the cells, which are programmed for the training before the first update."""
        if not self.programmed:
            _check_finite(gradient)
            self.program()
        self.update(gradient, group)

    @abstractmethod
    def update(self, gradient: Tensor, group: Group) -> None:
        """Pulse the cells for the gradient of the weights; ``group`` has ``lr``."""

    def forget(self) -> None:
        """Discard the vectors that backward passes have recorded for the next update."""
        self.recorded.clear()

    def conductances(self, change: Tensor) -> Array:
        """Return changes of weights as changes of G+ - G-, S, (outputs, inputs)."""
        _check_finite(change)
        weights = change.detach().reshape(self.layer.tiles.shape).cpu().numpy().astype(np.float64)
        return np.asarray(weights / self.layer.weight_per_siemens.cpu().numpy()[:, None])

    def publish(self) -> None:
        """Update the layer from its cells, and its weights from their last reads."""
        layer, g = self.layer, self.pairs.g
        layer.refresh()
        difference = torch.from_numpy(g[0] - g[1]).to(layer.weight)
        factor = layer.weight_per_siemens.to(layer.weight)[:, None]
        with torch.no_grad():
            layer.weight.copy_((difference * factor).reshape(layer.weight.shape))
        layer.note_programmed()

    def settings(self) -> dict[str, float]:
        """Return settings that must agree with those of a state."""
        return {"granularity": self.granularity, "duration": self.duration}

    def dump(self) -> dict[str, Any]:
        """Return the state: tensors, whole numbers and the settings."""
        own = {
            "updates": self.updates, "programmed": int(self.programmed),
            "weight_range": self.layer.options.weight_range or 0.0,
        }  # fmt: skip
        return {**own, **self.settings(), **self.pairs.dump()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        self.updates = int(state["updates"])
        self.pairs.restore(state)
        layer, full = self.layer, {**EARLIER, **state}
        self.programmed = bool(full["programmed"])
        if "weight_range" in state:
            limit = float(full["weight_range"]) or None
            layer.options = replace(layer.options, weight_range=limit)
        else:
            leave_headroom(layer)

    def check(self, layer: str, state: object) -> None:
        """Raise unless ``restore`` can restore this state."""
        where = f"state_dict: {layer}"
        given, settings = {**EARLIER, **checks.mapping(where, state)}, self.settings()
        for name, mine in self.dump().items():
            what, value = f"{where}: {name}", given.get(name)
            if isinstance(mine, Tensor):
                _check_tensor(what, mine, value)
            elif isinstance(mine, Mapping):
                checks.mapping(what, value)
            elif name == "weight_range":
                checks.number(what, value, minimum=0.0)
            elif name not in settings:
                checks.integer(what, value, 0)
            elif (found := checks.number(what, value)) != mine:
                raise InvalidValueError(f"{what}: expected {mine:g}, found {found:g}")

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """Return rows of the report by name: of the layer, and of further cells."""
        cells = {"cells": self.pairs.count.size, "updates": self.updates}
        return {name: {**cells, **self.pairs.row()}}


def _check_finite(gradient: Tensor) -> None:
    if not bool(torch.isfinite(gradient).all()):
        raise InvalidValueError("grad: expected finite numbers, found NaN or infinity")


def _check_tensor(what: str, mine: Tensor, given: object) -> None:
    found = checks.real_array(what, given)
    lowest = 0.0 if what.endswith(("count", "energy")) else -np.inf
    if found.shape != tuple(mine.shape) or not np.isfinite(found).all():
        raise InvalidValueError(
            f"{what}: expected finite numbers of shape {tuple(mine.shape)}, found shape "
            f"{found.shape}"
        )
    if (found < lowest).any():
        raise InvalidValueError(f"{what}: expected numbers of at least 0, found negative ones")


def leave_headroom(layer: CrossbarLayer[Any]) -> None:
    """Set the ``weight_range`` of a layer that has none, so that its weights can grow.

    It is ``INITIAL`` times the largest weight that PyTorch draws at first, 1 / sqrt(inputs), but at
    least ``PRESENT`` times the largest present weight.
    """
    if layer.options.weight_range is None:
        drawn = INITIAL / layer.tiles.shape[1] ** 0.5
        largest = max(drawn, PRESENT * _largest(layer))
        layer.options = replace(layer.options, weight_range=largest)


def check_range(layer: CrossbarLayer[Any]) -> None:
    """Raise unless the weights of a layer are finite and within its ``weight_range``."""
    options, largest = layer.options, _largest(layer)
    limit = max(largest, 1.0) if options.weight_range is None else options.weight_range
    normalised(np.full((1, 1), largest), np.full((1, 1), limit))


def _largest(layer: CrossbarLayer[Any]) -> float:
    """Return the largest magnitude of a layer's weights; NaN if there is one among them."""
    low, high = torch.aminmax(plain(layer.weight).detach())  # both are NaN if one is
    return max(-float(low), float(high))
