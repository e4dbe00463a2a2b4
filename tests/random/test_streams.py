"""The identity contract: which number belongs to which cell, on every engine."""

import array_api_strict
import numpy as np
import pytest
from numba import njit

import synfab as sf
from synfab.engines.numba.drawing import draw_normals
from synfab.engines.numba.intrinsics import pointer
from synfab.engines.numba.layout import GROUP
from synfab.random import streams
from synfab.random.streams import Stream

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


@njit
def kernel_normals(z, word, cells, index, first, key):
    """``draw_normals`` at index + 1 of stream 2, for a group."""
    draw_normals(
        pointer(z), pointer(word), GROUP, pointer(cells), pointer(index), 1, 2, first, key, GROUP
    )


CELLS = np.array([0, 1, 2**32 - 1, 2**32, 2**40 + 12345], np.uint64)
SEEDS = (0, 7, 2**64 - 1)


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


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.uint64])
def test_philox_gives_the_known_answers(counter, key, words, dtype):
    drawn = streams.philox(key, tuple(np.array([c]).astype(dtype) for c in counter))
    assert [int(w[0]) for w in drawn] == list(words)


# The table of docs/random-numbers.md: seed, cell, index, stream, normals.
TABLE = [
    (7, 3, 1, 2, (0.3296241, -0.0168387, -1.1149814, -0.4887309)),
    (0, 0, 0, 0, (0.9911377, -0.9246626, -0.6176090, -0.4820686)),
    (2**64 - 1, 2**40, 100, 1, (-0.3199339, 0.2095020, -1.5526589, 0.4474537)),
]


@pytest.mark.parametrize(("seed", "cell", "index", "stream", "expected"), TABLE)
def test_the_documented_table_of_normals_holds(seed, cell, index, stream, expected):
    assert exact_normals(seed, cell, index, stream) == pytest.approx(expected, abs=1e-6)
    words = streams.words(
        seed,
        (np.array([cell & 0xFFFFFFFF], np.uint32), np.array([cell >> 32], np.uint32)),
        np.array([index], np.uint32),
        Stream(stream),
    )
    assert streams.normals(words)[:, 0] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("xp", [np, array_api_strict])
def test_array_normals_are_the_contract_s(xp):
    for seed in SEEDS:
        for stream in Stream:
            low = xp.asarray((CELLS & 0xFFFFFFFF).astype(np.uint32))
            high = xp.asarray((CELLS >> 32).astype(np.uint32))
            drawn = streams.normals(streams.words(seed, (low, high), low * 0 + 5, stream))
            exact = np.stack([exact_normals(seed, int(c), 5, stream) for c in CELLS], axis=1)
            np.testing.assert_allclose(np.asarray(drawn), exact, rtol=2e-6, atol=1e-6)


def test_kernel_normals_are_the_contract_s():
    z = np.zeros((4, GROUP), np.float32)
    word = np.zeros((4, GROUP), np.uint32)
    cells = np.arange(GROUP)
    index = np.arange(GROUP, dtype=np.uint32)
    for seed, first in zip(SEEDS, (0, 2**32 - 100, 2**50), strict=True):
        kernel_normals(z, word, cells, index, np.uint64(first), np.uint64(seed))
        exact = [exact_normals(seed, first + c, c + 1, 2) for c in cells]
        np.testing.assert_allclose(z.T, exact, rtol=2e-6, atol=1e-6)


def test_extreme_words_give_finite_normals():
    edge = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1], np.uint32)
    radius, angle = (a.ravel() for a in np.meshgrid(edge, edge))
    drawn = streams.normals((radius, angle, radius, angle))
    assert np.isfinite(drawn).all()
    assert np.abs(drawn).max() < 6.7


def test_no_digit_of_a_small_angle_is_lost():
    near = (np.arange(-3, 4) + 2**30 * np.arange(5)[:, None]).ravel() % 2**32
    turn = 2.0 * np.pi * np.where(near < 2**31, near, near - 2.0**32) / 2.0**32
    cosine, sine = streams.unit_vector(near.astype(np.uint32))
    np.testing.assert_allclose(sine, np.sin(turn), rtol=1e-6, atol=1e-14)
    # The cosine is small beside odd quarters, where float64 loses digits of pi / 2 in turn.
    np.testing.assert_allclose(cosine, np.cos(turn), rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "7", None])
def test_a_bad_seed_is_one_clear_line(seed, published):
    with pytest.raises((sf.InvalidValueError, sf.InvalidTypeError), match=r"^seed: expected") as e:
        sf.CellArray(published, 4, seed=seed)
    assert "\n" not in str(e.value)
