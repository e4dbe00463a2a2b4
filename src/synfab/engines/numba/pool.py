"""Thread pool whose jobs always finish before an exception of a signal handler is raised.

Python runs signal handlers in the main thread, between bytecode instructions, and they may raise
there (as Ctrl-C does). Therefore only the threads of the pool run parts of a job. The caller waits
in a single C call, during which no handler runs and which no exception can bypass.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count, repeat
from queue import SimpleQueue
from threading import Event, Lock, RLock, Thread, get_ident

# Unlike methods of ``threading.Lock``, these wait without running signal handlers. CDLL releases
# the GIL during the wait.
_C = ctypes.CDLL(None, handle=ctypes.pythonapi._handle)
_allocate = _C.PyThread_allocate_lock
_allocate.restype, _allocate.argtypes = ctypes.c_void_p, []
_acquire = _C.PyThread_acquire_lock
_acquire.restype, _acquire.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_int]
_release = _C.PyThread_release_lock
_release.restype, _release.argtypes = None, [ctypes.c_void_p]

_spare: deque[int] = deque()  # acquired locks that are not in use; they are never freed


class Completion:
    """One-time event; ``wait`` may be called once and cannot be interrupted."""

    # There is no ``__del__``, since Python discards an exception that a handler raises in one.

    def __init__(self) -> None:
        try:
            lock = _spare.pop()
        except IndexError:
            lock = _allocate()
            if not lock:
                raise MemoryError from None
            _acquire(lock, 1)
        # Partials of C functions: no Python frame is created in which a handler could run.
        self.set: Callable[[], object] = partial(_release, lock)
        self.wait: Callable[[], object] = partial(_acquire, lock, 1)
        self.recycle: Callable[[], object] = partial(_spare.append, lock)


class Job:
    """Kernel call split into parts; each idle thread runs the next part."""

    def __init__(self, kernel: Callable[[int, int], object], size: int, parts: int) -> None:
        self.kernel, self.parts = kernel, parts
        self.edges = [size * part // parts for part in range(parts + 1)]
        # ``next`` of these iterators is atomic.
        self.next_part, self.done = iter(range(parts)), count(1)
        self.errors: list[tuple[int, BaseException]] = []
        self.stopped = False  # parts that have not started are skipped
        self.noticed = Lock()  # like ``completion``, but the wait can be interrupted
        self.noticed.acquire()
        self.completion = Completion()

    def work(self) -> None:
        """Run parts until none is left."""
        for part in self.next_part:
            if not self.stopped:
                try:
                    self.kernel(self.edges[part], self.edges[part + 1])
                except BaseException as error:
                    self.errors.append((part, error))
            if next(self.done) == self.parts:
                self.noticed.release()
                self.completion.set()

    def raise_error(self) -> None:
        """Raise the exception of the first part that failed, if any."""
        if self.errors:
            _, error = min(self.errors, key=lambda found: found[0])
            self.errors.clear()  # its traceback refers to this job
            raise error


class Pool:
    """Threads of one process; the number grows to the largest that a job requests."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.size = 0
        self._jobs: SimpleQueue[tuple[Job, int]] = SimpleQueue()
        self._own: set[int] = set()  # identifiers of the threads
        self._growing = RLock()  # a signal handler may use arrays as well
        self._ready = Event()

    def is_own_thread(self) -> bool:
        """Return whether the caller is a thread of the pool, which must not wait for another."""
        return get_ident() in self._own

    def start(self) -> bool:
        """Ensure that a thread exists; return False if the system cannot start one."""
        if self.size == 0:
            with self._growing:
                if self.size == 0:
                    if not _start(self._serve_first):
                        return False
                    self._ready.wait()
        return True

    def run(self, job: Job, threads: int, discardable: bool) -> None:
        """Run a job on ``threads`` threads; return or raise when no part is running any more.

        The exception of a signal handler is raised after all parts have run. If the job is
        ``discardable``, parts that have not started by then are skipped.
        """
        entries = map(self._jobs.put, repeat((job, threads), threads))
        enter, wait = deque[object](maxlen=0).extend, job.completion.wait
        # Handlers run only after a C call returns. So no exception is raised before ``enter`` is
        # complete, and none between an exception and ``wait``.
        try:
            enter(entries)
            if discardable:
                job.noticed.acquire()
        except BaseException:
            job.stopped = discardable
            raise
        finally:
            wait()
        job.completion.recycle()
        job.raise_error()

    def _serve_first(self) -> None:
        self.size += 1
        self._ready.set()
        self._serve()

    def _serve(self) -> None:
        self._own.add(get_ident())
        while True:
            self._serve_one(*self._jobs.get())  # no reference to a job is held while waiting

    def _serve_one(self, job: Job, threads: int) -> None:
        if self.size < threads:
            self._grow(threads)
        job.work()

    def _grow(self, threads: int) -> None:
        """Start missing threads; runs in the pool because the caller can be interrupted."""
        with self._growing:
            while self.size < threads and _start(self._serve):
                self.size += 1


def _start(target: Callable[[], None]) -> bool:
    """Start a thread; return False if the system cannot start another."""
    try:
        Thread(target=target, name="synfab", daemon=True).start()
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise  # raised by a signal handler
        return False
    return True


_pools = {0: Pool()}


def find_pool() -> Pool:
    """Return the pool of this process; a forked child gets a new one, without threads."""
    if _pools[0].process != os.getpid():
        _pools[0] = Pool()
    return _pools[0]
