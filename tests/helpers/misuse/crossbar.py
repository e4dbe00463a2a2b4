"""Recipes of crossbars."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from synfab import Checkpoints
from synfab.crossbar import (
    Crossbar,
    Selector,
    Transistor,
    bit_slices,
    differential_pairs,
    network_bytes,
    offset_line,
)

from .core import cells
from .harness import RECIPES

ROWS, COLUMNS = 3, 4
G = 2e-5  # S
WEIGHTS = [[0.5, -1.0], [0.25, 0.0]]


@cache
def compile_kernels() -> None:
    """Solve once: compiling is no part of a call whose time is limited."""
    for options in ({}, {"access": Transistor()}):
        made = Crossbar(cells(ROWS, COLUMNS), **options)
        made.gradient(np.full(COLUMNS, 0.2), np.ones(ROWS))
        made.write(rows=[0], columns=[0], voltage=-2.0)


def bar(**options: Any) -> Crossbar:
    compile_kernels()
    return Crossbar(cells(ROWS, COLUMNS), **options)


RECIPES.leave(
    "a result, which only the package makes",
    *("synfab.crossbar.Gradient", "synfab.crossbar.Mapping", "synfab.crossbar.Programming"),
    *("synfab.crossbar.Solution", "synfab.crossbar.Write"),
)
RECIPES.leave("an enumeration of Python", "synfab.crossbar.Outcome")
CIRCUIT = ("bias", "conducting", "gate_lines", "selected_gates", "solve_bias", "wires_for")
RECIPES.leave(
    "works on drives, cells and lines of the solver, which only the package makes",
    *(f"synfab.crossbar.Circuit.{name}" for name in CIRCUIT),
    *("synfab.crossbar.Circuit", "synfab.crossbar.Wires"),
    "synfab.crossbar.Wires.floating",
)


@RECIPES.add("synfab.crossbar.Crossbar")
def _(_folder: Path) -> Any:
    return Crossbar, {
        "cells": cells(ROWS, COLUMNS), "wire_resistance": 2.5, "source_resistance": 0.0,
        "sense_resistance": 0.0, "drive": "top", "sense": "left", "access": None,
        "open_cells": None, "shorted_cells": None, "short_resistance": 100.0,
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Crossbar.solve")
def _(_folder: Path) -> Any:
    return bar(access=Transistor()).solve, {
        "v": np.full(COLUMNS, 0.2), "row_voltage": 0.0, "floating_columns": None,
        "floating_rows": None, "gates": None, "linear": False, "start": None,
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Crossbar.read")
def _(_folder: Path) -> Any:
    return bar(access=Transistor()).read, {
        "v": np.full(COLUMNS, 0.2), "noise": True, "bandwidth": 1e8, "number": None,
        "linear": False, "floating_columns": None, "gates": None, "dac": (-0.2, 0.2, 4),
        "adc": (-1e-4, 1e-4, 4),
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Crossbar.gradient")
def _(_folder: Path) -> Any:
    return bar(access=Transistor()).gradient, {
        "v": np.full(COLUMNS, 0.2), "seed": np.ones(ROWS), "row_voltage": 0.0,
        "floating_columns": None, "floating_rows": None, "gates": None, "linear": False,
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Crossbar.write")
def _(_folder: Path) -> Any:
    return bar().write, {
        "rows": [0], "columns": [0, 1], "voltage": -2.0, "scheme": "V/2", "steps": 2,
        "exact": False, "duration": 1e-6,
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Crossbar.program")
def _(folder: Path) -> Any:
    return bar().program, {
        "targets": G, "tolerance": None, "scheme": "ground", "parallel": 2, "retries": 0,
        "max_passes": 1, "duration": 1e-7, "progress": False,
        "checkpoints": Checkpoints(folder / "checkpoints", resume=True),
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Crossbar.program_open_loop")
def _(_folder: Path) -> Any:
    return bar().program_open_loop, {
        "targets": G, "step": 0.5, "scheme": None, "parallel": None, "duration": 1e-7,
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Transistor")
def _(_folder: Path) -> Any:
    return Transistor, {"on_resistance": 1e3, "off_resistance": 1e9, "gates": "rows"}


@RECIPES.add("synfab.crossbar.Selector")
def _(_folder: Path) -> Any:
    return Selector, {"saturation": 1e-8, "voltage": 0.05}


@RECIPES.add("synfab.crossbar.differential_pairs")
def _(_folder: Path) -> Any:
    return differential_pairs, {"weights": WEIGHTS, "g_min": 1e-6, "g_max": 5e-5}


@RECIPES.add("synfab.crossbar.offset_line")
def _(_folder: Path) -> Any:
    return offset_line, {"weights": WEIGHTS, "g_min": 1e-6, "g_max": 5e-5}


@RECIPES.add("synfab.crossbar.bit_slices")
def _(_folder: Path) -> Any:
    return bit_slices, {
        "weights": WEIGHTS, "g_min": 1e-6, "g_max": 5e-5, "bits": 4, "cell_bits": 2,
    }  # fmt: skip


@RECIPES.add("synfab.crossbar.Mapping.decode")
def _(_folder: Path) -> Any:
    return differential_pairs(WEIGHTS, 1e-6, 5e-5).decode, {"currents": np.ones(4)}


@RECIPES.add("synfab.crossbar.Mapping.weights")
def _(_folder: Path) -> Any:
    return differential_pairs(WEIGHTS, 1e-6, 5e-5).weights, {"conductances": np.ones((4, 2))}


@RECIPES.add("synfab.crossbar.network_bytes")
def _(_folder: Path) -> Any:
    return network_bytes, {"shape": (ROWS, COLUMNS)}
