"""``Conv1D`` of the package transformers, a linear layer with the transposed weight.

GPT-2 and its relatives consist of such layers. They are split into a linear layer as soon as the
package has been imported by someone else; this package does not need it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from synfab.torch.composites import COMPOSITES, Composite, linear_of, splits

MODULE = "transformers.pytorch_utils"


class SplitConv1D(Composite):
    """``Conv1D`` of transformers with the linear layer ``linear``."""

    kind: type[Any]
    nf: int
    nx: int
    linear: nn.Module

    @classmethod
    def split(cls, layer: Any) -> Self:
        """Return the same layer with a linear layer."""
        made = cls()
        made.kind, made.nf, made.nx = type(layer), layer.nf, layer.nx
        made.linear = linear_of(layer.weight.T.contiguous(), layer.bias)
        return made.train(layer.training)

    def joined(self, linear: Callable[[str], nn.Linear]) -> nn.Module:
        """Return a ``Conv1D`` with the weights of the linear layer."""
        plain = linear("linear")
        made: nn.Module = self.kind(self.nf, self.nx).to(plain.weight)
        with torch.no_grad():
            made.get_parameter("weight").copy_(plain.weight.T)
            made.get_parameter("bias").copy_(plain.bias)
        return made.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (…, nx) with the weights and add the bias: (…, nf)."""
        found: Tensor = self.linear(x)
        return found


def register_loaded() -> None:
    """Register how ``Conv1D`` is split, if the package has been imported."""
    kind = getattr(sys.modules.get(MODULE), "Conv1D", None)
    if isinstance(kind, type) and kind not in COMPOSITES:
        splits(kind)(SplitConv1D)
