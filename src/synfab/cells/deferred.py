"""Arrays whose cells are fabricated when something other than their states is needed."""

from __future__ import annotations

from typing import Any

from synfab.cells.array import CellArray
from synfab.cells.identity import Identity
from synfab.common.types import ArraysName
from synfab.model.cell_model import CellModel
from synfab.random.backend import find_library


def deferred_cells(
    model: CellModel,
    shape: tuple[int, ...],
    *,
    seed: int,
    first_cell: int,
    order: int | None,
    engine: str,
    history: str,
    arrays: ArraysName,
    device: Any,
) -> CellArray[Any]:
    """Return an array with the arguments of ``CellArray`` whose cells are not fabricated yet.

    They are the same cells: ideal programming of all of them stores their states, reads use these,
    and everything else (a pulse, features, files) fabricates them first.

    Raises
    ------
    InvalidValueError, InvalidTypeError, CapacityError
        As ``CellArray``.
    """
    library = find_library(arrays, device)
    identity = Identity.of(
        model, shape, seed, order, engine, history, first_cell, library.place
    )  # fmt: skip
    made = identity.make_engine(library, deferred=True)
    made.fabricate_later()
    cells: CellArray[Any] = CellArray(
        model, shape, seed=seed, order=order, engine=made, first_cell=first_cell, arrays=arrays,
        device=device,
    )  # fmt: skip
    cells.cycle_bound = 0  # fresh cells, not those of an engine in use
    return cells
