"""Estimates of the memory needed, compared with the memory available before allocation."""

from __future__ import annotations

from synfab.common import cgroups
from synfab.common.errors import CapacityError
from synfab.common.interrupts import pass_on
from synfab.model.reduction import STATES

HISTORY_BYTES = {"float32": 4, "int16": 2}
# Besides its history a cell has 8 device parameters and 6 words of state.
OTHER_BYTES = 4 * (8 + 6)
# State, threshold and status of a compact cell; each variable of its history adds one byte.
COMPACT_STATE_BYTES = 2 + 2 + 4
# Working memory of a read: currents, noise and temporary values, per cell.
READ_BYTES = 16
# Querying the available memory takes milliseconds; smaller arrays are allocated without it.
ALWAYS_FITS = 2**24
# Compiling and loading the kernels takes 120 MiB (measured).
KERNEL_BYTES = 2**27


def bytes_per_cell(order: int, history: str) -> int:
    """Return the memory of one cell in bytes."""
    if history == "compact":
        return COMPACT_STATE_BYTES + min(STATES, 4 * order)
    return 4 * order * HISTORY_BYTES[history] + OTHER_BYTES


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
    available = available_memory()
    if available and needed > available:
        raise CapacityError(
            f"{what}: needs {size_text(needed)}, {size_text(available)} are available"
        )


def check_capacity(n_cells: int, order: int, history: str) -> None:
    """Raise ``CapacityError`` if cells, including a read of them, exceed the available memory."""
    needed = n_cells * (bytes_per_cell(order, history) + READ_BYTES)
    if needed <= ALWAYS_FITS:
        return
    needed, available = needed + KERNEL_BYTES, available_memory()
    if available and needed > available:
        raise CapacityError(
            f"shape: {n_cells} cells need {size_text(needed)}, {size_text(available)} are "
            f'available; use fewer cells, history="int16" or history="compact"'
        )
