"""Memory estimates for cells, checked before allocation."""

from __future__ import annotations

from synfab.common.errors import CapacityError
from synfab.io.memory import available_memory, size_text
from synfab.model.cell_model import CellModel
from synfab.model.reduction import reduced_size

# In addition to its history, a cell stores 8 device parameters and 6 words of state.
OTHER_BYTES = 4 * (8 + 6)
# A compact cell stores state, threshold and status, plus one byte per history variable.
COMPACT_STATE_BYTES = 2 + 2 + 4
STATE_BYTES = 4  # of a cell that is not fabricated yet
TRAP_BYTES = 4 * 5  # the arrays of ``physics.traps.TrapState``
# Working memory of a read per cell: currents, noise and temporary values.
READ_BYTES = 16
# Querying the available memory takes milliseconds, so it is skipped below this size (bytes).
ALWAYS_FITS = 2**24
# One-time memory use of compiling and loading the kernels: 120 MiB measured.
KERNEL_BYTES = 2**27


def bytes_per_cell(order: int, history: str, averages: int = 0, *, traps: bool = False) -> int:
    """Return the memory per cell in bytes; unknown history formats count as float32.

    ``averages`` is ``CellModel.averages``, 0 for the published model; ``traps``: it has traps.
    """
    extra = TRAP_BYTES if traps else 0
    if history == "compact":
        return COMPACT_STATE_BYTES + reduced_size(order, averages) + extra
    return 4 * 4 * (order + averages) + OTHER_BYTES + extra


def check_capacity(
    n_cells: int, order: int, history: str, model: CellModel, *, deferred: bool = False
) -> None:
    """Raise ``CapacityError`` if storing and reading the cells exceeds the available memory.

    Cells whose fabrication is ``deferred`` have a state only.
    """
    traps = model.traps is not None
    each = bytes_per_cell(order, history, model.averages, traps=traps)
    needed = n_cells * ((STATE_BYTES if deferred else each) + READ_BYTES)
    if needed <= ALWAYS_FITS:
        return
    needed, available = needed + KERNEL_BYTES, available_memory()
    if available and needed > available:
        raise CapacityError(
            f"shape: {n_cells} cells need {size_text(needed)}, {size_text(available)} are "
            f'available; use fewer cells or history="compact"'
        )
