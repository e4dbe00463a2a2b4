"""Which engine moves the cells of an array."""

from __future__ import annotations

from typing import Any

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.processors import requested_threads
from synfab.engines.reference import ArrayEngine
from synfab.model.cell_model import CellModel
from synfab.random.backend import Library

ENGINES = ("auto", "numba", "array", "torch", "jax")
HISTORIES = ("float32", "int16", "compact")


def check_engine(engine: str, history: str) -> str:
    """Return the engine's name, "auto" resolved, if there is such a one with such a history."""
    requested_threads()  # refused now, whether this engine uses threads or not
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
        from synfab.engines.compact.engine import CompactEngine

        return CompactEngine(*arguments)
    from synfab.engines.numba.engine import NumbaEngine

    return NumbaEngine(*arguments, history)
