"""JAX as an array library."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import AnyArray as Array
from synfab.random.arrays import to_numpy
from synfab.random.backend import Library
from synfab.random.streams import check_seed, seed_key


def library(device: object = None) -> Library:
    """Return JAX on a device; whether float64 is enabled is read at the first call.

    Raises
    ------
    InvalidValueError
        JAX does not have this device.
    """
    return _library(check_device(device))


@functools.cache
def _library(place: jax.Device) -> Library:
    return Library(
        name="jax",
        place=f"{place.platform}:{place.id}",
        xp=jnp,
        kind=jax.Array,
        device=place,
        word=np.uint32,
        wide=jnp.float64 if jax.config.read("jax_enable_x64") else jnp.float32,
        asarray=functools.partial(_asarray, place),
        adopt=functools.partial(jax.device_put, device=place, may_alias=True),
        put=_put,
        flatnonzero=_flatnonzero,
        key=functools.partial(seed_words, device=place),
        exact=_compiled,
    )


def check_device(device: object) -> jax.Device:
    """Return a device from itself or its name ("cpu", "gpu", "cuda:1"); None: the CPU."""
    if device is None:
        return jax.devices("cpu")[0]
    if isinstance(device, jax.Device):
        return device
    try:
        kind, _, number = checks.text("device", device).partition(":")
        return jax.devices(kind)[int(number or 0)]
    except (RuntimeError, ValueError, IndexError):
        known = ", ".join(sorted({d.platform for d in jax.devices()} | {"cpu"}))
        raise InvalidValueError(
            f"device: expected one that JAX has ({known}), found {checks.shown(device)}"
        ) from None


def _asarray(device: jax.Device, value: Array) -> Array:
    if isinstance(value, jax.Array):
        return jax.device_put(value, device)
    # JAX computes asynchronously, so it must not share memory that the caller may change.
    with np.errstate(over="ignore"):  # without float64, large numbers become infinite
        return jax.device_put(to_numpy(value), device, may_alias=False)


def seed_words(seed: int, device: object = None) -> tuple[jax.Array, jax.Array]:
    """Return both words of a seed, low word first."""
    place = None if device is None else check_device(device)
    low, high = (jax.device_put(np.uint32(word), place) for word in seed_key(check_seed(seed)))
    return low, high


def full_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose products have full float32 precision on accelerators."""

    @functools.wraps(function)
    def call(*arguments: Array) -> Any:
        with jax.default_matmul_precision("highest"):
            return function(*arguments)

    return call


def _put(array: Array, index: Array, values: Array) -> Array:
    return array.at[..., index].set(values, mode="drop")


def _flatnonzero(mask: Array) -> Array:
    """Return the numbers of the true cells, padded to a power of two with an invalid number.

    JAX compiles for each shape; padding limits the number of shapes.
    """
    count = int(mask.sum())
    size = min(1 << (count - 1).bit_length(), mask.size) if count else 0
    return jnp.flatnonzero(mask, size=size, fill_value=mask.size)


@functools.lru_cache(maxsize=64)
def _compiled(function: Callable[..., Any], first: tuple[object, ...]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = jax.jit(full_products(functools.partial(function, *first)))
    return compiled
