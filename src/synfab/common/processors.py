"""Number of threads of the kernels: requested by the user, or the available processors."""

from __future__ import annotations

import math
import os
from functools import cache

from synfab.common.cgroups import processor_quota
from synfab.common.errors import InvalidValueError

VARIABLE = "SYNFAB_NUM_THREADS"
MAX_THREADS = 4096


def default_threads() -> int:
    """Return the number of threads: ``SYNFAB_NUM_THREADS``, or else the available processors.

    Raises
    ------
    InvalidValueError
        ``SYNFAB_NUM_THREADS`` is not a whole number from 1 to 4096.
    """
    return requested_threads() or available_processors()


def requested_threads() -> int | None:
    """Return the value of ``SYNFAB_NUM_THREADS``; None if it is unset or empty.

    Raises
    ------
    InvalidValueError
        It is not a whole number from 1 to 4096.
    """
    text = os.environ.get(VARIABLE)
    return _threads(text) if text else None


@cache
def _threads(text: str) -> int:
    plain = text.isascii() and text.isdecimal() and len(text) < 10
    if not plain or not 1 <= int(text) <= MAX_THREADS:
        raise InvalidValueError(
            f"{VARIABLE}: expected a whole number from 1 to {MAX_THREADS}, found {text!r}"
        )
    return int(text)


def available_processors() -> int:
    """Return the number of processors that affinity and control groups allow for this process.

    A quota of 1.5 processors counts as 2.
    """
    count, allowed = _affinity(), quota()
    return count if allowed is None else max(1, min(count, math.ceil(allowed)))


def _affinity() -> int:
    # Not on Windows and macOS; psutil supports Windows, but takes 30 ms to import.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def quota() -> float | None:
    """Return ``processor_quota()`` at the first call; every large kernel needs it."""
    return processor_quota()
