"""Array files: a validated archive with the complete state of an array."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synfab.cells.earlier import present_cells, present_storage
from synfab.cells.identity import Identity
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.common.locking import lock_of
from synfab.common.types import ArraysName
from synfab.engines.capacity import bytes_per_cell
from synfab.engines.registry import EARLIER_NAMES, engine_class
from synfab.io.archive import open_checked, write_archive
from synfab.io.limits import require_size
from synfab.model.model_file import document, parse
from synfab.physics import rules
from synfab.random.arrays import to_numpy
from synfab.random.backend import Library, find_library

if TYPE_CHECKING:
    from synfab.cells.array import CellArray

FORMAT, VERSION = "synfab-cells", 1
FIELDS = ("shape", "seed", "order", "engine", "history", "first_cell")
SMALLEST_CELL = bytes_per_cell(1, "compact")
COUNTERS = ("read_number", "readout_number")


def save_array(cells: CellArray, path: str | os.PathLike[str]) -> None:
    """Write ``cells`` to ``path``, atomically."""
    target = checks.path("path", path)
    with lock_of(cells):
        state = dump_cells(cells)
        stored = state.pop("storage")
        manifest = {"format": FORMAT, "version": VERSION, **state, "model": document(cells.model)}
        if cells.arrays != "numpy":
            manifest["arrays"] = cells.arrays
        write_archive(target, manifest, stored)


def load_array(
    kind: type[CellArray],
    path: str | os.PathLike[str],
    arrays: ArraysName | None = None,
    device: object = None,
) -> CellArray:
    """Return the array stored at ``path``; raise ``FileFormatError`` if the file is invalid."""
    library = None if arrays is None else find_library(arrays, device)
    with open_checked(checks.path("path", path), "an array file") as archive:
        archive.check(FORMAT, VERSION)
        manifest = archive.manifest
        model = parse(json.dumps(manifest["model"]).encode(), "model")
        shape = checks.axes("shape", manifest["shape"])
        # Cells are stored as in memory, so the size of the file limits their number.
        require_size(math.prod(shape) * SMALLEST_CELL, archive.size, f"shape: {shape} cells")
        saved = manifest.get("arrays", "numpy")
        if manifest["engine"] in EARLIER_NAMES:  # named after its library in version 0.1
            saved = manifest["engine"]
        library = library or find_library(saved, device)
        present = present_cells(manifest)
        fields = {key: present[key] for key in FIELDS[1:]}
        identity = Identity.of(model, shape, **fields, place=library.place)
        counters = {key: checks.word(key, manifest[key]) for key in COUNTERS}
        names = engine_class(identity.engine, identity.history).STORED
        unknown = set(archive.names) - set(names)
        if unknown:
            raise FileFormatError(f"{min(unknown)}: not a part of an array")
        stored = {key: archive.array(key) for key in names}
        if identity.history != manifest["history"]:
            stored = present_storage(stored)
        return array_of(kind, identity, library, stored, counters)


def array_of(
    kind: type[CellArray],
    identity: Identity,
    library: Library,
    stored: Mapping[str, Any],
    counters: Mapping[str, int],
) -> CellArray:
    """Return the array with the state ``stored``; raise ``FileFormatError`` if invalid."""
    engine = identity.make_engine(library)
    engine.check(stored)
    engine.restore(stored)
    cells = kind(
        identity.model, identity.shape, seed=identity.seed, order=identity.order, engine=engine,
        first_cell=identity.first_cell, arrays=library.name, device=library.device,
    )  # fmt: skip
    vars(cells).update(counters)
    return cells


def dump_cells(cells: CellArray) -> dict[str, Any]:
    """Return the complete state of an array as numbers and NumPy arrays, without copying."""
    with lock_of(cells):
        identity: dict[str, Any] = {name: getattr(cells, name) for name in FIELDS + COUNTERS}
        identity["shape"], identity["model"] = list(cells.shape), cells.model.fingerprint
        stored = cells.engine_instance.storage()
        return {**identity, "storage": {name: to_numpy(array) for name, array in stored.items()}}


def restore_cells(cells: CellArray, state: dict[str, Any]) -> None:
    """Restore the cells of an array to a state that ``dump_cells`` returned.

    Raises
    ------
    InvalidValueError
        The state belongs to different cells.
    FileFormatError
        The state is malformed.
    """
    mine = dump_cells(cells)
    present = present_cells(state)
    for name in ("model", *FIELDS):
        if present.get(name) != mine[name]:
            raise InvalidValueError(
                f"cells: {name}: the checkpoint has {present.get(name)}, the array {mine[name]}"
            )
    stored = state.get("storage")
    if not isinstance(stored, dict) or stored.keys() != mine["storage"].keys():
        wanted = ", ".join(mine["storage"])
        raise FileFormatError(f"cells: storage: expected the arrays {wanted}")
    if present["history"] != state["history"]:
        stored = present_storage(stored)
    counters = {name: checks.word(name, state.get(name)) for name in COUNTERS}
    cells.engine_instance.check(stored)
    with lock_of(cells):
        cells.engine_instance.restore(stored)
        # An upper bound; the next pulse determines the actual value.
        vars(cells).update(counters, cycle_bound=rules.MAX_CYCLE)
