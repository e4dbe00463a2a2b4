"""Which engine moves the cells of an array."""

from __future__ import annotations

from typing import Any

from synfab import checks
from synfab.engines.array_engine import ArrayEngine
from synfab.engines.library import Library
from synfab.errors import InvalidValueError
from synfab.model import CellModel

ENGINES = ("auto", "numba", "array", "torch", "jax")
HISTORIES = ("float32", "int16", "compact")


def check_engine(engine: str, history: str) -> str:
    """Return the engine's name, "auto" resolved, if there is such a one with such a history."""
    checks.choice("engine", engine, ENGINES)
    checks.choice("history", history, HISTORIES)
    name = "numba" if engine == "auto" else engine
    if name != "numba" and history != "float32":
        raise InvalidValueError(f'history: "{history}" needs engine "numba"')
    return name


def library_name(engine: str) -> str:
    """Name of the array library whose arrays an engine takes and returns."""
    return engine if engine in ("torch", "jax") else "numpy"


def make_engine(
    engine: str,
    history: str,
    library: Library,
    model: CellModel,
    size: int,
    seed: int,
    first_cell: int,
    order: int,
) -> Any:
    """Make the engine of a checked name with room for ``size`` cells; none is fabricated yet."""
    arguments = (model, size, seed, first_cell, order)
    if engine != "numba":
        return ArrayEngine(*arguments, library)
    if history == "compact":
        from synfab.engines.compact_engine import CompactEngine

        return CompactEngine(*arguments)
    from synfab.engines.numba_engine import NumbaEngine

    return NumbaEngine(*arguments, history)
