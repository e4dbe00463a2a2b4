"""Numba kernel of stochastic pulse trains: which lines fire in which slot."""

from __future__ import annotations

import numpy as np
from numba import uint32, uint64

from synfab.common.types import Array
from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.scalar import f4, philox, uniform
from synfab.engines.numba.threads import share
from synfab.random.streams import WORD, Stream

PURPOSE = int(Stream.PULSE_TRAINS)


@cached_njit(nogil=True, error_model="numpy")
def fire(low, high, first, number, key, chance, out):  # type: ignore[no-untyped-def]
    """Write the trains of vectors ``low`` … ``high`` to ``out``, see ``fired``."""
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    slots, lines = out.shape[1], out.shape[2]
    for b in range(low, high):
        index = uint32((number + uint64(b)) & uint64(0xFFFFFFFF))
        for k in range(lines):
            p = chance[b, k]
            if p <= f4(0.0):
                out[b, :, k] = 0
                continue
            line = first + uint64(k)
            c0, c1 = uint32(line & uint64(0xFFFFFFFF)), uint32(line >> uint64(32))
            for j in range(0, slots, 4):
                # Four slots per call; the last word of the counter numbers the calls.
                w = philox(c0, c1, index, uint32(PURPOSE + 64 * j), k0, k1)
                for s in range(min(4, slots - j)):
                    out[b, j + s, k] = 1 if uniform(w[s]) <= p else 0


def fired(seed: int, first: int, number: int, chance: Array, slots: int) -> Array:
    """Return which lines fire in which slot of their pulse trains, (B, slots, lines), int8.

    Parameters
    ----------
    seed, first
        Of the chip, and the number of the first line.
    number
        Of the first vector, a 32-bit word.
    chance
        Probability of each line for each vector, (B, lines), float32.
    """
    out = np.empty((len(chance), slots, chance.shape[1]), np.int8)
    fixed = (np.uint64(first), np.uint64(number & WORD), np.uint64(seed), chance, out)

    def work(low: int, high: int) -> None:
        fire(low, high, *fixed)

    share(work, len(chance), out.size, discardable=True)
    return out
