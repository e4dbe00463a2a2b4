"""Weight ranges of a layer: of the whole layer, of each output, or of each output in each tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from synfab.common.types import Array
from synfab.programming.pairs import largest_weights

if TYPE_CHECKING:
    from synfab.torch.core import CrossbarLayer

    AnyLayer: TypeAlias = CrossbarLayer[Any]


def shapes(layer: AnyLayer) -> list[tuple[int, ...]]:
    """Return the shapes that ``weight_range`` can have: scales differ in files.

    The first is that of ranges which follow the weights, the last that of a given range.
    """
    outputs, scale = layer.arrangement.weights[0], layer.options.scale
    if scale == "layer":
        return [(1,)]
    each = (outputs,) if scale == "output" else (outputs, len(layer.tiles.column_blocks))
    return [each, (1,)]


def of_weights(layer: AnyLayer, weight: Array) -> Array:
    """Return the ranges for weights (outputs, inputs), as the options of the layer state."""
    given = layer.options.weight_range
    if given is not None:
        return np.full(1, given)
    return largest_weights(weight, layer.options.scale, layer.tiles.column_blocks)


def spread(layer: AnyLayer, each: Tensor) -> Tensor:
    """Return numbers of the shape of ranges for all inputs: (outputs or 1, inputs or 1)."""
    if each.ndim < 2:
        return each[:, None]
    lengths = [block.stop - block.start for block in layer.tiles.column_blocks]
    return each.repeat_interleave(torch.tensor(lengths, device=each.device), dim=1)
