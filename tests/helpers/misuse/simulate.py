"""Recipes of simulations in Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synfab.simulate import Simulation, open_results, simulate

from .core import fresh, model
from .harness import RECIPES


def arguments(folder: Path) -> dict[str, Any]:
    return {
        "program": "-2, 0.9", "cells": 8, "output": fresh(folder), "seed": 1, "model": model(),
        "order": 1, "history": "float32", "reads": "every", "read_voltage": 0.2, "bandwidth": 1e8,
        "noise": True, "block": 8,
    }  # fmt: skip


@RECIPES.add("synfab.simulate.Simulation")
def _(folder: Path) -> Any:
    return Simulation, arguments(folder)


@RECIPES.add("synfab.simulate.simulate")
def _(folder: Path) -> Any:
    return simulate, {**arguments(folder), "resume": False, "progress": False}


@RECIPES.add("synfab.simulate.Simulation.run")
def _(folder: Path) -> Any:
    return Simulation(**arguments(folder)).run, {"resume": False, "advance": None}


@RECIPES.add("synfab.simulate.open_results")
def _(folder: Path) -> Any:
    path = folder / "kept.zarr"
    if not path.exists():
        simulate("-2, 0.9", 8, path, seed=1)
    return open_results, {"path": path}


RECIPES.leave("only Simulation.estimate makes it", "synfab.simulate.Estimate")
