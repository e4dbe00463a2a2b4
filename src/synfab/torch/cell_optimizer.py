"""The base class of optimizers that train weights on cells by pulses, and others digitally."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array
from synfab.io.limits import one_line_errors
from synfab.torch.convert import crossbar_layers
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import check_network
from synfab.torch.pulsed_pairs import PulsedPairs

CELLS = "cells"  # key of the layers' part of the optimizer's state
# Headroom of weights in training, see ``leave_headroom``. On the digits, a range of twice the
# weights drawn at first pins a third of them, of four times 8 %, of eight times none.
INITIAL, PRESENT = 8.0, 1.5

Group: TypeAlias = dict[str, Any]
Recorded: TypeAlias = list[tuple[Tensor, Tensor]]  # inputs and gradients of outputs
Parameters: TypeAlias = Iterable[nn.Parameter] | Iterable[Group]


class LayerWriter(ABC):
    """Pulses on the cells of one layer; a subclass decides which ones, in ``update``.

    Parameters
    ----------
    layer
        Its cells are programmed for the present weights, the larger one of each pair at the top of
        the window.
    granularity
        Change of a conductance that is meant by one pulse, S; None: 2 % of the window.
    duration
        Of each pulse, s.
    """

    def __init__(
        self, layer: CrossbarLayer[nn.Module], granularity: float | None, duration: float
    ) -> None:
        self.layer, self.duration = layer, duration
        self.pairs = PulsedPairs(layer.tiles, layer.options.g_window, duration)
        self.granularity = 0.02 * self.pairs.span if granularity is None else granularity
        self.updates = 0
        self.recorded: Recorded = []  # only where a method asks for them
        plus, minus = layer.targets()
        self.pairs.refresh(np.ones(layer.tiles.shape, np.bool_), plus - minus)
        self.publish()

    @abstractmethod
    def update(self, gradient: Tensor, group: Group) -> None:
        """Pulse the cells for the gradient of the weights; ``group`` has ``lr``."""

    def forget(self) -> None:
        """Discard the vectors that backward passes have recorded for the next update."""
        self.recorded.clear()

    def conductances(self, change: Tensor) -> Array:
        """Return changes of weights as changes of G+ - G-, S, (outputs, inputs)."""
        weights = change.detach().reshape(self.layer.tiles.shape).cpu().numpy().astype(np.float64)
        if not np.isfinite(weights).all():
            raise InvalidValueError("grad: expected finite numbers, found NaN or infinity")
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
        return {"updates": self.updates, **self.settings(), **self.pairs.dump()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        self.updates = int(state["updates"])
        self.pairs.restore(state)

    def check(self, layer: str, state: object) -> None:
        """Raise unless ``restore`` can restore this state."""
        where = f"state_dict: {layer}"
        given, settings = checks.mapping(where, state), self.settings()
        for name, mine in self.dump().items():
            what, value = f"{where}: {name}", given.get(name)
            if isinstance(mine, Tensor):
                _check_tensor(what, mine, value)
            elif isinstance(mine, Mapping):
                checks.mapping(what, value)
            elif name not in settings:
                checks.integer(what, value, 0)
            elif (found := checks.number(what, value)) != mine:
                raise InvalidValueError(f"{what}: expected {mine:g}, found {found:g}")

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """Return rows of the report by name: of the layer, and of further cells."""
        cells = {"cells": self.pairs.count.size, "updates": self.updates}
        return {name: {**cells, **self.pairs.row()}}


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


class CellOptimizer(torch.optim.Optimizer, ABC):
    """Base class of optimizers that pulse cells; ``PulsedSGD`` and others describe their updates.

    Parameters
    ----------
    network
        Module with layers on cells. The constructor programs the cells of the trained layers again,
        in place: the larger cell of each pair starts at the top of the window. A layer without a
        ``weight_range`` is given one with headroom, in which its weights can grow.
    params
        Parameters of the network to train, or groups of them, as for optimizers of PyTorch; None:
        all. Layers whose weights are not among them keep their cells as they are.
    lr
        Learning rate.
    momentum, weight_decay
        Of the parameters that are updated digitally, as in ``torch.optim.SGD``.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or the network has no layers on cells; no cell has changed then.
    """

    def __init__(
        self,
        network: nn.Module,
        params: Parameters | None,
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        check_network(network)
        found = crossbar_layers(network)
        if not found:
            raise InvalidValueError("network: expected layers on cells, found none")
        for name, layer in found:
            if not layer.arrangement.is_plain or layer.options.scale == "tile":
                raise InvalidValueError(
                    f"network: expected layers with one pair of cells for each weight and one "
                    f"range for each output, found other mapping, slices or scale in "
                    f"{name or 'layer'}"
                )
        self.on_cells = [layer for _, layer in found]
        self._named = {id(layer.weight): (name or "layer", layer) for name, layer in found}
        self._known = {id(parameter) for parameter in network.parameters()}
        self.layers: dict[str, LayerWriter] = {}
        self._of: dict[int, LayerWriter] = {}
        numbers = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        defaults = {name: _hyperparameter(name, value) for name, value in numbers.items()}
        # Only if they are used: checkpoints of earlier versions have neither.
        used = {name: value for name, value in defaults.items() if value}
        given = [dict(group) for group in self._groups(network, params)]
        # All layers are checked before any of their cells changes.
        for group in given:
            self._trained(group)
        super().__init__(given, used)

    def _groups(self, network: nn.Module, params: object) -> list[Group]:
        """Return groups of parameters as PyTorch describes them."""
        if params is None:
            return [{"params": list(network.parameters())}]
        every = _listed(params)
        groups = every if every and isinstance(every[0], Mapping) else [{"params": every}]
        return [self._group(group) for group in groups]

    def _group(self, group: object) -> Group:
        """Return a group with its parameters in a list, checked; it may be of any content."""
        made = dict(checks.mapping("params", group))
        found = made.get("params")
        made["params"] = [found] if isinstance(found, nn.Parameter) else _listed(found)
        for parameter in made["params"]:
            if id(parameter) not in self._known:
                raise InvalidValueError(
                    f"params: expected parameters of the network, found {checks.kind_of(parameter)}"
                    f" that is none of them"
                )
        for name in ("lr", "momentum", "weight_decay"):
            if name in made and not isinstance(made[name], Tensor):
                made[name] = _hyperparameter(name, made[name])
        return made

    def _trained(self, group: Group) -> list[tuple[str, CrossbarLayer[Any]]]:
        """Return the layers whose weights are in a group, if their cells can hold them."""
        found = [self._named[id(p)] for p in group["params"] if id(p) in self._named]
        for _, layer in found:
            layer.targets()  # raises for weights outside the window
        return found

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of the network's parameters; the cells of their layers are programmed."""
        group = self._group(param_group)
        layers = self._trained(group)
        with one_line_errors("params: not a group of parameters"):
            super().add_param_group(group)
        for name, layer in layers:
            leave_headroom(layer)
            self.layers[name] = self._of[id(layer.weight)] = self.writer(layer)

    @abstractmethod
    def writer(self, layer: CrossbarLayer[nn.Module]) -> LayerWriter:
        """Return what pulses the cells of a layer."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Apply one update; ``closure`` computes the loss again and returns it."""
        loss = None
        if closure is not None:
            checks.function("closure", closure)
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                writer = self._of.get(id(parameter))
                if parameter.grad is None:
                    if writer is not None:
                        writer.forget()
                elif writer is None:
                    self._update(parameter, group)
                else:
                    writer.update(self.direction(parameter, group), group)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset all gradients, and discard what backward passes have left for the cells."""
        super().zero_grad(checks.flag("set_to_none", set_to_none))
        for writer in self.layers.values():
            writer.forget()

    def direction(self, parameter: Tensor, group: Group) -> Tensor:
        """Return the gradient of weights on cells; a method may filter it digitally."""
        assert parameter.grad is not None
        return parameter.grad

    def with_momentum(self, parameter: Tensor, change: Tensor, momentum: float) -> Tensor:
        """Return a change of a parameter with momentum, as ``torch.optim.SGD``."""
        if not momentum:
            return change
        mean = self.state[parameter].get("momentum_buffer")
        mean = change.clone() if mean is None else mean.mul_(momentum).add_(change)
        self.state[parameter]["momentum_buffer"] = mean
        return mean

    def _update(self, parameter: Tensor, group: Group) -> None:
        """Update a parameter digitally, as ``torch.optim.SGD``."""
        change = parameter.grad
        assert change is not None
        # Groups of earlier versions have neither of the two.
        decay, momentum = group.get("weight_decay", 0.0), group.get("momentum", 0.0)
        if decay:
            change = change.add(parameter, alpha=decay)
        parameter.add_(self.with_momentum(parameter, change, momentum), alpha=-group["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer, including sums and pulses of the cells.

        The state of the layers' cells is in the network's ``state_dict``; load both.
        """
        cells = {name: writer.dump() for name, writer in self.layers.items()}
        return {**super().state_dict(), CELLS: cells}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of ``state_dict``.

        Raises
        ------
        InvalidValueError
            The state belongs to another optimizer, or to other layers.
        """
        found = checks.mapping("state_dict", state_dict).get(CELLS)
        if not isinstance(found, dict) or found.keys() != self.layers.keys():
            names = ", ".join(map(checks.shown, found)) if isinstance(found, dict) else ""
            raise InvalidValueError(
                f"state_dict: expected the state of the layers {', '.join(self.layers)}, "
                f"found {names or 'none'}"
            )
        for name, writer in self.layers.items():
            writer.check(name, found[name])
        with one_line_errors("state_dict: not of such an optimizer"):
            super().load_state_dict({k: v for k, v in state_dict.items() if k != CELLS})
        for name, writer in self.layers.items():
            writer.restore(found[name])

    def report(self) -> pd.DataFrame:
        """Return a table of pulses, cycles and energy so far, one row per layer.

        Columns are ``cells``, ``updates``, ``pulses`` (of all cells), ``pulses_a_cell``,
        ``most_pulses`` (of a cell), ``cycles_a_cell``, ``most_cycles``, ``refreshed`` (pairs), and
        ``energy`` in the cells, J. The first programming is included.
        """
        rows: dict[str, dict[str, Any]] = {}
        for name, writer in self.layers.items():
            rows |= writer.rows(name)
        return pd.DataFrame.from_dict(rows, orient="index")


def _listed(params: object) -> list[Any]:
    """Return what is iterated over, parameters or groups, as a list."""
    try:
        if isinstance(params, Iterable) and not isinstance(params, (Tensor, str, bytes, Mapping)):
            return list(params)
    except Exception as error:  # of an object that only looks iterable
        pass_on(error)
    raise InvalidTypeError(
        f"params: expected a list of parameters of the network, or of groups, found "
        f"{checks.kind_of(params)}"
    )


def _hyperparameter(name: str, value: object) -> float:
    if name == "lr":
        return checks.positive(name, value)
    limit = {"below": 1.0} if name == "momentum" else {}
    return checks.number(name, value, minimum=0.0, **limit)


def leave_headroom(layer: CrossbarLayer[Any]) -> None:
    """Set the ``weight_range`` of a layer that has none, so that its weights can grow.

    It is ``INITIAL`` times the largest weight that PyTorch draws at first, 1 / sqrt(inputs), but at
    least ``PRESENT`` times the largest present weight.
    """
    if layer.options.weight_range is None:
        drawn = INITIAL / layer.tiles.shape[1] ** 0.5
        largest = max(drawn, PRESENT * float(layer.weight_range.max()))
        layer.options = replace(layer.options, weight_range=largest)
