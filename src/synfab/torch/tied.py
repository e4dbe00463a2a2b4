"""Weights that several layers share: they have one set of cells."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from synfab.common.errors import InvalidValueError
from synfab.torch.compiled import ORDER, held_weights
from synfab.torch.core import CrossbarLayer
from synfab.torch.graphs import outside_graphs, refuse_export
from synfab.torch.parameter import plain


class TiedEmbedding(nn.Module):
    """``nn.Embedding`` whose table is the weight of a linear layer on cells.

    A look-up returns the weights that the cells of one output hold, as after a digital read-out:
    without read noise. The gradient is that of ``nn.Embedding``.
    """

    def __init__(self, layer: nn.Embedding, owner: CrossbarLayer[Any]) -> None:
        super().__init__()
        if layer.max_norm is not None:
            raise InvalidValueError("max_norm: expected None for weights that cells hold")
        self.num_embeddings, self.embedding_dim = layer.num_embeddings, layer.embedding_dim
        self.padding_idx = layer.padding_idx
        self.weight = owner.weight
        self.owner = (owner,)  # in a tuple: no child of this layer
        self.train(layer.training)

    def forward(self, index: Tensor) -> Tensor:
        """Return the rows of the table for indices of any shape: (…, embedding_dim)."""
        if torch.is_grad_enabled() and self.weight.requires_grad:
            return outside_graphs(self._differentiable, index)
        refuse_export()
        (owner,) = self.owner
        compiling = torch.compiler.is_compiling()
        held = held_weights(ORDER, owner.number) if compiling else owner.cell_weight
        return functional.embedding(index, held.to(self.weight.dtype))

    def _differentiable(self, index: Tensor) -> Tensor:
        (owner,) = self.owner
        value = functional.embedding(index, plain(self.weight), self.padding_idx)
        held = functional.embedding(index, owner.cell_weight.to(value))
        return value + (held - value).detach()

    def _load_from_state_dict(self, *arguments: Any) -> None:
        current = self.owner[0].is_current()
        super()._load_from_state_dict(*arguments)
        if current:  # the same numbers were copied to the shared weight
            self.owner[0].note_programmed()

    def to_torch(self, weight: nn.Parameter) -> nn.Embedding:
        """Return an ``nn.Embedding`` with this table."""
        made = nn.Embedding(
            self.num_embeddings, self.embedding_dim, self.padding_idx, device=weight.device,
            dtype=weight.dtype,
        )  # fmt: skip
        made.weight = weight
        return made.train(self.training)


def own_weight(layer: nn.Module) -> Tensor | None:
    """Return the parameter ``weight`` of a layer, which another layer may share."""
    return layer._parameters.get("weight")


def plain_tied(layer: CrossbarLayer[Any], weight: nn.Parameter) -> nn.Module:
    """Return a layer in software for one that shares the cells of another."""
    made: Any = layer.plain_like(layer)
    made.to(weight)
    made.weight = weight
    if layer.bias is not None:
        with torch.no_grad():
            made.bias.copy_(layer.bias)
    trained: nn.Module = made.train(layer.training)
    return trained
