"""Layers of PyTorch that multiply with several matrices, split into linear layers.

A recurrent layer or an attention layer computes all its products in one function of PyTorch, which
reads the weights itself. ``convert`` replaces such a layer by a ``Composite``: a module that
computes the same with one ``nn.Linear`` per matrix. The linear layers are then put on cells like
all others, and ``to_torch`` and ``bake`` restore the layer of PyTorch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self, TypeVar

from torch import Tensor, nn

COMPOSITES: dict[type[nn.Module], type[Composite]] = {}
Kind = TypeVar("Kind", bound="type[Composite]")


class Composite(nn.Module, ABC):
    """Base class: a layer of PyTorch as a module whose children are linear layers."""

    @classmethod
    @abstractmethod
    def split(cls, layer: Any) -> Self:
        """Return a module that computes what a layer of PyTorch computes; it shares no tensor."""

    @abstractmethod
    def joined(self, linear: Callable[[str], nn.Linear]) -> nn.Module:
        """Return the layer of PyTorch; ``linear`` returns a child in software by its name."""


def splits(*kinds: type[nn.Module]) -> Callable[[Kind], Kind]:
    """Return a class decorator that registers how layers of these types are split."""

    def register(composite: Kind) -> Kind:
        COMPOSITES.update(dict.fromkeys(kinds, composite))
        return composite

    return register


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return an ``nn.Linear`` with copies of a matrix and a bias."""
    outputs, inputs = weight.shape
    made = nn.Linear(inputs, outputs, bias is not None, device=weight.device, dtype=weight.dtype)
    made.weight = nn.Parameter(weight.detach().clone(), weight.requires_grad)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return made
