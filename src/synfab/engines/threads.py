"""Sharing out kernels that release the interpreter lock; any thread count gives the same bits."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

from synfab.errors import InvalidValueError

# Below this many cells a second thread costs more than it saves.
SMALL = 16384


def default_threads() -> int:
    """Threads used: SYNFAB_NUM_THREADS, else the cores this process may use."""
    text = os.environ.get("SYNFAB_NUM_THREADS")
    if text is not None:
        if not text.isdecimal() or int(text) < 1:
            raise InvalidValueError(
                f"SYNFAB_NUM_THREADS: expected a whole number above 0, found {text!r}"
            )
        return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool a process: a forked child must not wait for threads it does not have."""
    return ThreadPoolExecutor(threads, thread_name_prefix="synfab")


def share(kernel: Callable[[int, int], object], count: int, cells: int) -> None:
    """Call ``kernel(low, high)`` over 0 … count, in parallel when there is enough to do."""
    threads = min(default_threads(), count) if cells >= SMALL else 1
    if threads <= 1:
        kernel(0, count)
        return
    parts = min(count, 2 * threads)
    edges = [count * part // parts for part in range(parts + 1)]
    pool = _pool(threads, os.getpid())
    ranges = list(pairwise(edges))
    futures = [pool.submit(kernel, low, high) for low, high in ranges[1:]]
    try:
        kernel(*ranges[0])  # the caller works too
    finally:
        for future in futures:
            future.result()
