"""Netlist dialects of circuit simulators, by name.

To add one, write a file with a subclass of ``Dialect`` and register it. A package announces the
module with an entry point of the group ``synfab.dialects``.
"""

from __future__ import annotations

from synfab.circuit.dialects.base import Dialect
from synfab.circuit.dialects.hspice import HSPICE
from synfab.circuit.dialects.ltspice import LTspice
from synfab.circuit.dialects.ngspice import Ngspice
from synfab.circuit.dialects.spectre import Spectre
from synfab.circuit.dialects.vacask import Vacask
from synfab.circuit.dialects.xyce import Xyce
from synfab.common import checks, plugins
from synfab.common.errors import InvalidTypeError, InvalidValueError

__all__ = ["DIALECTS", "Dialect", "make_dialect", "register"]

DIALECTS: dict[str, type[Dialect]] = {}


def register(dialect: type[Dialect]) -> type[Dialect]:
    """Register a dialect under its name; use as a class decorator.

    Raises
    ------
    InvalidTypeError
        It is no subclass of ``Dialect``, or neither a template nor its method is defined.
    """
    given: object = dialect
    if not (isinstance(given, type) and issubclass(given, Dialect)):
        raise InvalidTypeError(
            f"dialect: expected a subclass of Dialect, found {checks.shown(dialect)}"
        )
    templates = (name for name in Dialect.__annotations__ if name.isupper())
    missing = [
        name
        for name in ("name", "moves_traps", *templates)
        if not hasattr(dialect, name)
        and getattr(dialect, name.lower(), None) is getattr(Dialect, name.lower(), None)
    ]
    missing += sorted(dialect.__abstractmethods__)
    if missing:
        raise InvalidTypeError(f"dialect: {dialect.__name__} lacks {', '.join(missing)}")
    DIALECTS[dialect.name] = dialect
    return dialect


def make_dialect(name: str, *, snapshot: bool = False) -> Dialect:
    """Return the dialect of this name; with ``snapshot``, raise unless it supports snapshots."""
    given: object = name
    if not (isinstance(given, str) and given in DIALECTS):
        plugins.load(plugins.DIALECTS)
    writer = DIALECTS[checks.choice("dialect", name, DIALECTS)]()
    if snapshot and not writer.has_snapshots:
        able = " or ".join(f'"{key}"' for key, kind in DIALECTS.items() if kind.has_snapshots)
        raise InvalidValueError(f"snapshot: expected dialect {able}")
    if not snapshot and not writer.has_cells:
        raise InvalidValueError(f"snapshot: expected True, dialect {name} has no other cells")
    return writer


for simulator in (Ngspice, Spectre, Vacask, Xyce, LTspice, HSPICE):
    register(simulator)
