"""Recipes of cells, models and files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import synfab as sf

from .harness import RECIPES


@cache
def model() -> sf.CellModel:
    return sf.load_model()


def cells(*shape: int, **options: Any) -> sf.CellArray:
    return sf.CellArray(model(), shape or (3, 4), seed=1, **options)


@RECIPES.add("synfab.CellArray")
def _(_folder: Path) -> Any:
    return sf.CellArray, {
        "model": model(), "shape": (3, 4), "seed": 1, "order": None, "engine": "auto",
        "history": "float32", "first_cell": 0, "device": None,
    }  # fmt: skip


@RECIPES.add("synfab.CellArray.apply_voltage")
def _(_folder: Path) -> Any:
    return cells().apply_voltage, {"u": -2.0, "where": None}


@RECIPES.add("synfab.CellArray.save")
def _(folder: Path) -> Any:
    return cells().save, {"path": folder / "cells.npz"}
