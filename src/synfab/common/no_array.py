"""Objects that hold arrays and are none: ``np.asarray`` of one raises instead of wrapping it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from synfab.common.errors import InvalidTypeError

Kind = TypeVar("Kind", bound=type)


def no_array(instead: str) -> Callable[[Kind], Kind]:
    """Return a class decorator: ``np.asarray`` of an instance raises ``InvalidTypeError``.

    NumPy would make an array of Python objects, of which every later computation fails.

    Parameters
    ----------
    instead
        Expressions that return arrays, for the message.
    """

    def decorate(kind: Kind) -> Kind:
        def refuse(self: object, dtype: object = None, copy: object = None) -> NoReturn:
            raise InvalidTypeError(f"{type(self).__name__} is not an array; use {instead}")

        kind.__array__ = refuse  # type: ignore[attr-defined]
        return kind

    return decorate
