"""Will it fit? An estimate of memory before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from synfab.errors import CapacityError
from synfab.reduction import STATES

HISTORY_BYTES = {"float32": 4, "int16": 2}
# Beside its history a cell has 8 device parameters and 6 words of state.
OTHER_BYTES = 4 * (8 + 6)
# Of a compact cell: state, threshold, status, and a byte for each variable of its history.
COMPACT_STATE_BYTES = 2 + 2 + 4


def bytes_per_cell(order: int, history: str) -> int:
    """Memory of one cell in bytes."""
    if history == "compact":
        return COMPACT_STATE_BYTES + min(STATES, 4 * order)
    return 4 * order * HISTORY_BYTES[history] + OTHER_BYTES


def available_memory() -> int:
    """Memory that can be had now, in bytes; 0 where the system does not tell."""
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


def require_memory(needed: int, what: str) -> None:
    """Raise ``CapacityError`` if ``needed`` bytes are more than can be had."""
    available = available_memory()
    if available and needed > available:
        raise CapacityError(
            f"{what}: needs {needed / 2**30:.1f} GiB, available are {available / 2**30:.1f} GiB"
        )


def check_capacity(n_cells: int, order: int, history: str) -> None:
    """Raise ``CapacityError`` if so many cells would not fit into the memory available."""
    needed, available = n_cells * bytes_per_cell(order, history), available_memory()
    if available and needed > available:
        raise CapacityError(
            f"shape: {n_cells} cells need {needed / 2**30:.1f} GiB, available are "
            f'{available / 2**30:.1f} GiB; fewer cells, history="int16" or "compact" need less'
        )
