"""Compiling kernels with Numba, whose cache is used where it can be written."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from threading import Lock
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from synfab.common.interrupts import pass_on

_first = Lock()  # held from the first warning on


def cached_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return ``numba.njit(cache=True, **options)``, which compiles even where no cache can be kept.

    Numba raises when the cache's folder cannot be written, when it is decorating a function, and
    when the disk is full, when it is saving one. Here both are one ``RuntimeWarning``
    in each process: the kernels are compiled again in the next one.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(**options)(function)
        if hasattr(dispatcher, "enable_caching"):  # not with NUMBA_DISABLE_JIT
            try:
                dispatcher._cache = OptionalCache(function)
            except (RuntimeError, OSError) as error:
                pass_on(error)
                _warn(error)
        return dispatcher

    return decorate


class OptionalCache(FunctionCache):  # type: ignore[misc]
    """A cache of Numba's that is left out when its files cannot be read or written."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return a compiled function, or None: it has to be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except OSError as error:
            pass_on(error)
            _warn(error)
        except Exception as error:  # whatever unpickling a damaged file raises: write it again
            pass_on(error)
            with contextlib.suppress(Exception):
                self.flush()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a compiled function if that is possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            pass_on(error)
            _warn(error)


def _warn(error: Exception) -> None:
    if _first.acquire(blocking=False):
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"Numba cannot keep compiled kernels ({reason}), so every process compiles them again; "
            f"set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
