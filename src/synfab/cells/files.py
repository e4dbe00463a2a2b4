"""Array files: a checked archive with the whole state of an array."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.io.archive import open_checked, write_archive
from synfab.io.limits import require_size
from synfab.io.memory import bytes_per_cell
from synfab.model.model_file import document, parse
from synfab.random.arrays import to_numpy

FORMAT, VERSION = "synfab-cells", 1
FIELDS = ("shape", "seed", "order", "engine", "history", "first_cell")
SMALLEST_CELL = bytes_per_cell(1, "compact")
COUNTERS = ("read_number", "readout_number")

Array = np.ndarray[Any, Any]


def save_array(cells: CellArray, path: str | os.PathLike[str]) -> None:
    """Write ``cells`` to ``path``, whole or not at all."""
    target = checks.path("path", path)
    with cells._lock:
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            **{name: getattr(cells, name) for name in FIELDS + COUNTERS},
            "model": document(cells.model),
        }
        write_archive(target, manifest, _storage(cells))


def load_array(path: str | os.PathLike[str]) -> CellArray:
    """Read an array; ``FileFormatError`` in one line if the file is not whole or not ours."""
    with open_checked(checks.path("path", path), "an array file") as archive:
        archive.check(FORMAT, VERSION)
        manifest = archive.manifest
        model = parse(json.dumps(manifest["model"]).encode(), "model")
        cells = CellArray.__new__(CellArray)
        arguments = {key: manifest[key] for key in FIELDS}
        shape = checks.axes("shape", arguments.pop("shape"))
        # Cells stand in the file as they do in memory: it cannot be of more cells than bytes.
        require_size(math.prod(shape) * SMALLEST_CELL, archive.size, f"shape: {shape} cells")
        cells._allocate(model, shape, **arguments)
        for key in COUNTERS:
            setattr(cells, key, checks.word(key, manifest[key]))
        unknown = set(archive.names) - set(cells._engine.STORED)
        if unknown:
            raise FileFormatError(f"{min(unknown)}: not a part of an array")
        arrays = {key: archive.array(key) for key in cells._engine.STORED}
        cells._engine.check(arrays)
        cells._restore(arrays)
        return cells


def dump_cells(cells: CellArray) -> dict[str, Any]:
    """Return the whole state of an array as plain numbers and arrays, for a checkpoint."""
    with cells._lock:
        identity: dict[str, Any] = {name: getattr(cells, name) for name in FIELDS + COUNTERS}
        identity["shape"], identity["model"] = list(cells.shape), cells.model.fingerprint
        return {**identity, "storage": _storage(cells)}


def restore_cells(cells: CellArray, state: dict[str, Any]) -> None:
    """Put the cells of an array into the state that ``dump_cells`` gave.

    Raises
    ------
    InvalidValueError
        The state is that of other cells.
    FileFormatError
        It is not a state of cells.
    """
    mine = dump_cells(cells)
    for name in ("model", *FIELDS):
        if state.get(name) != mine[name]:
            raise InvalidValueError(
                f"cells: {name}: the checkpoint has {state.get(name)}, the array {mine[name]}"
            )
    stored = state.get("storage")
    if not isinstance(stored, dict) or stored.keys() != mine["storage"].keys():
        wanted = ", ".join(mine["storage"])
        raise FileFormatError(f"cells: storage: expected the arrays {wanted}")
    counters = {name: checks.word(name, state.get(name)) for name in COUNTERS}
    cells._engine.check(stored)
    with cells._lock:
        cells._restore(stored)
        vars(cells).update(counters)


def _storage(cells: CellArray) -> dict[str, Array]:
    return {name: to_numpy(array) for name, array in cells._engine.storage().items()}
