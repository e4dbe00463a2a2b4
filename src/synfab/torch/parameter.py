"""The parameter of a layer on cells, which PyTorch cannot multiply with directly.

Several parts of PyTorch compute with the parameters of a layer without calling the layer: the fast
path of ``nn.TransformerEncoderLayer``, ``nn.MultiheadAttention`` and user code such as
``functional.linear(x, layer.weight)``. They would use numbers in software instead of the cells.
``CellWeight`` follows the protocol ``__torch_function__``, which closes the fast paths of PyTorch
and raises an error in all other products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from synfab.common.errors import InvalidValueError

# Names of functions and methods that multiply inputs with weights, or look weights up.
PRODUCTS = frozenset({
    "linear", "bilinear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "convolution", "_convolution", "embedding", "embedding_bag", "matmul",
    "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "dot", "inner", "addmm", "addmm_", "addmv",
    "addbmm", "baddbmm", "einsum", "tensordot", "multi_dot", "multi_head_attention_forward",
    "_native_multi_head_attention", "_transformer_encoder_layer_fwd", "rnn_tanh", "rnn_relu",
    "lstm", "gru", "rnn_tanh_cell", "rnn_relu_cell", "lstm_cell", "gru_cell",
})  # fmt: skip

# The results of these are parts of the weights, in another shape.
VIEWS = frozenset({
    "t", "transpose", "swapaxes", "permute", "movedim", "reshape", "view", "flatten", "contiguous",
    "unsqueeze", "squeeze", "expand", "narrow", "select", "__getitem__",
})  # fmt: skip
PROPERTIES = (torch.Tensor.T.__get__, torch.Tensor.mT.__get__)  # type: ignore[attr-defined]


def _guarded(
    function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    """Call a function of PyTorch whose arguments include weights that cells hold."""
    name = getattr(function, "__name__", "")
    if name in PRODUCTS and any(
        not isinstance(part, (CellWeight, _Part))
        for part in _tensors((arguments, tuple(keywords.values())))
    ):
        # No TypeError: Python would take it for an operand of another type, and hide the message.
        raise InvalidValueError(
            f"weight: {name} would multiply with weights in software instead of cells; call the "
            f"layer, or use layer.cell_weight for the weights that its cells hold"
        )
    with torch._C.DisableTorchFunctionSubclass():
        result = function(*arguments, **keywords)
    if (name in VIEWS or function in PROPERTIES) and type(result) is Tensor:
        return result.as_subclass(_Part)
    return result


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)


class CellWeight(nn.Parameter):
    """Weights that cells hold; an ``nn.Parameter`` for optimizers and files."""

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Raise for products with other tensors, see the module."""
        return _guarded(func, args, kwargs or {})

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Return how to pickle: as this class; PyTorch would pickle a plain parameter."""
        return CellWeight, (self.data, self.requires_grad)


class _Part(Tensor):
    """A view of a ``CellWeight``, such as its transpose."""

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Raise for products with other tensors, see the module."""
        return _guarded(func, args, kwargs or {})


def plain(weight: Tensor) -> Tensor:
    """Return weights as a tensor without the guard, differentiable."""
    return weight.as_subclass(Tensor) if isinstance(weight, CellWeight) else weight


def underlying(weight: Tensor) -> Tensor:
    """Return the tensor that the transforms of ``torch.func`` have wrapped."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(weight):
        weight = functorch.get_unwrapped(weight)
    return weight


def transforming() -> bool:
    """Tell whether a transform of ``torch.func`` is running."""
    return torch._C._functorch.peek_interpreter_stack() is not None
