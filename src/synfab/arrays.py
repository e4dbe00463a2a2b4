"""Arrays of other libraries: small steps that the Array API standard leaves open."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device, is_jax_array

Array = Any


def constant(values: npt.ArrayLike, like: Array) -> Array:
    """Return numbers of a model in float32, in the library and on the device of ``like``."""
    xp = array_namespace(like)
    numbers = np.asarray(values, np.float32)
    if is_jax_array(like):  # a traced array has no device
        return xp.asarray(numbers)
    return xp.asarray(numbers, device=device(like))


def count_up(first: int, count: int, like: Array) -> Array:
    """Return ``first``, ``first + 1``, …: ``count`` integers of the type and device of ``like``."""
    xp = array_namespace(like)
    if is_jax_array(like):
        return xp.arange(first, first + count, dtype=like.dtype)
    return xp.arange(first, first + count, dtype=like.dtype, device=device(like))


def word(value: int, like: Array) -> Any:
    """Return a word beside the words ``like``; JAX takes large ones for signed otherwise."""
    return np.uint32(value) if is_jax_array(like) else value


def apart(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Keep JAX's compiler from joining what is before with what is after: a minute of its time."""
    if is_jax_array(arrays[0]):
        from jax.lax import optimization_barrier

        return tuple(optimization_barrier(arrays))
    return arrays


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """Copy an array of any library and device to NumPy; on the host nothing moves."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)
