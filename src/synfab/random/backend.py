"""Functions of array libraries that the array engine needs besides the Array API standard."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.common.types import AnyArray as Array
from synfab.random.arrays import to_numpy
from synfab.random.streams import seed_key

Compiler: TypeAlias = Callable[[Callable[..., Any], tuple[Any, ...]], Callable[..., Any]]


def as_it_is(function: Callable[..., Any], first: tuple[Any, ...]) -> Callable[..., Any]:
    """Return ``function`` with its first arguments bound, without compiling it."""
    return partial(function, *first)


@dataclass(frozen=True)
class Library:
    """An array library on a device.

    Attributes
    ----------
    name, place
        Arguments with which ``find_library`` returns it again in another process.
    xp
        Its Array API namespace.
    kind
        Type of its arrays.
    device
        Device of the arrays, as an object of the library; "cpu" for the host.
    word
        NumPy type of random words that the library can multiply.
    wide
        Type for long sums.
    asarray
        Returns an array of any library on the device, without a copy if possible.
    put
        ``put(array, index, values)`` returns the array with the indexed cells (last axis)
        replaced; it may change ``array``.
    flatnonzero
        Returns the numbers of the true cells, possibly padded with numbers that ``put`` ignores.
    key
        Returns the two words of a seed for ``streams.philox``.
    compiled
        ``compiled(function, first)`` returns the function with its first arguments bound, compiled
        if that is faster.
    exact
        Likewise without compiling, with products in full float32 precision.
    """

    name: str
    place: str
    xp: Any
    kind: Any
    device: Any
    word: Any
    wide: Any
    asarray: Callable[[Any], Array]
    put: Callable[[Array, Array, Array], Array]
    flatnonzero: Callable[[Array], Array]
    key: Callable[[int], Any]
    compiled: Compiler
    exact: Compiler

    def __deepcopy__(self, memo: dict[int, object]) -> Library:
        return self  # immutable, and modules cannot be copied

    def __reduce__(self) -> tuple[Any, ...]:
        return find_library, (self.name, self.place)


def put_in_place(array: Array, index: Array, values: Array) -> Array:
    """Replace cells of a writable array and return it."""
    array[..., index] = values
    return array


def find_library(name: str, device: object = None) -> Library:
    """Return a library on a device, importing it on first use.

    Raises
    ------
    InvalidValueError
        The library has no such device.
    ToolError
        It is not installed.
    """
    if name == "numpy":
        if not (device is None or (isinstance(device, str) and device == "cpu")):
            raise InvalidValueError(
                f'device: only engines "torch" and "jax" have others than "cpu", found '
                f"{checks.shown(device)}"
            )
        return NUMPY
    extras.check(name)
    module = importlib.import_module(f"synfab.random.{name}_backend")
    found: Library = module.library(device)
    return found


NUMPY = Library(
    name="numpy",
    place="cpu",
    xp=np,
    kind=np.ndarray,
    device="cpu",
    word=np.uint32,
    wide=np.float64,
    asarray=to_numpy,
    put=put_in_place,
    flatnonzero=np.flatnonzero,
    key=seed_key,  # NumPy warns when scalar words wrap around, so integers are used
    compiled=as_it_is,
    exact=as_it_is,
)
