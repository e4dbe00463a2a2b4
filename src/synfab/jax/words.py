"""Numbers that belong to a module of Equinox but are no parameters."""

from __future__ import annotations

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from synfab.jax.arguments import Array


class Words(eqx.Module):
    """A pytree of numbers whose float32 arrays are kept as words with the same bits.

    Optimizers change, and filters of Equinox differentiate, all arrays of floating-point numbers in
    a module. The states of cells must not be among them.
    """

    leaves: tuple[Array, ...]
    structure: Any = eqx.field(static=True)
    real: tuple[bool, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the words of a pytree; numbers in float64 are rounded to float32."""
        leaves, structure = jax.tree.flatten(value)
        real = tuple(bool(jnp.issubdtype(leaf.dtype, jnp.floating)) for leaf in leaves)
        kept = (
            _cast(jnp.asarray(leaf, np.float32), np.uint32) if r else leaf
            for leaf, r in zip(leaves, real, strict=True)
        )
        return cls(tuple(kept), structure, real)

    @property
    def value(self) -> Any:
        """The pytree."""
        leaves = [
            _cast(leaf, np.float32) if r else leaf
            for leaf, r in zip(self.leaves, self.real, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)


def _cast(array: Array, kind: Any) -> Array:
    return jax.lax.bitcast_convert_type(jax.lax.stop_gradient(array), kind)
