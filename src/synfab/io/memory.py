"""Will it fit? An estimate of memory before anything is allocated."""

from __future__ import annotations

from synfab.common import cgroups
from synfab.common.errors import CapacityError
from synfab.common.interrupts import pass_on
from synfab.model.reduction import STATES

HISTORY_BYTES = {"float32": 4, "int16": 2}
# Beside its history a cell has 8 device parameters and 6 words of state.
OTHER_BYTES = 4 * (8 + 6)
# Of a compact cell: state, threshold, status, and a byte for each variable of its history.
COMPACT_STATE_BYTES = 2 + 2 + 4
# Working memory of a read: currents, noise and temporary values, per cell.
READ_BYTES = 16
# Asking what is available takes milliseconds; arrays below this size are made without asking.
ALWAYS_FITS = 2**24
# Small requests, such as those of a file of many arrays, are added up to so much before asking.
SMALL, TOGETHER = 2**16, 2**20
# What compiling and loading the kernels takes once: 120 MiB measured.
KERNEL_BYTES = 2**27


def bytes_per_cell(order: int, history: str) -> int:
    """Memory of one cell in bytes."""
    if history == "compact":
        return COMPACT_STATE_BYTES + min(STATES, 4 * order)
    return 4 * order * HISTORY_BYTES[history] + OTHER_BYTES


def available_memory() -> int:
    """Bytes that this process can still allocate; 0 where the system does not say.

    The smallest of what the machine has available, what the limits of this process (``ulimit -v``,
    ``ulimit -d``) leave, and what its Linux control groups leave (containers, batch jobs).
    """
    rooms = [_free_memory(), *_limited_memory(), cgroups.memory_room()]
    known = [room for room in rooms if room is not None]
    return max(1, min(known)) if known else 0


def _free_memory() -> int | None:
    import psutil  # 30 ms, which `import synfab` need not take

    try:
        return int(psutil.virtual_memory().available)
    except (OSError, ValueError, RuntimeError, psutil.Error) as error:  # no /proc, or a sandbox
        pass_on(error)
        return None


def _limited_memory() -> list[int]:
    """Bytes up to the limits on the memory of this process; empty where there are none."""
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
    """Bytes in words, such as "1.5 GiB"; a file may claim more than a float can say."""
    for name, unit in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << unit:
            return f"{count / (1 << unit):.1f} {name}" if count < 1 << 60 else "over 2**60 bytes"
    return f"{count} bytes"


def require_memory(needed: int, what: str) -> None:
    """Raise ``CapacityError`` if ``needed`` bytes are more than can be had."""
    if _small_so_far(needed):
        return
    available = available_memory()
    if available and needed > available:
        raise CapacityError(
            f"{what}: needs {size_text(needed)}, available are {size_text(available)}"
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


def check_capacity(n_cells: int, order: int, history: str) -> None:
    """Raise ``CapacityError`` if so many cells, and reading them, exceed the memory available."""
    needed = n_cells * (bytes_per_cell(order, history) + READ_BYTES)
    if needed <= ALWAYS_FITS:
        return
    needed, available = needed + KERNEL_BYTES, available_memory()
    if available and needed > available:
        raise CapacityError(
            f"shape: {n_cells} cells need {size_text(needed)}, available are "
            f'{size_text(available)}; fewer cells, history="int16" or "compact" need less'
        )
