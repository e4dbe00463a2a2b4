"""Counter-based random streams, which assign random numbers to cells.

Every random number is a pure function of (seed, cell, index, stream), so cell ``c`` of seed ``s``
is the same virtual device in every engine, shard and simulator. The generator is Philox4x32-10
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

The functions work on arrays of any Array API namespace. Words are held in ``uint32`` (NumPy, JAX),
where products are built from 16-bit limbs, or in ``int64`` where a library has no unsigned
arithmetic (PyTorch).
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

from array_api_compat import array_namespace

from synfab.common import checks
from synfab.common.types import AnyArray as Array
from synfab.random.arrays import repeat, word

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = checks.WORD
MAX_SEED = 2**64 - 1


class Stream(IntEnum):
    """Purpose of a stream; the last word of the counter."""

    # index 0: word 0 picks the component; indices 1, 2: the 8 normals; index 3: the first normal is
    # z_c of the traps; index 4: words 0 to 2 are the life of the cell, whether it ends at all, and
    # in which state
    POPULATION = 0
    INITIAL_HISTORY = 1  # index i belongs to x*_{-i}; i >= p: to average i - p
    INNOVATION = 2  # index n, the cycle
    READ_NOISE = 3  # counter cell = cell >> 2, normal number cell & 3; index: the read
    READOUT_NOISE = 4  # counter cell = row of the crossbar; index: the input vector
    # Streams 5 to 7 have several calls j per index: the last word of the counter is
    # stream + 256 j.
    TRAPS = 5  # index n, the cycle; call j: time constants and normals of traps 2j and 2j + 1
    TRAP_MOVES = 6  # index: the time step; call j: traps 4j to 4j + 3; j >= 8: initial occupancy
    PULSE_TRAINS = 7  # counter cell = line; index: the vector; call j: slots 4j to 4j + 3


def check_seed(seed: object) -> int:
    """Return a valid seed as an int; raises as ``checks.integer``."""
    return checks.integer("seed", seed, 0, MAX_SEED)


def seed_key(seed: int) -> tuple[int, int]:
    """Split a 64-bit seed into the two 32-bit words of the Philox key, low word first."""
    return seed & WORD, seed >> 32


def multiply(a: Array, b: int) -> tuple[Array, Array]:
    """Return the high and the low word of the 64-bit product of ``a`` and the constant ``b``."""
    xp = array_namespace(a)
    if a.dtype == xp.int64:  # products keep the low 64 bits; the mask removes the sign
        product = a * b
        return (product >> 32) & WORD, product & WORD
    a_low, a_high = a & 0xFFFF, a >> 16
    b_low, b_high = b & 0xFFFF, b >> 16
    low, cross_1, cross_2, high = a_low * b_low, a_low * b_high, a_high * b_low, a_high * b_high
    middle = (low >> 16) + (cross_1 & 0xFFFF) + (cross_2 & 0xFFFF)
    high = high + (cross_1 >> 16) + (cross_2 >> 16) + (middle >> 16)
    return high, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)


def philox(
    key: tuple[Array, Array], counter: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """Return four random words per counter by Philox4x32-10 (Salmon et al. 2011).

    Parameters
    ----------
    key
        Two words, integers or arrays without axes.
    counter
        Four arrays of words of equal shape and type.

    Returns
    -------
    tuple of arrays
        The words w0 … w3, of the counter's shape and type.
    """
    like = counter[0]
    mask = word(WORD, like)
    step_0, step_1 = (word(step, like) for step in KEY_STEPS)

    def two_rounds(c0: Array, c1: Array, c2: Array, c3: Array, k0: Array, k1: Array) -> Any:
        for _ in range(2):
            high_0, low_0 = multiply(c0, MULTIPLIERS[0])
            high_1, low_1 = multiply(c2, MULTIPLIERS[1])
            c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
            k0, k1 = (k0 + step_0) & mask, (k1 + step_1) & mask
        return c0, c1, c2, c3, k0, k1

    k0, k1 = (word(k, like) if isinstance(k, int) else k for k in key)
    drawn: tuple[Array, ...] = repeat(ROUNDS // 2, two_rounds, (*counter, k0, k1))
    return drawn[0], drawn[1], drawn[2], drawn[3]


def words(
    seed: Array, cell: tuple[Array, Array], index: Array, stream: Array
) -> tuple[Array, Array, Array, Array]:
    """Return four random words per cell.

    Parameters
    ----------
    seed
        0 … 2**64 - 1, or its two words as arrays without axes, low word first.
    cell
        Low and high words of the global cell numbers.
    index
        Number of the draw within the stream; broadcasts with the cells.
    stream
        ``Stream``, or its value as an array without axes.
    """
    low, high = cell
    key = seed if isinstance(seed, tuple) else seed_key(seed)
    purpose = int(stream) if isinstance(stream, Stream) else stream
    return philox(key, (low, high, low * 0 + index, low * 0 + purpose))


def uniform(drawn: Array) -> Array:
    """Return uniform numbers in (0, 1], float32, from words: (float32(w >> 1) + 1/2) / 2**31."""
    xp = array_namespace(drawn)
    return (xp.astype(drawn >> 1, xp.float32) + 0.5) * 2.0**-31


def unit_vector(drawn: Array) -> tuple[Array, Array]:
    """Return cosine and sine of 2 pi w / 2**32 in float32.

    The quadrant is computed in integers, so that the angle has full precision.
    """
    xp = array_namespace(drawn)
    quarter = ((drawn >> 29) + 1) >> 1  # 0 … 4, the nearest multiple of a quarter turn
    above = xp.astype(drawn & 0x1FFFFFFF, xp.float32)
    below = xp.astype(0x20000000 - (drawn & 0x1FFFFFFF), xp.float32)
    angle = xp.where(((drawn >> 29) & 1) == 1, -below, above) * (math.pi * 2.0**-31)
    cosine, sine = xp.cos(angle), xp.sin(angle)
    swap = (quarter & 1) == 1
    x, y = xp.where(swap, sine, cosine), xp.where(swap, cosine, sine)
    x = xp.where(((quarter + 1) & 2) == 2, -x, x)
    return x, xp.where((quarter & 2) == 2, -y, y)


def normals(drawn: tuple[Array, Array, Array, Array]) -> Array:
    """Return four standard normal numbers from four words (Box and Muller 1958).

    Returns
    -------
    array
        float32, shape (4, …): √(-2 ln u(w0)) · (cos, sin)(2 pi w1 / 2**32), likewise w2, w3.
    """
    xp = array_namespace(drawn[0])
    pairs = []
    for w_radius, w_angle in (drawn[:2], drawn[2:]):
        radius = xp.sqrt(-2.0 * xp.log(uniform(w_radius)))
        x, y = unit_vector(w_angle)
        pairs += [radius * x, radius * y]
    return xp.stack(pairs)
