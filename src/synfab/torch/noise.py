"""Random numbers for the read noise of layers: Philox stream 4, on any device.

A row takes the place of a cell in the counter. Rows are numbered from the layer's first cell on, so
different layers of a chip have different rows (MODEL: one seed is one chip).
"""

from __future__ import annotations

from typing import Any

import torch

from synfab.engines.numba.reading import row_normals
from synfab.random.streams import WORD, Stream, normals, words


def readout_normals(
    seed: int, first: int, rows: int, number: int, count: int, device: torch.device
) -> torch.Tensor:
    """Return standard normal numbers (count, rows), float32, one per row and readout.

    Parameters
    ----------
    seed
        Of the chip.
    first
        Number of the first row.
    rows, count
        Number of rows and of readouts (input vectors).
    number
        Number of the first readout, modulo 2**32.
    device
        Of the result; the numbers are the same on every device, to float32 rounding.
    """
    if device.type == "cpu":
        return torch.from_numpy(row_normals(seed, first, rows, number & WORD, count))
    return normals_on_device(seed, first, rows, number, count, device)


def normals_on_device(
    seed: int, first: int, rows: int, number: int, count: int, device: torch.device
) -> torch.Tensor:
    """Return the numbers of ``readout_normals``, computed by PyTorch on a device of any kind."""
    row = torch.arange(rows, dtype=torch.int64, device=device)
    low = row + (first & WORD)
    high = (first >> 32) + (low >> 32)
    index = (torch.arange(count, dtype=torch.int64, device=device) + (number & WORD)) & WORD
    shape = (count, rows)
    counter = ((low & WORD).expand(shape), high.expand(shape))
    drawn: Any = words(seed, counter, index[:, None].expand(shape), Stream.READOUT_NOISE)
    result: torch.Tensor = normals(drawn)[0]
    return result
