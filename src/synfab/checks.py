"""Checks that the parts of a model share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.errors import InvalidTypeError, InvalidValueError

Float64 = npt.NDArray[np.float64]


def numbers(name: str, value: Any, shape: tuple[int | None, ...]) -> Float64:
    """Return ``value`` as a read-only float64 array of a shape; None stands for any length >= 1.

    Raises
    ------
    InvalidTypeError
        Something in it is not a number.
    InvalidValueError
        The shape is another one, or a number is not finite.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise InvalidValueError(f"{name}: expected rows of equal length") from None
    if array.dtype.kind not in "fiu":
        raise InvalidTypeError(f"{name}: expected real numbers, found {array.dtype}")
    wanted = " x ".join("any" if n is None else str(n) for n in shape) or "one number"
    if array.ndim != len(shape) or any(
        found != n if n is not None else found < 1
        for found, n in zip(array.shape, shape, strict=True)
    ):
        raise InvalidValueError(f"{name}: expected shape {wanted}, found {array.shape}")
    result = np.array(array, dtype=np.float64)
    if not np.isfinite(result).all():
        raise InvalidValueError(f"{name}: expected finite numbers, found NaN or infinity")
    result.setflags(write=False)
    return result


def number(name: str, value: Any) -> float:
    """Return ``value`` as a finite float."""
    if isinstance(value, bool):
        raise InvalidTypeError(f"{name}: expected a number, found a boolean")
    return float(numbers(name, value, ()))


def lower_factor(name: str, factor: Float64) -> None:
    """Check that the last two axes are Cholesky factors: lower triangular, positive diagonal."""
    if np.any(np.triu(factor, 1) != 0.0):
        raise InvalidValueError(
            f"{name}: expected lower triangular, found numbers above the diagonal"
        )
    if np.any(np.diagonal(factor, axis1=-2, axis2=-1) <= 0.0):
        raise InvalidValueError(
            f"{name}: expected a positive diagonal (a positive definite covariance)"
        )


def freeze(instance: object, **values: object) -> None:
    """Set fields of a frozen dataclass while it is being made."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
