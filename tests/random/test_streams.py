"""The identity contract: which number belongs to which cell, on every engine."""

import array_api_strict
import numpy as np
import pytest
from known_answers import KNOWN_ANSWERS, TABLE, exact_normals
from numba import njit

import synfab as sf
from synfab.engines.numba.drawing import draw_normals
from synfab.engines.numba.intrinsics import pointer
from synfab.engines.numba.layout import GROUP
from synfab.random import streams
from synfab.random.streams import Stream


@njit
def kernel_normals(z, word, cells, index, first, key):
    """``draw_normals`` at index + 1 of stream 2, for a group."""
    draw_normals(
        pointer(z), pointer(word), GROUP, pointer(cells), pointer(index), 1, 2, first, key, GROUP
    )


CELLS = np.array([0, 1, 2**32 - 1, 2**32, 2**40 + 12345], np.uint64)
SEEDS = (0, 7, 2**64 - 1)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.uint64])
def test_philox_gives_the_known_answers(counter, key, words, dtype):
    drawn = streams.philox(key, tuple(np.array([c]).astype(dtype) for c in counter))
    assert [int(w[0]) for w in drawn] == list(words)


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
