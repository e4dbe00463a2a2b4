"""Netlist dialects of circuit simulators, by name.

To add one, write a file with a subclass of ``Dialect`` and register it.
"""

from __future__ import annotations

from synfab.circuit.dialects.base import Dialect
from synfab.circuit.dialects.ngspice import Ngspice
from synfab.circuit.dialects.spectre import Spectre
from synfab.common import checks
from synfab.common.errors import InvalidValueError

__all__ = ["DIALECTS", "Dialect", "make_dialect", "register"]

DIALECTS: dict[str, type[Dialect]] = {}


def register(dialect: type[Dialect]) -> type[Dialect]:
    """Register a dialect under its name; use as a class decorator."""
    DIALECTS[dialect.name] = dialect
    return dialect


def make_dialect(name: str, *, snapshot: bool = False) -> Dialect:
    """Return the dialect of this name; with ``snapshot``, raise unless it supports snapshots."""
    writer = DIALECTS[checks.choice("dialect", name, DIALECTS)]()
    if snapshot and not writer.has_snapshots:
        able = " or ".join(f'"{key}"' for key, kind in DIALECTS.items() if kind.has_snapshots)
        raise InvalidValueError(f"snapshot: expected dialect {able}")
    return writer


register(Ngspice)
register(Spectre)
