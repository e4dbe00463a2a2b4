"""The state of a training in PyTorch as plain arrays and numbers, for checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, TypedDict

import numpy as np
import torch
from torch import nn

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidTypeError
from synfab.common.interrupts import pass_on
from synfab.common.types import Array
from synfab.io.limits import one_line_errors
from synfab.torch.inputs import check_network

StateDict: TypeAlias = dict[str, Any]  # as PyTorch annotates them


class Stateful(Protocol):
    """An object whose state can be saved, such as a scheduler of the learning rate."""

    def state_dict(self) -> StateDict:
        """Return the state."""

    def load_state_dict(self, state_dict: StateDict, /) -> object:
        """Restore the state."""


class TrainingState(TypedDict):
    """State of a training, in arrays, numbers, text, lists and dictionaries."""

    network: StateDict
    modes: list[bool]
    optimizer: StateDict
    others: list[StateDict]
    generators: list[Array]


def training_state(
    network: nn.Module, optimizer: torch.optim.Optimizer, *others: Stateful
) -> TrainingState:
    """Return the state of a training: weights, cells, optimizer and PyTorch's own generators.

    Parameters
    ----------
    network, optimizer
        Network and its optimizer. Layers on cells, ``PulsedSGD`` and training or evaluation mode
        are included.
    others
        Other objects with a ``state_dict``, such as a scheduler of the learning rate.

    Returns
    -------
    dict
        A copy of the state, for ``save`` of a run of ``synfab.Checkpoints``.
    """
    _check(network, optimizer, others)
    generators = [torch.get_rng_state(), *_cuda_generators()]
    return {
        "network": _converted(network.state_dict(), _array),
        "modes": [module.training for module in network.modules()],
        "optimizer": _converted(optimizer.state_dict(), _array),
        "others": [_converted(other.state_dict(), _array) for other in others],
        "generators": [generator.numpy().copy() for generator in generators],
    }


def restore_training(
    state: TrainingState | StateDict,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *others: Stateful,
) -> None:
    """Restore the result of ``training_state``, so that training resumes with the same bits.

    Raises
    ------
    FileFormatError, InvalidValueError
        The state belongs to another network or optimizer; nothing has changed then.
    """
    before = training_state(network, optimizer, *others)
    try:
        with one_line_errors("checkpoint: not of this network and optimizer"):
            _restore(state, network, optimizer, others)
    except Exception as error:
        pass_on(error)
        _restore(before, network, optimizer, others)
        raise


def _check(network: object, optimizer: object, others: Iterable[object]) -> None:
    check_network(network)
    checks.instance("optimizer", optimizer, torch.optim.Optimizer, "an optimizer of PyTorch")
    for other in others:
        if not callable(getattr(other, "state_dict", None)):
            raise InvalidTypeError(
                f"others: expected objects with a state_dict, found {checks.kind_of(other)}"
            )


def optimizer_settings(optimizer: torch.optim.Optimizer) -> dict[str, object]:
    """Return the hyperparameters of an optimizer by name, which identify it in a checkpoint."""
    settings: dict[str, object] = {"optimizer": type(optimizer).__name__}
    for k, group in enumerate(optimizer.param_groups):
        # Schedulers change "lr"; they store the first one, which identifies the optimizer.
        given = {**group, "lr": group.get("initial_lr", group.get("lr"))}
        for name, value in given.items():
            if name not in ("params", "initial_lr"):
                plain = value.item() if isinstance(value, torch.Tensor) else value
                known = isinstance(plain, (bool, int, float, str, list, tuple, type(None)))
                settings[f"optimizer.{k}.{name}"] = plain if known else repr(plain)
    return settings


def _restore(
    state: TrainingState | StateDict,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    others: tuple[Stateful, ...],
) -> None:
    modules = list(network.modules())
    counts = (len(state["modes"]), len(state["others"]))
    if counts != (len(modules), len(others)):
        raise FileFormatError(
            f"checkpoint: expected {len(modules)} modules and {len(others)} other objects, found "
            f"{counts[0]} and {counts[1]}"
        )
    network.load_state_dict(_converted(state["network"], _tensor))
    moved = _converted(state["optimizer"], _tensor)
    # Files turn the numbers of parameters into text, and tuples among the options into lists.
    moved["state"] = {int(number): part for number, part in moved["state"].items()}
    for saved, group in zip(moved["param_groups"], optimizer.param_groups, strict=True):
        saved.update({k: tuple(v) for k, v in saved.items() if isinstance(group.get(k), tuple)})
    optimizer.load_state_dict(moved)
    for other, part in zip(others, state["others"], strict=True):
        other.load_state_dict(_converted(part, _tensor))
    for module, mode in zip(modules, state["modes"], strict=True):
        module.training = bool(mode)
    host, *cuda = (torch.from_numpy(np.array(words)) for words in state["generators"])
    torch.set_rng_state(host)
    if cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(cuda)


def _cuda_generators() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _converted(value: Any, leaf: Callable[[Any], object]) -> Any:
    """Return a copy with text as keys, lists in place of tuples, and ``leaf`` of all the rest."""
    if isinstance(value, Mapping):
        return {str(key): _converted(part, leaf) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_converted(part, leaf) for part in value]
    return leaf(value)


def _array(value: object) -> object:
    if not isinstance(value, torch.Tensor):
        return value
    host = value.detach().cpu()
    # NumPy has no bfloat16; float32 holds it exactly, and loading converts it back.
    return np.array((host.float() if host.dtype == torch.bfloat16 else host).numpy())


def _tensor(value: object) -> object:
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
