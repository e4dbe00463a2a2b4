"""Hooks of layers that move to cells: some compute the weight, the others are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

COMPUTE_WEIGHT = (WeightNorm, SpectralNorm, BasePruningMethod)
NAMES = (
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
    *("_backward_hooks", "_backward_pre_hooks"),
)


def update_weight(layer: nn.Module) -> None:
    """Compute the present ``weight`` of a layer with ``weight_norm``, pruning and the like."""
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, COMPUTE_WEIGHT):
            call: Callable[..., Any] = hook
            call(layer, None)


def keep_hooks(layer: nn.Module, made: nn.Module) -> None:
    """Give a layer on cells the hooks of the layer in software, but those for its weight."""
    for name in NAMES:
        mine = getattr(made, name)
        mine.update({
            key: hook for key, hook in getattr(layer, name).items()
            if not isinstance(hook, COMPUTE_WEIGHT)
        })  # fmt: skip
    made._is_full_backward_hook = layer._is_full_backward_hook
