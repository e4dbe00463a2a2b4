"""Checks of arguments, one function per kind of argument.

Every function takes the name of the argument for the message, and returns the checked value.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from synfab.common.array_checks import (  # noqa: F401 - checks of this module's callers, too
    MAX_AXES,
    boolean_array,
    broadcasts,
    numbers,
    real_array,
    selection,
)  # fmt: skip
from synfab.common.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.messages import kind_of, shown

Value = TypeVar("Value")
Word = TypeVar("Word", bound=str)

WORD = 0xFFFFFFFF  # largest 32-bit word; read numbers are words of the random number generator
MAX_NAME, MAX_PATH = 255, 4095  # bytes of a file name and of a path; limits of common systems


def integer(
    name: str, value: object, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return an integer of Python or NumPy within the limits; booleans are refused.

    Raises
    ------
    InvalidTypeError
        It is not an integer.
    InvalidValueError
        It is below ``minimum`` or above ``maximum``.
    """
    if isinstance(value, (bool, np.bool_)):
        raise InvalidTypeError(f"{name}: expected an integer, found a boolean")
    try:
        found = operator.index(value)  # type: ignore[arg-type]
    except Exception as error:  # __index__ of other libraries can raise any exception
        pass_on(error)
        raise InvalidTypeError(f"{name}: expected an integer, found {kind_of(value)}") from None
    if (minimum is not None and found < minimum) or (maximum is not None and found > maximum):
        raise InvalidValueError(f"{name}: expected {_integers(minimum, maximum)}, found {found}")
    return found


def count(name: str, value: object, maximum: int | None = None) -> int:
    """Return an integer of at least 1."""
    return integer(name, value, 1, maximum)


def word(name: str, value: object, length: int = 1) -> int:
    """Return the first of ``length`` consecutive numbers, all of which fit into 32 bits."""
    found = integer(name, value)
    if not 0 <= found <= WORD + 1 - length:
        raise InvalidValueError(f"{name}: expected 0 … 2**32 - {length}, found {found}")
    return found


