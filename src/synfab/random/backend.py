"""Array libraries: functions that engines need besides the Array API standard."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, get_args

import numpy as np

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.common.types import AnyArray as Array
from synfab.common.types import ArraysName
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
        Returns an array of any library on the device, without a copy if possible. Later changes of
        a NumPy array do not affect computations that use the result.
    adopt
        Returns a NumPy array that nothing else refers to as an array of the library, without a copy
        if possible.
    put
        ``put(array, index, values)`` returns the array with the indexed cells (last axis)
        replaced; it may change ``array``.
    flatnonzero
        Returns the numbers of the true cells, possibly padded with numbers that ``put`` ignores.
    key
        Returns the two words of a seed for ``streams.philox``.
    exact
        ``exact(function, first)`` returns the function with its first arguments bound and with
        products in full float32 precision; JAX compiles it.
    """

    name: ArraysName
    place: str
    xp: Any
    kind: Any
    device: Any
    word: Any
    wide: Any
    asarray: Callable[[Any], Array]
    adopt: Callable[[np.ndarray[Any, Any]], Array]
    put: Callable[[Array, Array, Array], Array]
    flatnonzero: Callable[[Array], Array]
    key: Callable[[int], Any]
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
    """Return the library ``name`` on a device (None: the CPU), importing it on first use.

    Raises
    ------
    InvalidValueError
        There is no such library, or it has no such device.
    ToolError
        It is not installed.
    """
    checks.choice("arrays", name, get_args(ArraysName))
    if name == "numpy":
        if not (device is None or (isinstance(device, str) and device == "cpu")):
            raise InvalidValueError(
                f'device: NumPy arrays are on "cpu", other devices need arrays="torch" or "jax"; '
                f"found {checks.shown(device)}"
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
    adopt=to_numpy,
    put=put_in_place,
    flatnonzero=np.flatnonzero,
    key=seed_key,  # NumPy warns when scalar words wrap around, so integers are used
    exact=as_it_is,
)
