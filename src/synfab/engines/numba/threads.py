"""Sharing out kernels that release the interpreter lock; any thread count gives the same bits."""

from __future__ import annotations

from collections.abc import Callable

from synfab.common.processors import default_threads
from synfab.engines.numba.pool import Job, find_pool

# Below this many cells a second thread costs more than it saves.
SMALL = 16384

# Parts a thread: small enough that nobody waits long for the last one.
PARTS = 4


def share(
    kernel: Callable[[int, int], object], count: int, cells: int, *, discardable: bool = False
) -> None:
    """Call ``kernel(low, high)`` over 0 … count, in parallel when there is enough to do.

    No part runs any more when this returns or raises. If a signal handler raises (Ctrl-C), either
    no part has run or all have, so that an interrupted pulse leaves no cell half-way.

    Parameters
    ----------
    discardable
        Nobody uses what the kernel has written if there is an exception, so that after an interrupt
        the parts that have not started are left out.
    """
    allowed = default_threads()  # also for few cells: a wrong number of threads is always refused
    threads = min(allowed, count) if cells >= SMALL else 1
    pool = find_pool()
    if threads <= 1 or pool.is_own_thread():
        kernel(0, count)
        return
    kernel(0, 0)  # compiled here, where that may be interrupted
    if pool.start():
        pool.run(Job(kernel, count, min(count, PARTS * threads)), threads, discardable)
    else:
        kernel(0, count)


def uninterrupted(action: Callable[[], object]) -> None:
    """Do something that must happen once and whole; an interrupt is raised after it."""
    pool = find_pool()
    if not pool.is_own_thread() and pool.start():
        pool.run(Job(lambda _low, _high: action(), 1, 1), 1, False)
    else:
        action()


def completed(action: Callable[[], object]) -> None:
    """Do something that may be done twice; an interrupt is raised once it has been done."""
    try:
        action()
    except BaseException:
        action()
        raise
