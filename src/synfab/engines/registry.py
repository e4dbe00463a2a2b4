"""Which engines there are: name, history, the class that computes, the array library.

An engine of your own is a subclass of ``Engine`` and one line:

    register("mine", "my_module:MyEngine")

after which ``CellArray(..., engine="mine")`` has all methods.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.processors import requested_threads
from synfab.engines.base import Engine
from synfab.engines.capacity import check_capacity
from synfab.model.cell_model import CellModel
from synfab.random.backend import NUMPY, Library

EngineName = Literal["auto", "numba", "array", "torch", "jax"] | str  # registered ones
HistoryName = Literal["float32", "int16", "compact"] | str
AUTO = "numba"  # what "auto" means


class Entry(NamedTuple):
    """What is registered for one name and history."""

    location: str | type[Engine]  # "module:class" is imported when it is first used
    library: str  # of the arrays that users pass and get


_entries: dict[str, dict[str, Entry]] = {}


def register(
    name: str,
    location: str | type[Engine],
    *,
    histories: Iterable[HistoryName] = ("float32",),
    library: str = "numpy",
) -> None:
    """Give an engine a name, for some ways to store the history; the last registration counts.

    Parameters
    ----------
    location
        The class, or ``"module:class"``.
    library
        "numpy", "torch" or "jax": of the arrays that ``CellArray`` takes and returns.
    """
    if name == "auto":
        raise InvalidValueError('name: "auto" stands for an engine, expected another name')
    entries = _entries.setdefault(checks.text("name", name), {})
    entries.update(dict.fromkeys(histories, Entry(location, library)))


def histories(engine: str) -> tuple[str, ...]:
    """Return the names of the histories that an engine offers."""
    return tuple(_entries[engine])


def engines() -> tuple[str, ...]:
    """Return the names of all registered engines."""
    return tuple(_entries)


def check_engine(engine: str, history: str) -> str:
    """Return the engine's name, "auto" resolved, if it is registered with such a history."""
    requested_threads()  # refused now, whether this engine uses threads or not
    checks.choice("engine", engine, ("auto", *_entries))
    name = AUTO if engine == "auto" else engine
    checks.choice("history", history, dict.fromkeys(h for e in _entries.values() for h in e))
    if history not in _entries[name]:
        able = " or ".join(f'"{other}"' for other in _entries if history in _entries[other])
        raise InvalidValueError(f'history: "{history}" needs engine {able}')
    return name


def library_name(engine: str) -> str:
    """Return the name of the array library that is used with an engine."""
    return next(iter(_entries[engine].values())).library


def make_engine(
    engine: str,
    history: str,
    library: Library,
    model: CellModel,
    size: int,
    seed: int,
    first_cell: int,
    order: int,
) -> Engine:
    """Make the engine of a checked name for ``size`` cells, none of which is fabricated yet.

    ``library``: that of the user, which is the engine's as well if it computes on any.

    Raises
    ------
    CapacityError
        The cells would not fit into memory.
    """
    kind = engine_class(engine, history)
    own = library if kind.ANY_LIBRARY else NUMPY
    if own.place.startswith("cpu"):
        check_capacity(size, order, history)
    made = kind(model, size, seed, first_cell, order, history, own)
    made.name = engine
    return made


def engine_class(engine: str, history: str) -> type[Engine]:
    """Return the class of an engine, which is imported only now."""
    location = _entries[engine][history].location
    if isinstance(location, str):
        module, _, name = location.partition(":")
        location = getattr(importlib.import_module(module), name)
    if not (isinstance(location, type) and issubclass(location, Engine)):
        raise InvalidTypeError(f'engine: "{engine}" is registered with no subclass of Engine')
    return location


REFERENCE = "synfab.engines.reference:ReferenceEngine"
register("numba", "synfab.engines.numba.engine:NumbaEngine", histories=("float32", "int16"))
register("numba", "synfab.engines.compact.engine:CompactEngine", histories=("compact",))
register("array", REFERENCE)
register("torch", REFERENCE, library="torch")
register("jax", REFERENCE, library="jax")
