"""Cells as pure functions of their state, for ``jax.jit``, ``vmap`` and sharding."""

from synfab.common import extras

extras.check("jax", "equinox", extra="jax")

from synfab.jax.chip import Chip, apply_voltage, fabricate
from synfab.jax.layers import CrossbarLinear
from synfab.jax.network import convert, map_layers
from synfab.jax.programming import Programmed, set_conductance, write_verify
from synfab.jax.reading import advance, current, matvec, read
from synfab.jax.time import wait
from synfab.random.jax_backend import seed_words

__all__ = [
    "Chip",
    "CrossbarLinear",
    "Programmed",
    "advance",
    "apply_voltage",
    "convert",
    "current",
    "fabricate",
    "map_layers",
    "matvec",
    "read",
    "seed_words",
    "set_conductance",
    "wait",
    "write_verify",
]
