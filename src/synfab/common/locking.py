"""A lock per array: threads that share an array run its methods one at a time."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any, TypeVar, cast
from weakref import WeakSet

from synfab.common.errors import InvalidValueError

Method = TypeVar("Method", bound=Callable[..., Any])

_owners: WeakSet[Any] = WeakSet()


def add_lock(owner: Any) -> None:
    """Add the reentrant lock that ``locked`` uses to an object."""
    owner._lock = RLock()
    _owners.add(owner)


def lock_of(owner: Any) -> AbstractContextManager[object]:
    """Return the lock that ``add_lock`` gave an object."""
    lock: AbstractContextManager[object] = owner._lock
    return lock


def copy_contents(source: Any, owner: Any) -> None:
    """Give an object everything that another of its class holds, except the lock."""
    with lock_of(owner):
        vars(owner).update(vars(source), _lock=owner._lock)


def locked(method: Method) -> Method:
    """Decorate a method to run while holding the lock of its object."""

    @functools.wraps(method)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return cast(Method, call)  # the same signature: checkers infer results from it


class _LostLock:
    """Replaces a lock in a forked child whose owner, another thread, does not exist there."""

    def __enter__(self) -> None:
        raise InvalidValueError(
            "array: another thread was using it when this process was forked, so its cells may be "
            "inconsistent; create or load an array in the child process"
        )

    def __exit__(self, *_: object) -> None: ...


def _after_fork() -> None:
    for owner in list(_owners):
        if owner._lock.acquire(blocking=False):
            owner._lock.release()
        else:
            owner._lock = _LostLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
