"""Which readouts belong to which forward pass, so that gradient checkpointing repeats them.

``torch.utils.checkpoint`` computes a part of a network again during the backward pass. The second
computation must draw the noise of the first. A layer records the first readout number of its last
forward passes with a key of their inputs, and finds it in the recomputation by the key.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from synfab.engines.numba import layer_kernels

Key: TypeAlias = tuple[int, ...]
LONGEST = 1024  # passes recorded per layer


def recomputing() -> bool:
    """Tell whether this is a forward pass inside a backward pass."""
    return bool(torch._C._current_graph_task_id() != -1)


def key_of(x: Tensor) -> Key:
    """Return a key of a tensor's values: equal inputs have equal keys."""
    flat = x.detach().contiguous()
    # The sum of products with the position distinguishes inputs that differ in their order.
    if flat.device.type == "cpu" and flat.numel():
        plain, placed = layer_kernels.key_of(flat.reshape(-1).numpy().view(np.uint32))
        return (*x.shape, int(plain), int(placed))
    words = flat.view(torch.int32).reshape(-1)
    place = torch.arange(1, words.numel() + 1, device=words.device)
    return (*x.shape, int(words.sum(dtype=torch.int64)), int((words * place).sum()))


class Passes:
    """The last forward passes of a layer: keys of inputs, and numbers."""

    def __init__(self) -> None:
        self._last: deque[tuple[Key, int]] = deque(maxlen=LONGEST)

    def record(self, key: Key, number: int) -> None:
        """Record a forward pass and its number."""
        self._last.append((key, number))

    def find(self, key: Key) -> int | None:
        """Return the number of the latest pass with this key, and remove it; None: there is none.

        Passes with the same input are recomputed in reverse order, as the backward pass visits
        them.
        """
        for k in range(len(self._last) - 1, -1, -1):
            if self._last[k][0] == key:
                number = self._last[k][1]
                del self._last[k]
                return number
        return None
