"""Noise of a layer's readouts: Philox stream 4 on whatever device the layer is.

The counter's cell is the number of the row among all rows of the chip, which the numbers of a
layer's own cells keep apart from other layers' (MODEL: one seed is one chip).
"""

from __future__ import annotations

from typing import Any

import torch

from synfab.engines.numba.reading import row_normals
from synfab.random.streams import WORD, Stream, normals, words


def readout_normals(
    seed: int, first: int, rows: int, number: int, count: int, device: torch.device
) -> torch.Tensor:
    """Standard normal numbers (count, rows), float32, of readouts ``number`` and on.

    Parameters
    ----------
    seed
        Of the chip.
    first
        Number of the first row.
    rows, count
        How many rows and input vectors.
    number
        Which input vector is the first; counts modulo 2**32.
    device
        Where the numbers are needed; the same numbers everywhere, to float32 rounding.
    """
    if device.type == "cpu":
        return torch.from_numpy(row_normals(seed, first, rows, number & WORD, count))
    return _on_device(seed, first, rows, number, count, device)


def _on_device(
    seed: int, first: int, rows: int, number: int, count: int, device: torch.device
) -> torch.Tensor:
    row = torch.arange(rows, dtype=torch.int64, device=device)
    low = row + (first & WORD)
    high = (first >> 32) + (low >> 32)
    index = (torch.arange(count, dtype=torch.int64, device=device) + (number & WORD)) & WORD
    shape = (count, rows)
    counter = ((low & WORD).expand(shape), high.expand(shape))
    drawn: Any = words(seed, counter, index[:, None].expand(shape), Stream.READOUT_NOISE)
    result: torch.Tensor = normals(drawn)[0]
    return result
