"""Everything that training in PyTorch goes on from, as plain arrays and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidTypeError
from synfab.common.interrupts import pass_on
from synfab.io.limits import one_line_errors
from synfab.torch.inputs import check_network


def training_state(
    network: nn.Module, optimizer: torch.optim.Optimizer, *others: Any
) -> dict[str, Any]:
    """Return the state of training: weights, cells, optimizer and PyTorch's own generators.

    Parameters
    ----------
    network, optimizer
        Layers on cells, ``PulsedSGD`` and training or evaluation mode included.
    others
        What else has a ``state_dict``, such as a scheduler of the learning rate.

    Returns
    -------
    dict
        For ``save`` of a run of ``synfab.Checkpoints``; a copy.
    """
    _check(network, optimizer, others)
    return {
        "network": _plain(network.state_dict()),
        "modes": [module.training for module in network.modules()],
        "optimizer": _plain(optimizer.state_dict()),
        "others": [_plain(other.state_dict()) for other in others],
        "generators": _plain([torch.get_rng_state(), *_cuda_generators()]),
    }


def restore_training(
    state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer, *others: Any
) -> None:
    """Take over what ``training_state`` gave, so that training goes on with the same bits.

    Raises
    ------
    FileFormatError, InvalidValueError
        The state is that of another network or optimizer; nothing has changed then.
    """
    before = training_state(network, optimizer, *others)
    try:
        with one_line_errors("checkpoint: not of this network and optimizer"):
            _restore(state, network, optimizer, others)
    except Exception as error:
        pass_on(error)
        _restore(before, network, optimizer, others)
        raise


def _check(network: object, optimizer: object, others: tuple[Any, ...]) -> None:
    check_network(network)
    checks.instance("optimizer", optimizer, torch.optim.Optimizer, "an optimizer of PyTorch")
    for other in others:
        if not callable(getattr(other, "state_dict", None)):
            raise InvalidTypeError(
                f"others: expected objects with a state_dict, found {checks.kind_of(other)}"
            )


def optimizer_settings(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What an optimizer was told, one setting a name: how a checkpoint tells it from another."""
    settings: dict[str, Any] = {"optimizer": type(optimizer).__name__}
    for k, group in enumerate(optimizer.param_groups):
        # A scheduler has moved the rate on; what it began with tells optimizers apart.
        given = {**group, "lr": group.get("initial_lr", group.get("lr"))}
        for name, value in given.items():
            if name not in ("params", "initial_lr"):
                plain = value.item() if isinstance(value, torch.Tensor) else value
                known = isinstance(plain, (bool, int, float, str, list, tuple, type(None)))
                settings[f"optimizer.{k}.{name}"] = plain if known else repr(plain)
    return settings


def _restore(
    state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer, others: Any
) -> None:
    modules = list(network.modules())
    counts = (len(state["modes"]), len(state["others"]))
    if counts != (len(modules), len(others)):
        raise FileFormatError(
            f"checkpoint: has {counts[0]} modules and {counts[1]} other objects; here are "
            f"{len(modules)} and {len(others)}"
        )
    network.load_state_dict(_tensors(state["network"]))
    moved = _tensors(state["optimizer"])
    # Optimizers know parameters by number and options as tuples, files by text and as lists.
    moved["state"] = {int(number): part for number, part in moved["state"].items()}
    for saved, group in zip(moved["param_groups"], optimizer.param_groups, strict=True):
        saved.update({k: tuple(v) for k, v in saved.items() if isinstance(group.get(k), tuple)})
    optimizer.load_state_dict(moved)
    for other, part in zip(others, state["others"], strict=True):
        other.load_state_dict(_tensors(part))
    for module, mode in zip(modules, state["modes"], strict=True):
        module.training = bool(mode)
    host, *cuda = _tensors(state["generators"])
    torch.set_rng_state(host)
    if cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(cuda)


def _cuda_generators() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, torch.Tensor):
        host = value.detach().cpu()
        # NumPy has no bfloat16; float32 holds it exactly and is turned back on loading.
        return np.array((host.float() if host.dtype == torch.bfloat16 else host).numpy())
    return value


def _tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tensors(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_tensors(part) for part in value]
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
