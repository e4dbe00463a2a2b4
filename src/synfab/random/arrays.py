"""Operations on arrays of any library that the Array API standard does not define."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device, is_jax_array, is_numpy_array

from synfab.common.types import AnyArray as Array

# Columns per piece of ``product``: a multiple of the block sizes of all libraries, and a size for
# NumPy that fits into the cache.
WIDTH, WIDE = 192, 2048


def constant(values: npt.ArrayLike, like: Array) -> Array:
    """Return numbers as a float32 array of the library and on the device of ``like``."""
    xp = array_namespace(like)
    numbers = np.asarray(values, np.float32)
    if is_jax_array(like):  # a traced array has no device
        return xp.asarray(numbers)
    return xp.asarray(numbers, device=device(like))


def product(matrix: Array, x: Array) -> Array:
    """Return the product of ``matrix`` and ``x``, whose columns belong to cells; all float32.

    The bits of a column do not depend on the other columns or their number. For that, libraries
    multiply pieces of equal width; NumPy, whose BLAS treats columns within a piece differently on
    some processors, adds element by element.
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
    """Return ``count`` integers from ``first`` on, of the type and on the device of ``like``."""
    xp = array_namespace(like)
    if is_jax_array(like):
        return xp.arange(first, first + count, dtype=like.dtype)
    return xp.arange(first, first + count, dtype=like.dtype, device=device(like))


def word(value: int, like: Array) -> Any:
    """Return a word for operations with the words ``like``; JAX would read large ones as signed."""
    return np.uint32(value) if is_jax_array(like) else value


def repeat(count: int, step: Callable[..., tuple[Array, ...]], state: tuple[Array, ...]) -> Any:
    """Return a state of arrays after ``count`` applications of ``step``.

    In JAX this is a loop of its own, because its compiler would repeat the steps when fusing them.
    """
    if is_jax_array(state[0]):
        from jax.lax import fori_loop

        return fori_loop(0, count, lambda _, held: step(*held), state)
    for _ in range(count):
        state = step(*state)
    return state


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """Return an array of any library and device in NumPy; host memory is not copied."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":  # not available in NumPy
            array = array.float()
    return np.asarray(array)


def digest(*arrays: Array) -> str:
    """Return the SHA-256 of numbers as float64, which identifies large arguments."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(to_numpy(array), np.float64).tobytes())
    return found.hexdigest()
