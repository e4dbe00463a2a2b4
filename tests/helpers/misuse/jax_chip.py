"""Recipes of chips on JAX."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from synfab.model import Traps

from .core import model
from .harness import RECIPES

try:
    from synfab import jax as chips
except ImportError:  # JAX is an extra
    chips = None  # type: ignore[assignment]


@cache
def chip() -> Any:
    return chips.fabricate(model(), 3, seed=1, order=1)


if chips is not None:
    RECIPES.leave(
        "a pytree: JAX puts leaves of any type into it while it traces", "synfab.jax.Chip"
    )

    @RECIPES.add("synfab.jax.fabricate")
    def _(_folder: Path) -> Any:
        return chips.fabricate, {"model": model(), "size": 3, "seed": 1, "order": 1}

    @RECIPES.add("synfab.jax.apply_voltage")
    def _(_folder: Path) -> Any:
        return chips.apply_voltage, {"model": model(), "chip": chip(), "u": -2.0}

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
        traps = Traps([1e-3, 1.0], 0.5, [0.0], [1e-6])
        aging = model().replace(traps=traps)
        return chips.wait, {
            "model": aging, "chip": chips.fabricate(aging, 3, seed=1, order=1), "seconds": 1.0,
            "temperature": 300.0, "number": 0,
        }  # fmt: skip

    @RECIPES.add("synfab.jax.seed_words")
    def _(_folder: Path) -> Any:
        return chips.seed_words, {"seed": 1, "device": None}
