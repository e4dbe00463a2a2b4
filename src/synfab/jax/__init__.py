"""Cells as pure functions of a state, for ``jax.jit``."""

try:
    import jax as _jax  # noqa: F401
except ImportError:
    from synfab.errors import ToolError

    raise ToolError("JAX is not installed: pip install 'synfab[jax]'") from None

from synfab.jax.chip import Chip, apply_voltage, current, fabricate, read
from synfab.jax.engine import seed_words

__all__ = ["Chip", "apply_voltage", "current", "fabricate", "read", "seed_words"]
