"""Gradients of layers on cells: those of the linear layer that the cells represent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor


class _Context(Protocol):
    """What autograd passes from the forward to the backward pass."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]
    held: Tensor | None

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context,
        x: Tensor,
        weight: Tensor,
        read: Callable[[Tensor], Tensor],
        held: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.held = held
        return read(x)

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (grad,) = grads
        (x,) = ctx.saved_tensors
        return (
            None if ctx.held is None else grad @ ctx.held,
            grad.T @ x if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


def straight_through(
    x: Tensor, weight: Tensor, read: Callable[[Tensor], Tensor], held: Tensor | None
) -> Tensor:
    """Return ``read(x)``, with the gradients of ``nn.Linear``.

    Parameters
    ----------
    x
        Inputs, (B, inputs).
    weight
        Parameter (outputs, inputs), which gets the gradient of a linear layer's weight.
    read
        Returns outputs (B, outputs), computed by the cells.
    held
        Weights that the cells hold, (outputs, inputs), for the gradient of ``x``; None: ``x`` needs
        no gradient.
    """
    result: Tensor = _StraightThrough.apply(x, weight, read, held)  # type: ignore[no-untyped-call]
    return result
