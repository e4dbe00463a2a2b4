"""Recipes of the published package's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synfab import compat

from .core import model, recipe
from .harness import RECIPES


def cells() -> compat.CellArrayCPU:
    return compat.CellArrayCPU(12, model(), seed=1)


@RECIPES.add("synfab.compat.CellArrayCPU")
def _(_folder: Path) -> Any:
    return compat.CellArrayCPU, {"M": 12, "params": model(), "seed": 1}


recipe("synfab.compat.CellArrayCPU.__matmul__", lambda _: cells().__matmul__, v=[0.1, 0.2])
recipe("synfab.compat.ADC", lambda _: compat.ADC, v=[1e-6], vmin=1e-6, vmax=5e-5, nbits=4)
recipe("synfab.compat.load_params", lambda _: compat.load_params, param_fp="published", p=10)


def of_cells(name: str, **valid: Any) -> None:
    RECIPES.add(f"synfab.compat.{name}")(lambda _: (getattr(compat, name), {"c": cells(), **valid}))


of_cells("HRS")
of_cells("LRS")
of_cells("US")
of_cells("UR")
of_cells("I", U=0.2)
of_cells("Iread", U=0.2, BW=1e8)
of_cells("applyVoltage", Ua=-2.0)
