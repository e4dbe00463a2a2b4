"""The complete state of a layer's cells as plain tensors and numbers, for ``state_dict``."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch

from synfab.cells.array import CellArray
from synfab.cells.earlier import present_cells, present_storage
from synfab.cells.files import (
    COUNTERS,
    TIME,
    apart,
    array_of,
    brief_array_of,
    counters_of,
    dump_cells,
)
from synfab.cells.identity import Identity
from synfab.cells.traps import check_stored
from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.common.locking import copy_contents, lock_of
from synfab.common.types import Array
from synfab.engines.numba.brief import TYPES as BRIEF
from synfab.engines.numba.threads import completed
from synfab.io.limits import one_line_errors
from synfab.programming.tiles import Tiles
from synfab.random.backend import find_library
from synfab.random.streams import MAX_SEED, check_seed

if TYPE_CHECKING:
    from synfab.torch.options import LayerOptions

FORMAT, VERSION = "synfab-layer", 3
DIGESTED = (2, VERSION)  # versions whose states have a digest
logger = logging.getLogger(__name__)

State: TypeAlias = Mapping[str, Any]  # from a file: of any content until it is checked

SAME = ("fingerprint", "shape", "tile", "order", "engine", "history")


def describe(tiles: Tiles) -> dict[str, Any]:
    """Return the properties that must agree with those of a state, and the identity of the chip."""
    cells = tiles.cells[0]
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": tiles.model.name,
        "fingerprint": tiles.model.fingerprint,
        "shape": list(tiles.shape),
        "tile": list(tiles.size),
        "order": cells.order,
        "engine": cells.engine,
        "history": cells.history,
        "seed": cells.seed,
        "first_cell": tiles.first_cell,
    }


def dump(tiles: Tiles, *, brief: bool = True) -> dict[str, Any]:
    """Return the complete state of the cells; tensors and numbers only, for ``weights_only``.

    With ``brief``, what follows from the seed is left out, where the engine can compute it again.
    """
    state = describe(tiles)
    for k, cells in enumerate(tiles.cells):
        with lock_of(cells):
            arrays = cells.engine_instance.brief() if brief else None
            if arrays is None:
                arrays = dump_cells(cells)["storage"]
            state[f"tile {k}"] = {
                **{name: getattr(cells, name) for name in COUNTERS},
                **({} if cells.traps is None else {TIME: cells.traps.step_number}),
                **{name: _tensor(array) for name, array in arrays.items()},
            }
    return state


def with_digest(state: State) -> dict[str, Any]:
    """Return a state with a digest of its content; ``torch.load`` verifies no checksum of files."""
    return {**state, "digest": _digest(state)}


def _digest(state: State) -> str:
    found = hashlib.sha256()
    for name in sorted(set(state) - {"digest"}):
        value = state[name]
        if isinstance(value, dict):
            text = _digest(value)
        elif isinstance(value, torch.Tensor):
            found.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
            text = str(tuple(value.shape))
        else:
            text = repr(value)
        found.update(f"{name}: {text}\n".encode())
    return found.hexdigest()


def _check_digest(state: State) -> None:
    version = state.get("version")
    if _same(version, 1):
        logger.warning("state_dict: written by an earlier version, without a digest of the cells")
    elif not any(_same(version, known) for known in DIGESTED):
        found = checks.shown(version)
        raise FileFormatError(f"state_dict: version {found}, this synfab reads up to {VERSION}")
    else:
        with one_line_errors("state_dict: not the state of cells"):
            if _digest(state) != state.get("digest"):
                raise FileFormatError(
                    "state_dict: damaged: the digest of the cells does not match their state"
                )


def check(tiles: Tiles, state: object) -> State:
    """Return the state if ``restore`` can restore it.

    Raises
    ------
    FileFormatError
        It is not the state of a layer, or was changed after it was written.
    InvalidValueError
        It belongs to a layer of another shape, model, order or engine.
    """
    if not isinstance(state, dict) or not _same(state.get("format"), FORMAT):
        raise FileFormatError(f'state_dict: expected the state of cells, format "{FORMAT}"')
    _check_digest(state)
    mine = describe(tiles)
    given, state = state, present_cells(state)
    for name in SAME:
        if not _same(state.get(name), mine[name]):
            what = "model" if name == "fingerprint" else name
            raise InvalidValueError(
                f"state_dict: {what}: this layer has {mine[what]}, "
                f"the state {_text(state.get(what)) or 'none'}"
                + (" of other numbers" if name == "fingerprint" else "")
            )
    check_seed(state.get("seed"))
    cells_there = sum(cells.size for cells in tiles.cells)
    checks.integer("state_dict: first_cell", state.get("first_cell"), 0, MAX_SEED - cells_there)
    for k, cells in enumerate(tiles.cells):
        part = state.get(f"tile {k}")
        if not isinstance(part, dict):
            raise FileFormatError(f"state_dict: tile {k}: missing")
        for name in counters_of(cells):
            checks.word(f"state_dict: tile {k}: {name}", part.get(name))
        if is_brief(part):
            with _of_tile(k):
                cells.engine_instance.check_brief(_brief(part, cells.size))
            continue
        wanted = dump_cells(cells)["storage"]
        if state["history"] != given["history"]:
            part = state[f"tile {k}"] = _present_tile(k, part, wanted["history"])
        for name, array in wanted.items():
            if not _fits(part.get(name), array):
                raise FileFormatError(f"state_dict: tile {k}: {name} is missing or misshapen")
        with _of_tile(k):
            held, traps = apart(_storage(cells, part))
            cells.engine_instance.check(held)
            if traps:
                check_stored(tiles.model, traps, cells.size)
    return state


def mapped(options: LayerOptions) -> dict[str, Any]:
    """Return how weights are mapped to cells, which must agree with that of a state."""
    slices = f"{options.slices} x {options.bits} bits" if options.slices > 1 else "1"
    window = [float(g) for g in options.g_window]
    return {"mapping": options.mapping, "slices": slices, "g_window": window}


def check_mapped(options: LayerOptions, state: State) -> None:
    """Raise if a state has another mapping of weights; states of earlier versions have none."""
    for name, wanted in mapped(options).items():
        if name in state and not _agrees(state[name], wanted):
            raise InvalidValueError(
                f"state_dict: {name}: this layer has {wanted}, the state {_text(state[name])}"
            )


def _agrees(found: object, wanted: object) -> bool:
    """Tell whether values are the same; numbers but for rounding."""
    if isinstance(wanted, float):
        return isinstance(found, float) and math.isclose(found, wanted, rel_tol=1e-6)
    if isinstance(wanted, list):
        known = isinstance(found, list) and len(found) == len(wanted)
        return known and all(map(_agrees, cast(list[object], found), wanted))
    return _same(found, wanted)


@contextmanager
def _of_tile(k: int) -> Iterator[None]:
    """Put the number of a tile in front of messages."""
    try:
        yield
    except FileFormatError as error:
        raise FileFormatError(f"state_dict: tile {k}: {error}") from None


def is_brief(part: State) -> bool:
    """Tell whether the state of a tile holds cells in brief (``engines.numba.brief``)."""
    return isinstance(part.get("r"), torch.Tensor) and not {*part} - {*BRIEF, *COUNTERS}


def _brief(part: State, size: int) -> dict[str, Array]:
    """Return the arrays of ``size`` cells in brief.

    Raises
    ------
    FileFormatError
        One of them is no plain tensor of 32-bit numbers.
    """
    found = {}
    for name in (key for key in BRIEF if part.get(key) is not None):
        if not _fits(part[name], np.empty(size, BRIEF[name])):
            raise FileFormatError(f"{name} is missing or misshapen")
        found[name] = _array(part[name], np.dtype(BRIEF[name]))
    return found


def compensation(state: State) -> tuple[float | None, float]:
    """Return the response after programming and the scale that compensates drift.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        They are not numbers that a layer can have.
    """
    if state.get("response") is None:
        return None, 1.0
    names = ("response", "output_scale")
    response, scale = (checks.number(f"state_dict: {n}", state.get(n)) for n in names)
    if response < 0.0 or scale <= 0.0:
        raise InvalidValueError("state_dict: output_scale: expected a number above 0")
    return response, scale


def _present_tile(k: int, part: State, wanted: Array) -> dict[str, Any]:
    """Return the state of a tile with int16 history as one with float32 history."""
    if not _fits(part.get("history"), wanted.astype(np.int16)):
        raise FileFormatError(f"state_dict: tile {k}: history is missing or misshapen")
    stored = present_storage({"history": _array(part["history"], np.dtype(np.int16))})
    return {**part, "history": _tensor(stored["history"])}


def _same(found: object, wanted: object) -> bool:
    """Tell whether a value from a file has the type of the wanted one and equals it."""
    if type(found) is not type(wanted):
        return False
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    return bool(found == wanted)


def _text(value: object) -> str:
    """Return text, numbers and lists of numbers as a message shows them."""
    if isinstance(value, list) and all(isinstance(part, (int, float)) for part in value):
        return str(value)
    return value if isinstance(value, str) and value.strip() else checks.shown(value)


def _fits(found: object, wanted: Array) -> bool:
    """Tell whether a value is a plain tensor with the shape and the word size of an array.

    Cycle numbers have 64 bits in a state of version 0.1 with engine "torch", 32 in others.
    """
    numbers = wanted.dtype == np.uint32
    return (
        isinstance(found, torch.Tensor)
        and found.layout == torch.strided
        and found.device.type != "meta"
        and not found.is_quantized
        and not found.is_complex()
        and tuple(found.shape) == tuple(wanted.shape)
        and (
            found.element_size() == wanted.dtype.itemsize
            or (numbers and found.dtype == torch.int64)
        )
        and found.is_floating_point() == (wanted.dtype.kind == "f")
    )


def restore(tiles: Tiles, state: State) -> None:
    """Restore a checked state, including the seed and the numbers of the cells."""
    begin = state["first_cell"]
    made: list[CellArray] = []
    for k, old in enumerate(tiles.cells):
        part = state[f"tile {k}"]
        library = find_library(old.arrays, old.device)
        identity = Identity.of(
            old.model, old.shape, state["seed"], old.order, old.engine, old.history, begin,
            library.place,
        )  # fmt: skip
        counters = {name: int(part[name]) for name in counters_of(old)}
        if is_brief(part):
            cells = brief_array_of(CellArray, identity, library, _brief(part, old.size), counters)
        else:
            cells = array_of(CellArray, identity, library, _storage(old, part), counters)
        begin += cells.size
        made.append(cells)
    # The arrays stay the same objects, to which crossbars and optimizers refer.
    completed(lambda: _replace(tiles, made, state["first_cell"], begin))


def _replace(tiles: Tiles, made: list[CellArray], first_cell: int, end_cell: int) -> None:
    for old, cells in zip(tiles.cells, made, strict=True):
        copy_contents(cells, old)
    tiles.first_cell, tiles.end_cell = first_cell, end_cell


def _storage(cells: CellArray, part: State) -> dict[str, Array]:
    """Return the arrays of a state with the data types that the engine of ``cells`` stores."""
    mine = dump_cells(cells)["storage"]
    return {name: _array(part[name], array.dtype) for name, array in mine.items()}


def _tensor(array: Array) -> torch.Tensor:
    """Return a copy as a tensor; unsigned words become signed ones of the same bits."""
    plain = np.array(array)
    if plain.dtype.kind == "u":
        plain = plain.view(f"i{plain.dtype.itemsize}")
    return torch.from_numpy(plain)


def _array(tensor: torch.Tensor, dtype: np.dtype[Any]) -> Array:
    numbers = np.array(tensor.detach().cpu().numpy())
    if numbers.dtype.itemsize == dtype.itemsize:
        return numbers.view(dtype)
    limits = np.iinfo(dtype)
    if ((numbers < limits.min) | (numbers > limits.max)).any():
        raise FileFormatError(f"expected numbers from {limits.min} to {limits.max}")
    return numbers.astype(dtype)
