"""Readouts as operators of PyTorch, which ``torch.compile`` keeps in its graphs.

A compiler cannot look into a readout: it draws random numbers, counts readouts, and uses the
present states of the cells. The operators ``synfab::…`` hide this. In a graph, a layer is
a number, and ``ORDER`` is an argument that every readout claims to change, so that compilers
neither omit, merge nor reorder readouts.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakMethod, WeakValueDictionary

import torch
from torch import Tensor

from synfab.common.errors import InvalidValueError

if TYPE_CHECKING:
    from synfab.torch.core import CrossbarLayer

Read: TypeAlias = Callable[[Tensor], Tensor]

ORDER = torch.zeros(1)  # never read nor written
_numbers = count()
_layers: WeakValueDictionary[int, CrossbarLayer[Any]] = WeakValueDictionary()
_readers: dict[int, WeakMethod[Read]] = {}


def number_of(layer: CrossbarLayer[Any], read: Read) -> int:
    """Return a new number for a layer, by which the operators find it in this process.

    ``read`` is its method that returns outputs (…, outputs) for checked vectors.
    """
    number = next(_numbers)
    _layers[number] = layer
    _readers[number] = WeakMethod(read, lambda _: _readers.pop(number, None))
    return number


def _layer_of(number: int) -> CrossbarLayer[Any]:
    found = _layers.get(number)
    if found is None:
        raise InvalidValueError("torch.compile: the layer on cells of this graph no longer exists")
    return found


def _read(x: Tensor, order: Tensor, layer: int) -> Tensor:
    _layer_of(layer)
    read = _readers[layer]()
    assert read is not None
    return read(x).contiguous()


def _read_shape(x: Tensor, order: Tensor, layer: int) -> Tensor:
    return x.new_empty(len(x), _layer_of(layer).arrangement.weights[0], *x.shape[2:])


def _held(order: Tensor, layer: int) -> Tensor:
    return _layer_of(layer).cell_weight.contiguous()


def _held_shape(order: Tensor, layer: int) -> Tensor:
    found = _layer_of(layer)
    like = found.difference
    return torch.empty(found.arrangement.weights, dtype=like.dtype, device=like.device)


# Outputs (…, outputs) for checked vectors, without a gradient.
read_cells = torch.library.custom_op(
    "synfab::read_cells", _read, mutates_args={"order"},
    schema="(Tensor x, Tensor(a!) order, int layer) -> Tensor",
)  # fmt: skip
read_cells.register_fake(_read_shape)

# Weights that the cells hold, (outputs, inputs), without a gradient.
held_weights = torch.library.custom_op(
    "synfab::held_weights", _held, mutates_args={"order"},
    schema="(Tensor(a!) order, int layer) -> Tensor",
)  # fmt: skip
held_weights.register_fake(_held_shape)
