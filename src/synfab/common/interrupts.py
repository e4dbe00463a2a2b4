"""Exceptions of signal handlers, which must not be handled as those of a library."""

from __future__ import annotations

import signal
from functools import cache, partial
from types import CodeType


def pass_on(error: BaseException) -> None:
    """Raise an exception again if a signal handler raised it; otherwise do nothing.

    Handlers run between any two instructions of the main thread, so any ``except`` block can catch
    their exceptions by mistake: the ``TimeoutError`` of an alarm is an ``OSError``, and a file
    would count as damaged. Causes and contexts of the exception are searched too.
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
    """Return the code objects of the installed signal handlers that are Python functions."""
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
