"""Will it fit? An estimate of memory before anything is allocated."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from synfab.errors import CapacityError
from synfab.reduction import STATES

HISTORY_BYTES = {"float32": 4, "int16": 2}
# Beside its history a cell has 8 device parameters and 6 words of state.
OTHER_BYTES = 4 * (8 + 6)
# Of a compact cell: state, threshold, status, and a byte for each variable of its history.
COMPACT_STATE_BYTES = 2 + 2 + 4
ALWAYS_FITS = 1 << 20  # bytes; asking the system takes longer than making so few cells


def bytes_per_cell(order: int, history: str) -> int:
    """Memory of one cell in bytes."""
    if history == "compact":
        return COMPACT_STATE_BYTES + min(STATES, 4 * order)
    return 4 * order * HISTORY_BYTES[history] + OTHER_BYTES


def available_memory() -> int:
    """Memory that can be had now, in bytes; 0 where the system does not tell.

    A limit on the address space of this process (``ulimit -v``) counts as well.
    """
    free, room = _free_memory(), _room()
    return min(free, room) if free and room is not None else free or room or 0


def _room() -> int | None:
    """Bytes up to the limit on this process's address space, None where there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return None
    return max(1, limit - used * os.sysconf("SC_PAGE_SIZE"))


def _free_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def size_text(count: int) -> str:
    """Bytes in words, such as "1.5 GiB"; a file may claim more than a float can say."""
    for name, unit in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << unit:
            return f"{count / (1 << unit):.1f} {name}" if count < 1 << 60 else "over 2**60 bytes"
    return f"{count} bytes"


def require_memory(needed: int, what: str) -> None:
    """Raise ``CapacityError`` if ``needed`` bytes are more than can be had."""
    available = available_memory()
    if available and needed > available:
        raise CapacityError(
            f"{what}: needs {size_text(needed)}, available are {size_text(available)}"
        )


def check_capacity(n_cells: int, order: int, history: str) -> None:
    """Raise ``CapacityError`` if so many cells would not fit into the memory available."""
    needed = n_cells * bytes_per_cell(order, history)
    if needed < ALWAYS_FITS:
        return
    available = available_memory()
    if available and needed > available:
        raise CapacityError(
            f"shape: {n_cells} cells need {size_text(needed)}, available are "
            f'{size_text(available)}; fewer cells, history="int16" or "compact" need less'
        )
