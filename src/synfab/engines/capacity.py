"""How much memory cells take, before they are allocated."""

from __future__ import annotations

from synfab.common.errors import CapacityError
from synfab.io.memory import available_memory, size_text
from synfab.model.reduction import STATES

HISTORY_BYTES = {"float32": 4, "int16": 2}
# In addition to its history a cell has 8 device parameters and 6 words of state.
OTHER_BYTES = 4 * (8 + 6)
# Of a compact cell: state, threshold, status, and a byte for each variable of its history.
COMPACT_STATE_BYTES = 2 + 2 + 4
# Working memory of a read: currents, noise and temporary values, per cell.
READ_BYTES = 16
# Asking what is available takes milliseconds; arrays below this size are made without asking.
ALWAYS_FITS = 2**24
# What compiling and loading the kernels takes once: 120 MiB measured.
KERNEL_BYTES = 2**27


def bytes_per_cell(order: int, history: str) -> int:
    """Return the memory of one cell in bytes; a history of another engine counts as float32."""
    if history == "compact":
        return COMPACT_STATE_BYTES + min(STATES, 4 * order)
    return 4 * order * HISTORY_BYTES.get(history, 4) + OTHER_BYTES


def check_capacity(n_cells: int, order: int, history: str) -> None:
    """Raise ``CapacityError`` if the cells, and reading them, exceed the memory available."""
    needed = n_cells * (bytes_per_cell(order, history) + READ_BYTES)
    if needed <= ALWAYS_FITS:
        return
    needed, available = needed + KERNEL_BYTES, available_memory()
    if available and needed > available:
        raise CapacityError(
            f"shape: {n_cells} cells need {size_text(needed)}, {size_text(available)} are "
            f'available; use fewer cells, history="int16" or history="compact"'
        )
