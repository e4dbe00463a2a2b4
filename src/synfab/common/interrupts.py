"""Exceptions of signal handlers, which no ``except`` may take for those of a library."""

from __future__ import annotations

import signal
from functools import cache, partial
from types import CodeType


def pass_on(error: BaseException) -> None:
    """Raise the exception of a signal handler again; do nothing for every other.

    Handlers run between any two instructions of the main thread and may raise what an ``except``
    there expects from elsewhere: an alarm's ``TimeoutError`` is an ``OSError``, which would make a
    file count as damaged. What a library raised in its place is looked through.
    """
    handlers = _codes()
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        trace = found.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code in handlers:
                raise found
            trace = trace.tb_next
        found = found.__cause__ or found.__context__


@cache
def _numbers() -> tuple[int, ...]:
    """Numbers of all signals; asking Python each time takes a millisecond."""
    return tuple(int(number) for number in signal.valid_signals())


def _codes() -> set[CodeType]:
    """Code of the signal handlers that are installed and written in Python."""
    found = set()
    for number in _numbers():
        handler = signal.getsignal(number)
        while isinstance(handler, partial):
            handler = handler.func
        for function in (handler, getattr(handler, "__func__", None), type(handler).__call__):
            code = getattr(function, "__code__", None) if callable(handler) else None
            if isinstance(code, CodeType):
                found.add(code)
    return found
