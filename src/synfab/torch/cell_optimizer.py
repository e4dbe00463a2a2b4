"""The base class of optimizers that train weights on cells by pulses, and others digitally."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import pandas as pd
import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.io.limits import one_line_errors
from synfab.torch.convert import crossbar_layers
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import check_network
from synfab.torch.layer_writer import Group, LayerWriter, check_range

CELLS = "cells"  # key of the layers' part of the optimizer's state

Parameters: TypeAlias = Iterable[nn.Parameter] | Iterable[Group]


class CellOptimizer(torch.optim.Optimizer, ABC):
    """Base class of optimizers that pulse cells; ``PulsedSGD`` and others describe their updates.

    Parameters
    ----------
    network
        Module with layers on cells. The constructor changes no cell; ``program``, or the first
        ``step``, prepares the cells of the trained layers.
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
        An argument is not allowed, or the network has no layers on cells.
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
        # Before the recorders of any layer are set.
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
            check_range(layer)
        return found

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of the network's parameters; the next ``step`` programs their cells."""
        group = self._group(param_group)
        layers = self._trained(group)
        with one_line_errors("params: not a group of parameters"):
            super().add_param_group(group)
        for name, layer in layers:
            self.layers[name] = self._of[id(layer.weight)] = self.writer(layer)

    @abstractmethod
    def writer(self, layer: CrossbarLayer[nn.Module]) -> LayerWriter:
        """Return what pulses the cells of a layer."""

    @torch.no_grad()
    def program(self) -> None:
        """Program the cells of the trained layers for the present weights, once.

        The larger cell of each pair starts at the top of the window, since only RESET is gradual.
        A layer without a ``weight_range`` is given one with headroom, in which its weights can
        grow. Otherwise the first ``step`` that has a gradient of a layer does this, with a gradient
        that belongs to the cells before. ``report`` counts the pulses. After ``load_state_dict`` of
        an optimizer that had programmed the cells, they stay.
        """
        for writer in self.layers.values():
            if not writer.programmed:
                writer.program()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Apply one update; ``closure`` computes the loss again and returns it.

        The cells of a layer are programmed at its first update, see ``program``.
        """
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
                    writer.train(self.direction(parameter, group), group)
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
        ``energy`` in the cells, J. The programming before the first update is included.
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
