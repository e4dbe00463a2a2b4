"""Checks of arguments, of which values of JAX may be traced: only their shapes and types are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import ArrayLike
from synfab.model.cell_model import CellModel
from synfab.random.jax_backend import seed_words
from synfab.random.streams import check_seed

Array: TypeAlias = jax.Array  # may be traced
Seed: TypeAlias = int | Array | Sequence[int | Array]


def check_model(model: object) -> CellModel:
    """Return a technology."""
    return checks.instance("model", model, CellModel, "a CellModel, as load_model returns")


def key_of(seed: Seed) -> tuple[Array, Array]:
    """Return both words of a seed, which is an integer or the words themselves."""
    if isinstance(seed, (tuple, list)):
        words = tuple(seed)
    elif isinstance(seed, (np.ndarray, jax.Array)) and seed.ndim > 0:
        words = tuple(seed if isinstance(seed, jax.Array) else checks.real_array("seed", seed))
    else:
        return seed_words(check_seed(seed))
    if len(words) != 2:
        raise InvalidValueError(f"seed: expected an integer or two words, found {len(words)}")
    low, high = (word_of("seed", word) for word in words)
    return low, high


def word_of(name: str, value: object) -> Array:
    """Return a 32-bit word."""
    if not isinstance(value, jax.Array):
        return np.uint32(checks.word(name, value))
    if not jnp.issubdtype(value.dtype, jnp.integer) or value.ndim:
        raise InvalidTypeError(
            f"{name}: expected an integer, found an array of {value.dtype} of shape {value.shape}"
        )
    return jnp.asarray(value, np.uint32)


def number_of(name: str, value: float | Array, check: Callable[[str, object], float]) -> Array:
    """Return a number as float32."""
    if not isinstance(value, jax.Array):
        return np.float32(check(name, value))
    _check_real(name, value)
    if value.ndim:
        raise InvalidValueError(f"{name}: expected one number, found shape {value.shape}")
    return jnp.asarray(value, np.float32)


def voltages_of(u: Array | ArrayLike, shape: tuple[int, ...], where: Array | None = None) -> Array:
    """Return voltages (V) of all cells, float32; 0 V outside the mask ``where``."""
    given = floats_of("u", u)
    checks.broadcasts("u", given.shape, shape)
    if isinstance(given, np.ndarray):
        used = given if where is None else np.broadcast_to(given, shape)
        if isinstance(where, np.ndarray):
            used = used[where]
        # With a traced mask, ignored values cannot be distinguished from others.
        if not np.isfinite(used).all() and (where is None or isinstance(where, np.ndarray)):
            raise InvalidValueError("u: expected finite voltages, found NaN or infinity")
    spread = jnp.broadcast_to(given, shape)
    return spread if where is None else jnp.where(where, spread, np.float32(0.0))


def floats_of(name: str, value: Array | ArrayLike) -> Array:
    """Return real numbers as float32: an array of NumPy, or one of JAX."""
    if isinstance(value, jax.Array):
        _check_real(name, value)
        return jnp.asarray(value, np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        return checks.real_array(name, value).astype(np.float32)


def mask_of(where: Array | ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """Return a mask of cells in their shape; None: all of them."""
    if where is None:
        return None
    if isinstance(where, jax.Array):
        if where.dtype != np.bool_:
            raise InvalidTypeError(f"where: expected booleans, found {where.dtype}")
        checks.broadcasts("where", where.shape, shape)
        return jnp.broadcast_to(where, shape)
    given = checks.boolean_array("where", where)
    checks.broadcasts("where", given.shape, shape)
    return np.broadcast_to(given, shape)


def _check_real(name: str, value: jax.Array) -> None:
    if not jnp.issubdtype(value.dtype, jnp.floating) and not jnp.issubdtype(
        value.dtype, jnp.integer
    ):
        raise InvalidTypeError(f"{name}: expected real numbers, found {value.dtype}")
