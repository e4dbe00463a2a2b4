"""Registry of the engines: name, history formats and class.

To add an engine, subclass ``Engine`` and register the class:

    register("mine", "my_module:MyEngine")

``CellArray(..., engine="mine")`` then supports all methods. A package announces the module that
registers its engine with an entry point of the group ``synfab.engines``; synfab imports it when an
engine is requested that it does not know.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any, Literal

from synfab.common import checks, plugins
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.messages import reason_of
from synfab.common.processors import requested_threads
from synfab.engines.base import Engine

EngineName = Literal["auto", "numba", "array", "warp"] | str  # any registered name
HistoryName = Literal["float32", "compact"] | str
# What "auto" means on the CPU, on NVIDIA GPUs with the extra "gpu", and on other devices.
AUTO, AUTO_ON_GPU, AUTO_ELSEWHERE = "numba", "warp", "array"
# Engine names of version 0.1 that stand for the reference engine on arrays of a library.
EARLIER_NAMES = {"torch": "array", "jax": "array"}


# Classes by name and history format; "module:class" is imported on first use.
_entries: dict[str, dict[str, str | type[Engine]]] = {}


def register(
    name: str,
    location: str | type[Engine],
    *,
    histories: Iterable[HistoryName] = ("float32",),
) -> None:
    """Register an engine under a name and history formats; replaces earlier registrations.

    Parameters
    ----------
    location
        Engine class, or ``"module:class"``, which is imported on first use.
    """
    if not isinstance(location, (str, type)):
        raise InvalidTypeError(
            f'location: expected a class or "module:class", found {checks.shown(location)}'
        )
    if checks.text("name", name) in ("", "auto", *EARLIER_NAMES):
        raise InvalidValueError(f'name: "{name}" is reserved, expected another name')
    given: object = histories  # a text would be split into letters
    formats = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not formats or not all(isinstance(history, str) and history for history in formats):
        raise InvalidTypeError(
            f"histories: expected names of history formats, found {checks.shown(histories)}"
        )
    entries = _entries.setdefault(name, {})
    entries.update(dict.fromkeys(formats, location))


def histories(engine: str) -> tuple[str, ...]:
    """Return the history formats that an engine supports."""
    return tuple(_entries[engine])


def engines() -> tuple[str, ...]:
    """Return the names of all engines: of this package, of installed ones, and registered ones."""
    plugins.load(plugins.ENGINES)
    return tuple(_entries)


def present_name(engine: object) -> Any:
    """Return the present name of an engine that a file may name as in version 0.1."""
    return EARLIER_NAMES.get(engine, engine) if isinstance(engine, str) else engine


def check_engine(engine: str, history: str, place: str = "cpu") -> str:
    """Return the name of an engine that supports a history format.

    Parameters
    ----------
    engine
        A registered name, "auto", or a name of version 0.1.
    history
        History format.
    place
        Device that is to store the cells, as ``Library.place``.

    Raises
    ------
    InvalidValueError
        There is no such engine, or it does not support the history format or the device.
    """
    requested_threads()  # invalid values raise even if this engine uses no threads
    name = present_name(engine)
    if not (isinstance(name, str) and name in ("auto", *_entries)):
        name = checks.choice("engine", name, ("auto", *engines()))
    if name == "auto":
        name = _automatic(place, history)
    checks.choice("history", history, dict.fromkeys(h for e in _entries.values() for h in e))
    if history not in _entries[name]:
        able = " or ".join(f'"{other}"' for other in _entries if history in _entries[other])
        raise InvalidValueError(f'history: "{history}" needs engine {able}')
    if not (place.startswith("cpu") or engine_class(name, history).ANY_LIBRARY):
        raise InvalidValueError(
            f'device: engine "{name}" computes on the CPU, found {place}; expected device="cpu" or '
            f'engine="auto"'
        )
    return name


def _automatic(place: str, history: str) -> str:
    """Return the fastest engine for a device."""
    if place.startswith("cpu"):
        return AUTO
    kernels = place.startswith(("cuda", "gpu")) and importlib.util.find_spec("warp") is not None
    if kernels and history in _entries[AUTO_ON_GPU]:
        from synfab.engines.warp.setup import has_gpu  # takes a second to import

        if has_gpu():
            return AUTO_ON_GPU
    return AUTO_ELSEWHERE


def engine_class(engine: str, history: str) -> type[Engine]:
    """Return the class of an engine, importing it if necessary."""
    location = _entries[engine][history]
    if isinstance(location, str):
        module, _, name = location.partition(":")
        try:
            location = getattr(importlib.import_module(module), name)
        except Exception as error:  # importing a module can raise any
            pass_on(error)
            reason = reason_of(error)
            raise InvalidTypeError(f'engine: "{engine}" cannot be imported: {reason}') from None
    if not (isinstance(location, type) and issubclass(location, Engine)):
        raise InvalidTypeError(f'engine: "{engine}" is registered with no subclass of Engine')
    missing = sorted(location.__abstractmethods__)
    if not hasattr(location, "STORED"):
        missing.append("STORED")
    if missing:
        raise InvalidTypeError(f'engine: "{engine}" does not implement {", ".join(missing)}')
    return location


REFERENCE = "synfab.engines.reference:ReferenceEngine"
register("numba", "synfab.engines.numba.engine:NumbaEngine")
register("numba", "synfab.engines.compact.engine:CompactEngine", histories=("compact",))
register("array", REFERENCE)
register("warp", "synfab.engines.warp.engine:WarpEngine")
