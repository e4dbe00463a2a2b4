"""``nn.MultiheadAttention`` as four linear layers and the attention between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from synfab.torch.composites import Composite, linear_of, splits

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


@splits(nn.MultiheadAttention)
class SplitAttention(Composite):
    """``nn.MultiheadAttention`` whose projections are linear layers, in software or on cells.

    softmax(Q K^T / sqrt(d)) V is computed digitally; both of its factors are activations.
    """

    # What nn.TransformerEncoderLayer reads before it chooses its fast path, which this closes.
    _qkv_same_embed_dim = False
    in_proj_weight = in_proj_bias = None

    embed_dim: int
    kdim: int
    vdim: int
    num_heads: int
    dropout: float
    batch_first: bool
    add_zero_attn: bool
    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module
    out_proj: nn.Module
    bias_k: nn.Parameter | None
    bias_v: nn.Parameter | None

    @classmethod
    def split(cls, layer: nn.MultiheadAttention) -> Self:
        """Return the same attention with linear layers."""
        made = cls()
        made.embed_dim, made.kdim, made.vdim = layer.embed_dim, layer.kdim, layer.vdim
        made.num_heads, made.dropout = layer.num_heads, layer.dropout
        made.batch_first, made.add_zero_attn = layer.batch_first, layer.add_zero_attn
        weights: tuple[Tensor, ...] = (
            layer.in_proj_weight.chunk(3) if layer._qkv_same_embed_dim
            else tuple(getattr(layer, f"{name}_weight") for name in PROJECTIONS)
        )  # fmt: skip
        joint: Tensor | None = layer.in_proj_bias
        biases = (None, None, None) if joint is None else joint.chunk(3)
        for name, weight, bias in zip(PROJECTIONS, weights, biases, strict=True):
            made.add_module(name, linear_of(weight, bias))
        made.out_proj = linear_of(layer.out_proj.weight, layer.out_proj.bias)
        for name in ("bias_k", "bias_v"):  # one more key and value, added digitally
            extra = getattr(layer, name)
            copied = None if extra is None else nn.Parameter(extra.detach().clone())
            made.register_parameter(name, copied)
        return made.train(layer.training)

    def joined(self, linear: Callable[[str], nn.Linear]) -> nn.Module:
        """Return an ``nn.MultiheadAttention`` with the weights of the linear layers."""
        parts, last = [linear(name) for name in PROJECTIONS], linear("out_proj")
        biased = last.bias is not None
        made = nn.MultiheadAttention(
            self.embed_dim, self.num_heads, self.dropout, biased, self.bias_k is not None,
            self.add_zero_attn, self.kdim, self.vdim, self.batch_first,
        ).to(last.weight)  # fmt: skip
        with torch.no_grad():
            if made._qkv_same_embed_dim:
                assert made.in_proj_weight is not None
                made.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
            else:
                for name, part in zip(PROJECTIONS, parts, strict=True):
                    getattr(made, f"{name}_weight").copy_(part.weight)
            made.out_proj.weight.copy_(last.weight)
            if biased:
                made.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
                made.out_proj.bias.copy_(last.bias)
            for name in ("bias_k", "bias_v"):
                if getattr(self, name) is not None:
                    getattr(made, name).copy_(getattr(self, name))
        return made.train(self.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return outputs and, if needed, attention weights, as ``nn.MultiheadAttention``."""
        batched = query.ndim == 3
        if not batched:
            query, key, value = query[None], key[None], value[None]
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask[None]
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        count, extra = len(q), 0
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(count, 1, -1).to(k)], dim=1)
            v = torch.cat([v, self.bias_v.expand(count, 1, -1).to(v)], dim=1)
            extra += 1
        if self.add_zero_attn:
            k, v = functional.pad(k, (0, 0, 0, 1)), functional.pad(v, (0, 0, 0, 1))
            extra += 1
        q, k, v = (x.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for x in (q, k, v))
        if is_causal and attn_mask is None:
            attn_mask = torch.ones(q.shape[2], key.shape[1], dtype=torch.bool, device=q.device)
            attn_mask = attn_mask.triu(1)
        mask = self._mask(q, key_padding_mask, attn_mask, extra)
        share = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            weights = (scores if mask is None else scores + mask).softmax(dim=-1)
            weights = functional.dropout(weights, share) if share else weights
            mixed = weights @ v
            weights = weights.mean(dim=1) if average_attn_weights else weights
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, mask, share)
        y = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if not batched:
            return y[0], None if weights is None else weights[0]
        return y if self.batch_first else y.transpose(0, 1), weights

    def _mask(
        self, q: Tensor, padding: Tensor | None, attention: Tensor | None, extra: int
    ) -> Tensor | None:
        """Return what is added to the scores, that broadcasts to (B, heads, queries, keys)."""
        total: Tensor | None = None
        for mask in (padding, attention):
            if mask is None:
                continue
            added = mask
            if mask.dtype == torch.bool:
                added = torch.zeros(mask.shape, dtype=q.dtype, device=q.device)
                added = added.masked_fill(mask, float("-inf"))
            added = functional.pad(added.to(q), (0, extra))
            if mask is padding:
                added = added[:, None, None]
            elif mask.ndim == 3:
                added = added.reshape(-1, self.num_heads if len(added) > 1 else 1, *added.shape[1:])
            total = added if total is None else total + added
        return total
