"""Array files: a validated archive with the complete state of an array."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synfab.cells.earlier import present_cells, present_storage
from synfab.cells.identity import Identity
from synfab.cells.traps import STORED as OF_TRAPS
from synfab.cells.traps import check_stored
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.common.locking import lock_of
from synfab.common.types import ArraysName
from synfab.engines.base import Engine
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
TIME = "time_step"  # a further counter of cells with traps


def save_array(cells: CellArray[Any], path: str | os.PathLike[str]) -> None:
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
    kind: type[CellArray[Any]],
    path: str | os.PathLike[str],
    arrays: ArraysName | None = None,
    device: object = None,
) -> CellArray[Any]:
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
        if model.traps is not None:
            names = (*names, *OF_TRAPS)
            counters[TIME] = checks.word(TIME, manifest[TIME])
        unknown = set(archive.names) - set(names)
        if unknown:
            raise FileFormatError(f"{min(unknown)}: not a part of an array")
        stored = {key: archive.array(key) for key in names}
        if identity.history != manifest["history"]:
            stored = present_storage(stored)
        return array_of(kind, identity, library, stored, counters)


def array_of(
    kind: type[CellArray[Any]],
    identity: Identity,
    library: Library,
    stored: Mapping[str, Any],
    counters: Mapping[str, int],
) -> CellArray[Any]:
    """Return the array with the state ``stored``; raise ``FileFormatError`` if invalid."""
    engine = identity.make_engine(library)
    held, traps = apart(stored)
    engine.check(held)
    if traps:
        check_stored(identity.model, traps, engine.n_cells)
    engine.restore(held)
    cells = _array_with(kind, identity, library, engine)
    _restore_rest(cells, traps, counters)
    return cells


def brief_array_of(
    kind: type[CellArray[Any]],
    identity: Identity,
    library: Library,
    arrays: Mapping[str, Any],
    counters: Mapping[str, int],
) -> CellArray[Any]:
    """Return the array with cells in brief (``Engine.brief``), which are fabricated when needed."""
    engine = identity.make_engine(library, deferred=True)
    engine.check_brief(arrays)
    engine.restore_brief(arrays)
    cells = _array_with(kind, identity, library, engine)
    _restore_rest(cells, {}, counters)
    return cells


def _array_with(
    kind: type[CellArray[Any]], identity: Identity, library: Library, engine: Engine
) -> CellArray[Any]:
    """Return the array of an engine that holds its cells."""
    return kind(
        identity.model, identity.shape, seed=identity.seed, order=identity.order, engine=engine,
        first_cell=identity.first_cell, arrays=library.name, device=library.device,
    )  # fmt: skip


def dump_cells(cells: CellArray[Any]) -> dict[str, Any]:
    """Return the complete state of an array as numbers and NumPy arrays, without copying."""
    with lock_of(cells):
        identity: dict[str, Any] = {name: getattr(cells, name) for name in FIELDS + COUNTERS}
        identity["shape"], identity["model"] = list(cells.shape), cells.model.fingerprint
        stored = cells.engine_instance.storage()
        if cells.traps is not None:
            identity[TIME] = cells.traps.step_number
            stored = {**stored, **cells.traps.storage(cells.engine_instance)}
        return {**identity, "storage": {name: to_numpy(array) for name, array in stored.items()}}


def restore_cells(cells: CellArray[Any], state: dict[str, Any]) -> None:
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
    counters = {name: checks.word(name, state.get(name)) for name in counters_of(cells)}
    held, traps = apart(stored)
    cells.engine_instance.check(held)
    if traps:
        check_stored(cells.model, traps, cells.size)
    with lock_of(cells):
        cells.engine_instance.restore(held)
        _restore_rest(cells, traps, counters)
        # An upper bound; the next pulse determines the actual value.
        cells.cycle_bound = rules.MAX_CYCLE


def counters_of(cells: CellArray) -> tuple[str, ...]:
    """Return the names of the counters in the state of an array."""
    return COUNTERS if cells.traps is None else (*COUNTERS, TIME)


def apart(stored: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays of the engine and those of the traps."""
    traps = {name: stored[name] for name in OF_TRAPS if name in stored}
    return {name: array for name, array in stored.items() if name not in traps}, traps


def _restore_rest(
    cells: CellArray[Any], traps: Mapping[str, Any], counters: Mapping[str, int]
) -> None:
    """Restore what the array holds itself; the engine is restored."""
    vars(cells).update({name: counters[name] for name in COUNTERS}, version=object())
    if cells.traps is not None:
        cells.traps.restore(cells.engine_instance, traps, counters[TIME])
