"""Arrays of other libraries: small steps that the Array API standard leaves open."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device, is_jax_array, is_numpy_array

Array = Any

# Columns of a piece of ``product``: what kernels of any library take at a time goes into it; and
# what fits into a processor's cache.
WIDTH, WIDE = 192, 2048


def constant(values: npt.ArrayLike, like: Array) -> Array:
    """Return numbers of a model in float32, in the library and on the device of ``like``."""
    xp = array_namespace(like)
    numbers = np.asarray(values, np.float32)
    if is_jax_array(like):  # a traced array has no device
        return xp.asarray(numbers)
    return xp.asarray(numbers, device=device(like))


def product(matrix: Array, x: Array) -> Array:
    """Multiply ``matrix`` with the columns of ``x``, one a cell; all float32.

    A column's bits depend on nothing but itself, however many there are beside it: libraries
    multiply pieces of equal width for that, and NumPy, whose BLAS takes even their columns
    differently on some processors, adds up element by element.
    """
    xp = array_namespace(x)
    rows, count = x.shape
    if is_numpy_array(x):
        pieces = [_summed(matrix, x[:, k : k + WIDE]) for k in range(0, count, WIDE)]
        return np.concatenate(pieces, axis=1)
    missing = -count % WIDTH
    padded = xp.concat([x, constant(np.zeros((rows, missing)), x)], axis=1) if missing else x
    wide = xp.permute_dims(xp.reshape(padded, (rows, -1, WIDTH)), (1, 0, 2))
    products = xp.permute_dims(xp.matmul(matrix, wide), (1, 0, 2))
    return xp.reshape(products, (products.shape[0], -1))[:, :count]


def _summed(matrix: Array, x: Array) -> Array:
    total = matrix[:, :1] * x[:1]
    term = np.empty_like(total)
    for k in range(1, len(x)):
        total += np.multiply(matrix[:, k : k + 1], x[k], out=term)
    return total


def count_up(first: int, count: int, like: Array) -> Array:
    """Return ``first``, ``first + 1``, …: ``count`` integers of the type and device of ``like``."""
    xp = array_namespace(like)
    if is_jax_array(like):
        return xp.arange(first, first + count, dtype=like.dtype)
    return xp.arange(first, first + count, dtype=like.dtype, device=device(like))


def word(value: int, like: Array) -> Any:
    """Return a word beside the words ``like``; JAX takes large ones for signed otherwise."""
    return np.uint32(value) if is_jax_array(like) else value


def repeat(count: int, step: Callable[..., tuple[Array, ...]], state: tuple[Array, ...]) -> Any:
    """Apply ``step`` to a state of arrays ``count`` times.

    In JAX as a loop of its own: what its compiler joins with other steps it computes over and over.
    """
    if is_jax_array(state[0]):
        from jax.lax import fori_loop

        return fori_loop(0, count, lambda _, held: step(*held), state)
    for _ in range(count):
        state = step(*state)
    return state


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """Copy an array of any library and device to NumPy; on the host nothing moves."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":  # which NumPy does not have
            array = array.float()
    return np.asarray(array)


def digest(*arrays: Any) -> str:
    """SHA-256 of numbers as float64: what large arguments are recognised by."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(to_numpy(array), np.float64).tobytes())
    return found.hexdigest()
