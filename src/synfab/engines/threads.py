"""Sharing out kernels that release the interpreter lock; any thread count gives the same bits."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from threading import Lock, Semaphore, Thread

from synfab.processors import default_threads

# Below this many cells a second thread costs more than it saves.
SMALL = 16384

# Parts a thread: small enough that nobody waits long for the last one.
PARTS = 4


class _Job:
    """One kernel call in parts; whoever is free takes the next part."""

    def __init__(self, kernel: Callable[[int, int], object], count: int, parts: int) -> None:
        self.kernel = kernel
        self.edges = [count * part // parts for part in range(parts + 1)]
        self.next_part = iter(range(parts))  # a range iterator's step is atomic
        self.error: BaseException | None = None

    def work(self) -> None:
        try:
            for part in self.next_part:
                self.kernel(self.edges[part], self.edges[part + 1])
        except BaseException as error:
            self.error = error


class _Helper:
    """A thread that waits for jobs: a queue and a lock wake it faster than an executor's future."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.done = Semaphore(0)
        Thread(target=self._run, name="synfab", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.jobs.get().work()
            self.done.release()


_busy = Lock()


@cache
def _helpers(count: int, process: int) -> list[_Helper]:
    """Threads of this process: a forked child must not wait for threads it does not have."""
    return [_Helper() for _ in range(count)]


def share(kernel: Callable[[int, int], object], count: int, cells: int) -> None:
    """Call ``kernel(low, high)`` over 0 … count, in parallel when there is enough to do."""
    allowed = default_threads()  # also for few cells: a wrong number of threads is always refused
    threads = min(allowed, count) if cells >= SMALL else 1
    # A second caller at the same time works alone: the helpers are taken.
    if threads <= 1 or not _busy.acquire(blocking=False):
        kernel(0, count)
        return
    try:
        helpers = _helpers(threads - 1, os.getpid())
        job = _Job(kernel, count, min(count, PARTS * threads))
        for helper in helpers:
            helper.jobs.put(job)
        job.work()  # the caller works too
        for helper in helpers:
            helper.done.acquire()
    finally:
        _busy.release()
    if job.error is not None:
        raise job.error
