"""What the array engine needs of an array library beside the Array API standard."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.random.arrays import to_numpy
from synfab.random.streams import seed_key

Array = Any


@dataclass(frozen=True)
class Library:
    """One array library on one device.

    Attributes
    ----------
    name, place
        What ``find_library`` makes it from again, in another process.
    xp
        Its Array API namespace.
    kind
        Type of its arrays.
    device
        Where the arrays are, in the library's words; "cpu" is the host.
    word
        NumPy type of random words that it can hold and multiply.
    wide
        Its type for long sums.
    asarray
        Brings an array of its own, of NumPy or of a third library to the device; nothing is
        copied that is there.
    put
        ``put(array, index, values)``: the array with the listed cells (last axis) replaced; the
        array itself may be changed.
    flatnonzero
        Numbers of the true cells; may be padded with numbers that ``put`` ignores.
    key
        The two words of a seed as ``streams.philox`` takes them.
    compiled
        ``compiled(function, first)``: the function with its first arguments given, faster where
        that pays.
    exact
        Likewise without compiling; sums of products keep the digits of float32 there.
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
    compiled: Callable[[Callable[..., Any], tuple[Any, ...]], Callable[..., Any]]
    exact: Callable[[Callable[..., Any], tuple[Any, ...]], Callable[..., Any]]

    def __deepcopy__(self, memo: dict[int, Any]) -> Library:
        return self  # it never changes, and modules cannot be copied

    def __reduce__(self) -> tuple[Any, ...]:
        return find_library, (self.name, self.place)


def put_in_place(array: Array, index: Array, values: Array) -> Array:
    """Replace cells of an array that can be written to."""
    array[..., index] = values
    return array


def find_library(name: str, device: Any = None) -> Library:
    """Return the library of a name on a device, imported only now.

    Raises
    ------
    InvalidValueError
        The library is not installed, or has no such device.
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
    key=seed_key,  # NumPy warns of wrapping words without axes; integers are masked
    compiled=lambda function, first: partial(function, *first),
    exact=lambda function, first: partial(function, *first),
)