def number(
    name: str,
    value: object,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Return a finite number within the limits; ``above`` and ``below`` are exclusive.

    Raises
    ------
    InvalidTypeError
        It is not one real number.
    InvalidValueError
        It is NaN, infinite or outside the limits.
    """
    if isinstance(value, (bool, np.bool_)):
        raise InvalidTypeError(f"{name}: expected a number, found a boolean")
    if type(value) is float and math.isfinite(value):
        found = value
    else:
        found = float(numbers(name, value, ()))
    if (
        (minimum is not None and found < minimum)
        or (maximum is not None and found > maximum)
        or (above is not None and found <= above)
        or (below is not None and found >= below)
    ):
        limits = [
            f"{word_} {limit:g}"
            for word_, limit in (
                ("at least", minimum), ("above", above), ("at most", maximum), ("below", below),
            )
            if limit is not None
        ]  # fmt: skip
        raise InvalidValueError(f"{name}: expected {' and '.join(limits)}, found {found:g}")
    return found


def positive(name: str, value: object) -> float:
    """Return a finite number above 0."""
    return number(name, value, above=0.0)


def flag(name: str, value: object) -> bool:
    """Return a boolean of Python or NumPy; text and numbers are refused."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise InvalidTypeError(f"{name}: expected True or False, found {shown(value)}")


def choice(name: str, value: object, allowed: Iterable[Word]) -> Word:
    """Return one of the allowed words."""
    words = tuple(allowed)
    for word_ in words:
        if isinstance(value, str) and value == word_:
            return word_
    kind = InvalidValueError if isinstance(value, str) else InvalidTypeError
    raise kind(f"{name}: expected one of {', '.join(words)}, found {shown(value)}")


def integer_or(
    name: str, value: object, word_: str, minimum: int, maximum: int | None = None
) -> int | None:
    """Return an integer within the limits, or None for the word ``word_``."""
    if isinstance(value, str) and value == word_:
        return None
    try:
        return integer(name, value, minimum, maximum)
    except (InvalidTypeError, InvalidValueError):
        limits = _integers(minimum, maximum)
        kind = InvalidTypeError if not isinstance(value, (str, int)) else InvalidValueError
        raise kind(f'{name}: expected {limits} or "{word_}", found {shown(value)}') from None


def text(name: str, value: object) -> str:
    """Return text."""
    if not isinstance(value, str):
        raise InvalidTypeError(f"{name}: expected text, found {shown(value)}")
    return value


def path(name: str, value: object) -> Path:
    """Return the path of a file or folder, which need not exist."""
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidTypeError(f"{name}: expected a path, found {shown(value)}")
    try:
        found = os.fspath(value)
    except Exception as error:
        pass_on(error)
        raise InvalidTypeError(f"{name}: expected a path, found {kind_of(value)}") from error
    if not isinstance(found, str):
        raise InvalidTypeError(f"{name}: expected a path as text, found {kind_of(found)}")
    if not found or "\0" in found or not _is_nameable(found):
        raise FileFormatError(f"{name}: expected a path, found {shown(found)}")
    return Path(found)


def _is_nameable(path_: str) -> bool:
    """Return True if a path has valid characters and lengths, without accessing a file system."""
    try:
        encoded = os.fsencode(path_)
    except UnicodeEncodeError:
        return False
    return len(encoded) <= MAX_PATH and all(
        len(os.fsencode(part)) <= MAX_NAME for part in Path(path_).parts
    )


def texts(name: str, value: object, count_: int | None = None) -> tuple[str, ...]:
    """Return a list or tuple of texts as a tuple; ``count_``: the required length."""
    if not isinstance(value, (list, tuple)):
        raise InvalidTypeError(f"{name}: expected a list of texts, found {shown(value)}")
    if count_ is not None and len(value) != count_:
        raise InvalidValueError(f"{name}: expected {count_} texts, found {len(value)}")
    return tuple(text(name, part) for part in value)


def optional(name: str, value: Value | None, kind: type[Value]) -> Value | None:
    """Return an instance of a class, or None."""
    return None if value is None else instance(name, value, kind, f"a {kind.__name__} or None")


def function(name: str, value: object) -> Callable[..., Any]:
    """Return a callable."""
    if not callable(value):
        raise InvalidTypeError(f"{name}: expected a function, found {shown(value)}")
    return value


def instance(
    name: str,
    value: object,
    kind: type[Value] | tuple[type[Value], ...],
    expected: str | None = None,
) -> Value:
    """Return an instance of a class; ``expected`` describes it in the message."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = expected or " or ".join(f"a {one.__name__}" for one in kinds)
        raise InvalidTypeError(f"{name}: expected {wanted}, found {kind_of(value)}")
    return value


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Return a mapping, such as a dictionary."""
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"{name}: expected a mapping, found {shown(value)}")
    return value


def axes(name: str, value: object) -> tuple[int, ...]:
    """Return the lengths of 1 … 32 axes, each at least 1; an integer is one axis."""
    lengths = value if isinstance(value, (tuple, list)) else (value,)
    if not 1 <= len(lengths) <= MAX_AXES:
        raise InvalidValueError(f"{name}: expected 1 … {MAX_AXES} axes, found {len(lengths)}")
    result = tuple(integer(name, length) for length in lengths)
    if any(length < 1 for length in result):
        raise InvalidValueError(f"{name}: expected axes of 1 or more cells, found {result}")
    return result


def _integers(minimum: int | None, maximum: int | None) -> str:
    if maximum is None:
        return f"an integer of at least {minimum}"
    return f"{minimum} … {maximum}" if minimum is not None else f"an integer of at most {maximum}"


def freeze(instance_: object, **values: object) -> None:
    """Set fields of a frozen dataclass in its constructor."""
    for name, value in values.items():
        object.__setattr__(instance_, name, value)
