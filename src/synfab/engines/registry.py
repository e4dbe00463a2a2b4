"""Registry of the engines: name, history formats, class and array library.

To add an engine, subclass ``Engine`` and register the class:

    register("mine", "my_module:MyEngine")

``CellArray(..., engine="mine")`` then supports all methods.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.processors import requested_threads
from synfab.engines.base import Engine

EngineName = Literal["auto", "numba", "array", "torch", "jax"] | str  # any registered name
HistoryName = Literal["float32", "int16", "compact"] | str
AUTO = "numba"  # what "auto" means


class Entry(NamedTuple):
    """Registered engine of one name and history format."""

    location: str | type[Engine]  # "module:class" is imported on first use
    library: str  # array library of arguments and results


_entries: dict[str, dict[str, Entry]] = {}


def register(
    name: str,
    location: str | type[Engine],
    *,
    histories: Iterable[HistoryName] = ("float32",),
    library: str = "numpy",
) -> None:
    """Register an engine under a name and history formats; replaces earlier registrations.

    Parameters
    ----------
    location
        Engine class, or ``"module:class"``, which is imported on first use.
    library
        Library of the arrays that ``CellArray`` accepts and returns: "numpy", "torch" or "jax".
    """
    if name == "auto":
        raise InvalidValueError('name: "auto" stands for an engine, expected another name')
    entries = _entries.setdefault(checks.text("name", name), {})
    entries.update(dict.fromkeys(histories, Entry(location, library)))


def histories(engine: str) -> tuple[str, ...]:
    """Return the history formats that an engine supports."""
    return tuple(_entries[engine])


def engines() -> tuple[str, ...]:
    """Return the names of all registered engines."""
    return tuple(_entries)


def check_engine(engine: str, history: str) -> str:
    """Return the engine's name, with "auto" resolved; raise if it lacks this history format."""
    requested_threads()  # invalid values raise even if this engine uses no threads
    checks.choice("engine", engine, ("auto", *_entries))
    name = AUTO if engine == "auto" else engine
    checks.choice("history", history, dict.fromkeys(h for e in _entries.values() for h in e))
    if history not in _entries[name]:
        able = " or ".join(f'"{other}"' for other in _entries if history in _entries[other])
        raise InvalidValueError(f'history: "{history}" needs engine {able}')
    return name


def library_name(engine: str) -> str:
    """Return the name of the array library that an engine is used with."""
    return next(iter(_entries[engine].values())).library


def engine_class(engine: str, history: str) -> type[Engine]:
    """Return the class of an engine, importing it if necessary."""
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
