"""Recipes of chips on JAX."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from synfab.model import Traps

from .core import model
from .harness import RECIPES

try:
    import equinox as eqx
    import jax

    from synfab import jax as chips
except ImportError:  # JAX is an extra
    chips = None  # type: ignore[assignment]


@cache
def chip(rows: int = 0) -> Any:
    return chips.fabricate(model(), (rows, 3) if rows else 3, seed=1, order=1)


@cache
def aging() -> tuple[Any, Any]:
    """One model, because functions are compiled for each, and its chip."""
    made = model().replace(traps=Traps([1e-3, 1.0], 0.5, [0.0], [1e-6]))
    return made, chips.fabricate(made, 3, seed=1, order=1)


@cache
def linear() -> Any:
    return eqx.nn.Linear(3, 2, key=jax.random.key(0))


@cache
def layer() -> Any:
    return chips.CrossbarLinear.from_equinox(linear(), model=model(), seed=1, order=1)


if chips is not None:
    RECIPES.leave(
        "a pytree: JAX puts leaves of any type into it while it traces", "synfab.jax.Chip"
    )

    @RECIPES.add("synfab.jax.fabricate")
    def _(_folder: Path) -> Any:
        return chips.fabricate, {
            "model": model(), "shape": 3, "seed": 1, "order": 1, "first_cell": 0,
        }  # fmt: skip

    @RECIPES.add("synfab.jax.apply_voltage")
    def _(_folder: Path) -> Any:
        return chips.apply_voltage, {"model": model(), "chip": chip(), "u": -2.0, "where": True}

    @RECIPES.add("synfab.jax.current")
    def _(_folder: Path) -> Any:
        return chips.current, {"model": model(), "chip": chip(), "u": 0.2}

    @RECIPES.add("synfab.jax.read")
    def _(_folder: Path) -> Any:
        return chips.read, {
            "model": model(), "chip": chip(), "u": 0.2, "number": 0, "bandwidth": 1e8,
        }  # fmt: skip

    @RECIPES.add("synfab.jax.wait")
    def _(_folder: Path) -> Any:
        made, old = aging()
        return chips.wait, {
            "model": made, "chip": old, "seconds": 1.0, "temperature": 300.0, "number": 0,
        }  # fmt: skip

    @RECIPES.add("synfab.jax.advance")
    def _(_folder: Path) -> Any:
        return chips.advance, {"chip": chip(), "reads": 1, "readouts": 1}

    @RECIPES.add("synfab.jax.set_conductance")
    def _(_folder: Path) -> Any:
        return chips.set_conductance, {"model": model(), "chip": chip(), "g": 5e-5, "where": True}

    @RECIPES.add("synfab.jax.matvec")
    def _(_folder: Path) -> Any:
        return chips.matvec, {
            "model": model(), "chip": chip(2), "v": np.full(3, 0.2), "number": 0, "noise": True,
            "bandwidth": 1e8,
        }  # fmt: skip

    @RECIPES.add("synfab.jax.write_verify")
    def _(_folder: Path) -> Any:
        return chips.write_verify, {
            "model": model(), "chip": chip(), "targets": 5e-5, "tolerance": 1e-6, "retries": 1,
            "max_passes": 2, "duration": 1e-7, "erase": True,
        }  # fmt: skip

    RECIPES.leave("a result of write_verify, which JAX traces", "synfab.jax.Programmed")

    @RECIPES.add("synfab.jax.CrossbarLinear")
    def _(_folder: Path) -> Any:
        return chips.CrossbarLinear, {
            "in_features": 3, "out_features": 2, "use_bias": True, "key": jax.random.key(0),
            "model": model(), "seed": 1, "first_cell": 0, "tile": (4, 4), "g_window": None,
            "weight_range": None, "bits": None, "input_range": None, "read_voltage": 0.2,
            "dac": None, "noise": True, "bandwidth": 1e8, "order": 1,
        }  # fmt: skip

    @RECIPES.add("synfab.jax.CrossbarLinear.from_equinox")
    def _(_folder: Path) -> Any:
        return chips.CrossbarLinear.from_equinox, {"linear": linear(), "seed": 1, "order": 1}

    @RECIPES.add("synfab.jax.CrossbarLinear.with_weights")
    def _(_folder: Path) -> Any:
        return layer().with_weights, {"weight": np.ones((2, 3)), "bias": np.ones(2)}

    @RECIPES.add("synfab.jax.CrossbarLinear.program")
    def _(_folder: Path) -> Any:
        return layer().program, {
            "method": "write-verify", "tolerance": 1e-6, "retries": 1, "max_passes": 2,
            "duration": 1e-7,
        }  # fmt: skip

    @RECIPES.add("synfab.jax.CrossbarLinear.advance")
    def _(_folder: Path) -> Any:
        return layer().advance, {"readouts": 1}

    @RECIPES.add("synfab.jax.CrossbarLinear.__call__", skip=("key",))
    def _(_folder: Path) -> Any:
        return layer().__call__, {"x": np.ones(3), "number": 0, "key": None}

    @RECIPES.add("synfab.jax.convert", skip=("network",))
    def _(_folder: Path) -> Any:
        return chips.convert, {"network": [linear()], "seed": 1, "first_cell": 0, "order": 1}

    @RECIPES.add("synfab.jax.map_layers", skip=("network", "function"))
    def _(_folder: Path) -> Any:
        return chips.map_layers, {"function": lambda found: found, "network": [layer()]}

    @RECIPES.add("synfab.jax.seed_words")
    def _(_folder: Path) -> Any:
        return chips.seed_words, {"seed": 1, "device": None}
