"""Earlier names, which work for one release with a ``DeprecationWarning``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from synfab.common.errors import InvalidTypeError

P = ParamSpec("P")
R = TypeVar("R")


def warn_renamed(former: str, present: str, *, stacklevel: int) -> None:
    """Warn that a name will be removed; ``stacklevel`` as of ``warnings.warn``, 2 is the caller."""
    warnings.warn(
        f"{former} is now {present}; the former name will be removed in the next release",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )


def renamed_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that accepts earlier names of keyword arguments, ``old="new"``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            if names.keys().isdisjoint(kwargs):
                return function(*args, **kwargs)
            return function(*args, **renamed(kwargs, names, stacklevel=3))

        return wrapper

    return decorate


def renamed(
    arguments: Mapping[Any, Any], names: Mapping[str, str], *, stacklevel: int
) -> dict[Any, Any]:
    """Return arguments under their present names.

    Parameters
    ----------
    arguments
        By name.
    names
        The present name of each earlier one.
    stacklevel
        Where the warning is reported, counted as by ``warnings.warn``; 2 is the caller.

    Raises
    ------
    InvalidTypeError
        An argument is given under both names.
    """
    given = dict(arguments)
    for old, new in names.items():
        if old not in given:
            continue
        if new in given:
            raise InvalidTypeError(f"{old}: found along with {new}, its present name; expected one")
        warn_renamed(old, new, stacklevel=stacklevel)
        given[new] = given.pop(old)
    return given
