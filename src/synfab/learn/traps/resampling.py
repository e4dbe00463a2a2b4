"""Bootstrap samples of cells, and normal numbers, from the random streams."""

from __future__ import annotations

import numpy as np

from synfab.common.types import Array, FloatArray
from synfab.random.streams import Stream, normals, words

NORMALS = 2**31  # index of the first normal number; samples have smaller ones


def sample_counts(seed: int, number: int, cells: int, samples: int) -> FloatArray:
    """Return how often each of ``cells`` counts in bootstrap samples, (samples, cells).

    ``number``: other numbers give other samples.
    """
    rows = np.arange((cells * samples + 3) // 4, dtype=np.uint32)
    drawn = np.stack(words(seed, (rows, np.zeros_like(rows)), np.uint32(number), Stream.POPULATION))
    chosen = (drawn.ravel()[: cells * samples].astype(np.uint64) * np.uint64(cells)) >> np.uint64(
        32
    )
    place = chosen.astype(np.int64) + cells * np.repeat(np.arange(samples), cells)
    found = np.bincount(place, minlength=cells * samples).reshape(samples, cells)
    return found.astype(np.float64)


def normal_numbers(seed: int, number: int, count: int) -> Array:
    """Return standard normal numbers, (count,)."""
    rows = np.arange(count, dtype=np.uint32)
    index = np.uint32(NORMALS + number)
    drawn = words(seed, (rows, np.zeros_like(rows)), index, Stream.POPULATION)
    return np.asarray(normals(drawn)[0], np.float64)
