"""Arrays of cells: pulses, reads, copies and files."""

from typing import TYPE_CHECKING

from synfab.common.lazy import attach

if TYPE_CHECKING:
    from synfab.cells.array import CellArray
    from synfab.cells.view import CellView

__all__ = ["CellArray", "CellView"]

__getattr__, __dir__ = attach(
    __name__, {"CellArray": "synfab.cells.array", "CellView": "synfab.cells.view"}
)
