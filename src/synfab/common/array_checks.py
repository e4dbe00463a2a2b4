"""Checks of array arguments; ``checks`` offers them together with those of single values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.messages import kind_of
from synfab.common.types import Array, FloatArray

MAX_AXES = 32


def real_array(name: str, value: object) -> Array:
    """Return real numbers as a NumPy array of unchanged type and shape, without a copy.

    Raises
    ------
    InvalidTypeError
        The elements are not real numbers, or the array is masked.
    InvalidValueError
        It is a list of rows of different lengths.
    """
    return _array(name, value, "fiu", "real numbers")


def boolean_array(name: str, value: object) -> Array:
    """Return booleans as a NumPy array; raises as ``real_array`` does."""
    return _array(name, value, "b", "booleans")


def selection(name: str, value: object, expected: str = "a mask or integers") -> Array:
    """Return a mask or integers as a NumPy array; an empty list counts as integers."""
    array = _array(name, value, "biuf", expected)
    if array.dtype.kind == "f" and array.size:
        raise InvalidTypeError(f"{name}: expected {expected}, found {array.dtype}")
    return array.astype(np.int64) if array.dtype.kind == "f" else array


def _array(name: str, value: object, kinds: str, expected: str) -> Array:
    if _holds_masked(value, MAX_AXES):
        raise InvalidTypeError(
            f"{name}: masked arrays are not accepted; pass plain {expected} "
            f"(array.filled(...), and where=~array.mask to leave cells out)"
        )
    try:
        # asanyarray keeps subclasses: an object may convert itself to a masked array.
        found = np.asanyarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except Exception as error:
        pass_on(error)
        if isinstance(value, (list, tuple)) and isinstance(error, ValueError):
            raise InvalidValueError(f"{name}: expected rows of equal length") from None
        raise InvalidTypeError(f"{name}: expected {expected}, found {kind_of(value)}") from None
    if isinstance(found, np.ma.MaskedArray):
        raise InvalidTypeError(
            f"{name}: expected {expected}, found {kind_of(value)}, which becomes a masked array"
        )
    array = np.asarray(found)
    if array.dtype.kind not in kinds:
        kind = kind_of(value) if array.dtype == object or array.ndim == 0 else array.dtype
        raise InvalidTypeError(f"{name}: expected {expected}, found {kind}")
    if array.ndim > MAX_AXES:
        raise InvalidValueError(f"{name}: expected up to {MAX_AXES} axes, found {array.ndim}")
    return array


def _holds_masked(value: object, depth: int) -> bool:
    """Return True for a masked array, or a sequence that contains one down to ``depth``."""
    if isinstance(value, np.ma.MaskedArray):
        return True
    if isinstance(value, np.ndarray) or not isinstance(value, Sequence) or not depth:
        return False
    if isinstance(value, (str, bytes, bytearray, memoryview, range)):
        return False
    try:
        return any(_holds_masked(part, depth - 1) for part in value)
    except Exception as error:  # a sequence of another library; NumPy will raise the error
        pass_on(error)
        return False


def numbers(name: str, value: object, shape: tuple[int | None, ...]) -> FloatArray:
    """Return numbers as a read-only float64 array; None in ``shape`` stands for any length >= 1.

    Raises
    ------
    InvalidTypeError
        An element is not a number.
    InvalidValueError
        The shape is wrong, or an element is not finite.
    """
    array = real_array(name, value)
    if array.ndim != len(shape) or any(
        found != n if n is not None else found < 1
        for found, n in zip(array.shape, shape, strict=True)
    ):
        wanted = " x ".join("any" if n is None else str(n) for n in shape) or "one number"
        raise InvalidValueError(f"{name}: expected shape {wanted}, found {array.shape}")
    with np.errstate(over="ignore"):  # overflow is detected below
        result = np.array(array, dtype=np.float64)
    if not (math.isfinite(result) if result.ndim == 0 else np.isfinite(result).all()):
        raise InvalidValueError(f"{name}: expected finite numbers, found NaN or infinity")
    result.setflags(write=False)
    return result


def broadcasts(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Raise unless an array of ``shape`` broadcasts to the shape ``wanted``."""
    try:
        fits = np.broadcast_shapes(shape, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise InvalidValueError(f"{name}: shape {shape} does not broadcast to {wanted}")


def lower_factor(name: str, factor: FloatArray) -> None:
    """Raise if the last two axes are not lower triangular with a positive diagonal."""
    if np.any(np.triu(factor, 1) != 0.0):
        raise InvalidValueError(
            f"{name}: expected lower triangular, found numbers above the diagonal"
        )
    if np.any(np.diagonal(factor, axis1=-2, axis2=-1) <= 0.0):
        raise InvalidValueError(
            f"{name}: expected a positive diagonal (a positive definite covariance)"
        )


def read_only(array: Array) -> Array:
    """Return an array after marking it as read-only."""
    array.setflags(write=False)
    return array
