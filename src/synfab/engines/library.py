"""What the array engine needs of an array library beside the Array API standard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from synfab.streams import seed_key

Array = Any


@dataclass(frozen=True)
class Library:
    """One array library on one device.

    Attributes
    ----------
    xp
        Its Array API namespace.
    name
        What users call it.
    device
        Where the arrays are, in the library's words; "cpu" is the host.
    word
        NumPy type of random words that it can hold and multiply.
    wide
        Its type for long sums.
    asarray
        Brings an array of its own or of NumPy to the device; nothing is copied that is there.
    put
        ``put(array, index, values)``: the array with the listed cells (last axis) replaced; the
        array itself may be changed.
    flatnonzero
        Numbers of the true cells; may be padded with numbers that ``put`` ignores.
    key
        The two words of a seed as ``streams.philox`` takes them.
    compiled
        Returns a function that equals the given one, faster where that pays.
    """

    xp: Any
    name: str
    device: Any
    word: Any
    wide: Any
    asarray: Callable[[Any], Array]
    put: Callable[[Array, Array, Array], Array]
    flatnonzero: Callable[[Array], Array]
    key: Callable[[int], Any]
    compiled: Callable[[Callable[..., Any], tuple[Any, ...]], Callable[..., Any]]


def put_in_place(array: Array, index: Array, values: Array) -> Array:
    """Replace cells of an array that can be written to."""
    array[..., index] = values
    return array


NUMPY = Library(
    xp=np,
    name="numpy",
    device="cpu",
    word=np.uint32,
    wide=np.float64,
    asarray=np.asarray,
    put=put_in_place,
    flatnonzero=np.flatnonzero,
    key=seed_key,  # NumPy warns of wrapping words without axes; integers are masked
    compiled=lambda function, fixed: lambda *arguments: function(*fixed, *arguments),
)
