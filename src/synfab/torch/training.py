"""Everything that training in PyTorch goes on from, as plain arrays and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from synfab.errors import FileFormatError, SynfabError


def training_state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state of training: weights, cells, optimizer and PyTorch's own generator.

    Parameters
    ----------
    network, optimizer
        Any; layers on cells and ``PulsedSGD`` included.

    Returns
    -------
    dict
        For ``save`` of a run of ``synfab.Checkpoints``.
    """
    return {
        "network": _plain(network.state_dict()),
        "optimizer": _plain(optimizer.state_dict()),
        "generator": torch.get_rng_state().numpy(),
    }


def restore_training(
    state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Take over what ``training_state`` gave, so that training goes on with the same bits.

    Raises
    ------
    FileFormatError, InvalidValueError
        The state is that of another network or optimizer.
    """
    try:
        network.load_state_dict(_tensors(state["network"]))
        moved = _tensors(state["optimizer"])
        # Optimizers know parameters by number, files by text.
        moved["state"] = {int(number): part for number, part in moved["state"].items()}
        optimizer.load_state_dict(moved)
        torch.set_rng_state(torch.from_numpy(np.array(state["generator"])))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, SynfabError):
            raise
        reason = " ".join(str(error).split())
        raise FileFormatError(f"checkpoint: not of this network and optimizer: {reason}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, torch.Tensor):
        host = value.detach().cpu()
        # NumPy has no bfloat16; float32 holds it exactly and is turned back on loading.
        return (host.float() if host.dtype == torch.bfloat16 else host).numpy()
    return value


def _tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tensors(part) for key, part in value.items()}
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
