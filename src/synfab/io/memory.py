"""Estimates of the memory needed, compared with the memory available before allocation."""

from __future__ import annotations

from synfab.common import cgroups
from synfab.common.errors import CapacityError
from synfab.common.interrupts import pass_on

# Small requests, such as those of a file of many arrays, are added up to this sum before asking.
SMALL, TOGETHER = 2**16, 2**20


def available_memory() -> int:
    """Return the bytes that this process can still allocate; 0 if unknown.

    The minimum of the available memory of the machine, of the limits of the process (``ulimit -v``,
    ``ulimit -d``) and of its Linux control groups (containers, batch jobs).
    """
    candidates = [_free_memory(), *_limited_memory(), cgroups.available_memory()]
    known = [count for count in candidates if count is not None]
    return max(1, min(known)) if known else 0


def _free_memory() -> int | None:
    import psutil  # takes 30 ms to import

    try:
        return int(psutil.virtual_memory().available)
    except (OSError, ValueError, RuntimeError, psutil.Error) as error:  # no /proc, or a sandbox
        pass_on(error)
        return None


def _limited_memory() -> list[int]:
    """Return the bytes left below each memory limit of this process."""
    import psutil

    if not hasattr(psutil.Process, "rlimit"):  # Windows, macOS
        return []
    try:
        process = psutil.Process()
        used = process.memory_info()
        limits = ((psutil.RLIMIT_AS, used.vms), (psutil.RLIMIT_DATA, getattr(used, "data", 0)))
        soft = [(process.rlimit(kind)[0], bytes_used) for kind, bytes_used in limits]
    except (OSError, ValueError, psutil.Error) as error:
        pass_on(error)
        return []
    return [limit - bytes_used for limit, bytes_used in soft if limit != psutil.RLIM_INFINITY]


def size_text(count: int) -> str:
    """Return a size as text, such as "1.5 GiB"; a file can state more than a float can hold."""
    for name, unit in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << unit:
            return f"{count / (1 << unit):.1f} {name}" if count < 1 << 60 else "over 2**60 bytes"
    return f"{count} bytes"


def require_memory(needed: int, what: str) -> None:
    """Raise ``CapacityError`` if ``needed`` bytes exceed the available memory."""
    if _small_so_far(needed):
        return
    available = available_memory()
    if available and needed > available:
        raise CapacityError(
            f"{what}: needs {size_text(needed)}, {size_text(available)} are available"
        )


_requested = [0]  # bytes of small requests since the last question


def _small_so_far(needed: int) -> bool:
    """Tell whether a request and the small ones before it are too little to ask for."""
    if needed > SMALL:
        return False
    _requested[0] += needed
    if _requested[0] < TOGETHER:
        return True
    _requested[0] = 0
    return False
