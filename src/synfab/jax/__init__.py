"""Cells as pure functions of their state, for ``jax.jit``, ``vmap`` and sharding."""

from synfab.common import extras

extras.check("jax")

from synfab.jax.chip import Chip, apply_voltage, current, fabricate, read, wait
from synfab.random.jax_backend import seed_words

__all__ = ["Chip", "apply_voltage", "current", "fabricate", "read", "seed_words", "wait"]
