"""Random numbers that the contract fixes, for tests of every implementation."""

import numpy as np

from synfab.random import streams

# The Random123 known-answer vectors of Philox4x32-10: counter, key, words.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

# The table of docs/random-numbers.md: seed, cell, index, stream, normals.
TABLE = [
    (7, 3, 1, 2, (0.3296241, -0.0168387, -1.1149814, -0.4887309)),
    (0, 0, 0, 0, (0.9911377, -0.9246626, -0.6176090, -0.4820686)),
    (2**64 - 1, 2**40, 100, 1, (-0.3199339, 0.2095020, -1.5526589, 0.4474537)),
]


def exact_normals(seed: int, cell: int, index: int, stream: int) -> np.ndarray:
    """The contract in float64, from the words; the uniform number is float32 by definition."""
    counter = [np.array([w]) for w in (cell & 0xFFFFFFFF, cell >> 32, index, stream)]
    w = [int(x[0]) for x in streams.philox(streams.seed_key(seed), tuple(counter))]
    result = []
    for radius, angle in (w[:2], w[2:]):
        u = float((np.float32(radius >> 1) + np.float32(0.5)) * np.float32(2.0**-31))
        length = np.sqrt(-2.0 * np.log(u))
        turn = 2.0 * np.pi * angle / 2.0**32
        result += [length * np.cos(turn), length * np.sin(turn)]
    return np.array(result)
