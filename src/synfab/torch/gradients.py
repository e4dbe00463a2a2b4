"""Gradients of layers on cells: those of the linear layer that the cells represent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from synfab.common.errors import InvalidTypeError

Read: TypeAlias = Callable[[Tensor], Tensor]


class _Context(Protocol):
    """What autograd passes from the forward to the backward pass."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]
    shape: torch.Size

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, held: Tensor | None, read: Read) -> Tensor:
        return read(x)

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, held, _ = inputs
        ctx.save_for_backward(x, held)
        ctx.shape = weight.shape

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (grad,) = grads
        x, held = ctx.saved_tensors
        return (
            times(grad, held) if ctx.needs_input_grad[0] else None,
            outer(grad, x, ctx.shape) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )

    @staticmethod
    def vmap(
        info: object,
        dims: tuple[int | None, ...],
        x: Tensor,
        weight: Tensor,
        held: Tensor | None,
        read: Read,
    ) -> tuple[Tensor, int]:
        """Read all vectors of all parts of a batch: each readout has noise of its own."""
        if dims[1] is not None:
            raise InvalidTypeError("vmap: expected one set of weights; cells hold no others")
        if dims[0] is None:
            raise InvalidTypeError("vmap: expected inputs that are mapped, found the same for all")
        parts = x.movedim(dims[0], 0)
        y = straight_through(parts.flatten(0, 1), weight, read, held)
        return y.reshape(*parts.shape[:2], *y.shape[1:]), 0


def times(grad: Tensor, held: Tensor) -> Tensor:
    """Return the gradients of inputs, (B, groups * inputs), for those of outputs, (B, outputs).

    Both may stand in columns, as in ``CrossbarLayer.multiply``.

    ``held`` are the weights, (outputs, inputs), or (groups, outputs, inputs) for groups of outputs
    with inputs of their own.
    """
    if grad.ndim == 3:
        if held.ndim == 2:
            return torch.matmul(held.T, grad)
        return torch.matmul(held.mT, _in_groups(grad, held.shape[0])).flatten(1, 2)
    if held.ndim == 2:
        return grad @ held
    parts = grad.reshape(len(grad), held.shape[0], held.shape[1])
    return torch.einsum("bgo,goi->bgi", parts, held).flatten(1)


def outer(grad: Tensor, x: Tensor, shape: torch.Size) -> Tensor:
    """Return the gradient of the weights, of the shape of ``held`` in ``times``."""
    if grad.ndim == 3 and len(shape) == 2:
        return torch.einsum("nol,nil->oi", grad, x)
    if grad.ndim == 3:
        both = (_in_groups(part, shape[0]) for part in (grad, x))
        return torch.einsum("ngol,ngil->goi", *both)
    if len(shape) == 2:
        return grad.T @ x
    groups, outputs, inputs = shape
    count = len(grad)
    return torch.einsum(
        "bgo,bgi->goi", grad.reshape(count, groups, outputs), x.reshape(count, groups, inputs)
    )


def _in_groups(columns: Tensor, groups: int) -> Tensor:
    """Return columns (images, numbers, places) as (images, groups, numbers of a group, places)."""
    count, numbers, places = columns.shape
    return columns.reshape(count, groups, numbers // groups, places)


def straight_through(x: Tensor, weight: Tensor, read: Read, held: Tensor | None) -> Tensor:
    """Return ``read(x)``, with the gradients of ``nn.Linear``.

    Parameters
    ----------
    x
        Inputs, (B, inputs), or (B, groups * inputs); or columns, (images, …, places).
    weight
        Parameter (outputs, inputs), or (groups, outputs, inputs), which gets the gradient of a
        linear layer's weight.
    read
        Returns outputs (B, outputs), computed by the cells.
    held
        Weights that the cells hold, of the same shape, for the gradient of ``x``; None: ``x`` needs
        no gradient.
    """
    result: Tensor = _StraightThrough.apply(x, weight, held, read)  # type: ignore[no-untyped-call]
    return result
