"""Multithreading of kernels that release the GIL; results do not depend on the thread count."""

from __future__ import annotations

from collections.abc import Callable

from synfab.common.processors import default_threads
from synfab.engines.numba.pool import Job, find_pool

# Below this number of cells, a second thread costs more time than it saves.
SMALL = 16384

# Parts per thread: enough to balance the load at the end of a job.
PARTS = 4


def share(
    kernel: Callable[[int, int], object], count: int, cells: int, *, discardable: bool = False
) -> None:
    """Call ``kernel(low, high)`` over 0 … count, in parallel if there are enough cells.

    No part is running when this function returns or raises. If a signal handler raises (Ctrl-C),
    either no part or all parts have run, so that every cell has received the same pulses.

    Parameters
    ----------
    discardable
        The caller discards the results after an exception, so that an interrupt skips the parts
        that have not started.
    """
    allowed = default_threads()  # also for few cells, so that an invalid setting always raises
    threads = min(allowed, count) if cells >= SMALL else 1
    pool = find_pool()
    if threads <= 1 or pool.is_own_thread():
        kernel(0, count)
        return
    kernel(0, 0)  # compile here, where an interrupt is safe
    if pool.start():
        pool.run(Job(kernel, count, min(count, PARTS * threads)), threads, discardable)
    else:
        kernel(0, count)


def uninterrupted(action: Callable[[], object]) -> None:
    """Run ``action`` exactly once and completely; an interrupt is raised afterwards."""
    pool = find_pool()
    if not pool.is_own_thread() and pool.start():
        pool.run(Job(lambda _low, _high: action(), 1, 1), 1, False)
    else:
        action()


def completed(action: Callable[[], object]) -> None:
    """Run an idempotent ``action``, again if it is interrupted; then raise the interrupt."""
    try:
        action()
    except BaseException:
        action()
        raise
