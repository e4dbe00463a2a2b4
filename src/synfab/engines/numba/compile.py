"""Compilation of kernels with Numba; they are cached on disk if the cache is writable."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from threading import Lock, Thread, current_thread, main_thread
from typing import Any

from numba import njit
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)
from numba.core.compiler_lock import global_compiler_lock

from synfab.common.interrupts import pass_on

# Modules with constants and functions of kernels in other files.
CONSTANTS = (
    "engines/numba/layout.py", "engines/numba/intrinsics.py", "model/cell_model.py",
    "model/reduction.py", "network/vectors.py", "physics/drawing.py", "programming/kernels.py",
    "programming/median_kernels.py",
)  # fmt: skip

logger = logging.getLogger(__name__)
_first = Lock()  # held after the first warning
_compiling = Lock()  # held after the first message


def cached_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return ``numba.njit(cache=True, **options)``, which also works without a writable cache.

    Numba raises an error if the cache folder is not writable (when decorating a function) or the
    disk is full (when saving one). Here, both cause one ``RuntimeWarning`` per process, and the
    next process compiles the kernels again.

    An exception of a signal handler (Ctrl-C) inside Numba's compiler would leave it in a state in
    which later compilations fail or crash the process. Therefore kernels are compiled in a thread
    of their own, where no handler runs.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(no_cfunc_wrapper=True, **options)(function)
        if hasattr(dispatcher, "enable_caching"):  # not with NUMBA_DISABLE_JIT
            dispatcher.compile = partial(_run_undisturbed, dispatcher.compile)
            try:
                dispatcher._cache = OptionalCache(function)
            except (RuntimeError, OSError) as error:
                pass_on(error)
                _warn(error)
                dispatcher.compile = partial(_announced, dispatcher.compile)
        return dispatcher

    return decorate


def _announced(compile_: Callable[[Any], Any], signature: Any) -> Any:
    _announce()
    return compile_(signature)


def _announce() -> None:
    """Log one line before the first kernel of a process is compiled."""
    if _compiling.acquire(blocking=False):
        logger.info("compiling kernels, which takes up to half a minute and is needed once")


def part_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator of a function that only kernels call.

    Python cannot call it: it is compiled without the wrappers for that, which saves time.
    """
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(error_model="numpy", **wrappers, **options)  # type: ignore[no-any-return]


def _run_undisturbed(action: Callable[[Any], Any], argument: Any) -> Any:
    """Return ``action(argument)``, evaluated where no signal handler interrupts it.

    The caller's wait can be interrupted; the action then ends in the background.
    """
    # Handlers run in the main thread only. If it compiles an outer function, it holds the lock
    # that the other thread would wait for.
    if current_thread() is not main_thread() or global_compiler_lock.is_locked():
        return action(argument)
    results: list[Any] = []
    errors: list[BaseException] = []
    done = Lock()
    done.acquire()

    def work() -> None:
        try:
            results.append(action(argument))
        except BaseException as error:
            errors.append(error)
        finally:
            done.release()

    Thread(target=work, name="synfab-compile", daemon=True).start()
    done.acquire()
    if errors:
        raise errors.pop()
    return results.pop()


@cache
def kernel_sources() -> bytes:
    """Return a hash of the source files with functions that kernels of other files call."""
    folder, total = Path(__file__).parent, hashlib.sha256()
    shared = [folder.parents[1] / name for name in CONSTANTS]
    for file in [*sorted(folder.glob("*.py")), *shared]:
        source = file.read_bytes()
        if file in shared or b"import njit" in source or b"numba.compile import" in source:
            total.update(source)
    return total.digest()


class _WithCallees:
    """Mix-in of a cache locator: compiled code is valid if no source that kernels use changed.

    Numba looks at the file of the function only, not at the functions it calls.
    """

    def get_source_stamp(self) -> Any:
        return super().get_source_stamp(), kernel_sources()  # type: ignore[misc]


class _Files(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = tuple(
        type(locator.__name__, (_WithCallees, locator), {})
        for locator in (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator)
    )


class OptionalCache(FunctionCache):  # type: ignore[misc]
    """Numba function cache that is bypassed if its files cannot be read or written."""

    _impl_class = _Files

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached compiled function, or None if it must be compiled."""
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except OSError as error:
            pass_on(error)
            _warn(error)
        except Exception as error:  # unpickling a damaged file can raise any: rewrite it
            pass_on(error)
            with contextlib.suppress(Exception):
                self.flush()
        if found is None:
            _announce()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a compiled function if the cache is writable."""
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
