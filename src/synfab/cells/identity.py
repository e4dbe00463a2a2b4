"""Identity: the checked arguments of ``CellArray``, which define its cells and engine."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from typing import Any, TypedDict

from synfab.common import checks
from synfab.common.errors import CapacityError, InvalidValueError
from synfab.engines.base import Engine
from synfab.engines.capacity import check_capacity
from synfab.engines.registry import EARLIER_NAMES, check_engine, engine_class
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.random.backend import NUMPY, Library
from synfab.random.streams import MAX_SEED, check_seed


class CellOptions(TypedDict):
    """Checked options of a ``CellArray`` that is part of a larger one."""

    seed: int
    order: int
    history: str


@dataclass(frozen=True)
class Identity:
    """Checked arguments of ``CellArray``; see there."""

    model: CellModel
    shape: tuple[int, ...]
    seed: int
    order: int
    engine: str
    history: str
    first_cell: int

    @classmethod
    def of(
        cls,
        model: CellModel | str | os.PathLike[str],
        shape: int | tuple[int, ...],
        seed: int,
        order: int | None,
        engine: str,
        history: str,
        first_cell: int,
        place: str = "cpu",
    ) -> Identity:
        """Return the checked arguments; ``place`` is the device as in ``check_engine``.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            An argument is invalid.
        CapacityError
            The number of cells exceeds the cell numbers of a seed.
        """
        loaded, axes = load_model(model), checks.axes("shape", shape)
        size = math.prod(axes)
        if size > MAX_SEED:
            raise CapacityError(f"shape: expected up to 2**64 - 1 cells, found {size}")
        return cls(
            loaded, axes, check_seed(seed), loaded.history(order).order,
            check_engine(engine, history, place), history, check_first(first_cell, size),
        )  # fmt: skip

    def check_held(self, engine: Engine) -> None:
        """Raise ``InvalidValueError`` unless an engine already contains these cells."""
        wanted = {"n_cells": math.prod(self.shape)}
        wanted |= {name: getattr(self, name) for name in ("model", "seed", "order", "first_cell")}
        for name, value in wanted.items():
            if getattr(engine, name) != value:
                raise InvalidValueError(
                    f"engine: expected {name} {value}, found {getattr(engine, name)}"
                )

    def make_engine(self, library: Library, *, deferred: bool = False) -> Engine:
        """Return an engine for these cells, which are not fabricated yet.

        ``library`` is the user's array library; the engine uses it if it supports any library. With
        ``deferred``, the caller does not fabricate the cells soon.

        Raises
        ------
        CapacityError
            The cells do not fit into memory.
        """
        kind, size = engine_class(self.engine, self.history), math.prod(self.shape)
        own = library if kind.ANY_LIBRARY else NUMPY
        if own.place.startswith("cpu"):
            later = deferred and kind.defers(self.model)
            check_capacity(size, self.order, self.history, self.model, deferred=later)
        made = kind(self.model, size, self.seed, self.first_cell, self.order, self.history, own)
        made.name = self.engine
        return made


def check_first(first_cell: Any, size: int) -> int:
    """Return the checked number of the first of ``size`` cells."""
    return checks.integer("first_cell", first_cell, 0, MAX_SEED - size)


def earlier_engine(engine: object, arrays: Any) -> tuple[Any, Any]:
    """Return engine and array library; warn if the engine is named as in version 0.1."""
    if not (isinstance(engine, str) and engine in EARLIER_NAMES):
        return engine, arrays
    warnings.warn(
        f'engine="{engine}" is now arrays="{engine}", engine="array"; without engine="array", '
        f"the cells are computed by kernels, which are faster on a CPU",
        DeprecationWarning,
        stacklevel=3,
    )
    return EARLIER_NAMES[engine], engine
