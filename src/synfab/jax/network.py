"""Networks of Equinox on cells."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, Unpack

import equinox as eqx
import jax

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.jax.layers import CrossbarLinear
from synfab.jax.options import SharedLinearOptions, check_names
from synfab.random.streams import MAX_SEED

Network = TypeVar("Network")
KINDS = (eqx.nn.Linear, CrossbarLinear)


def convert(
    network: Network, *, seed: int, first_cell: int = 0, **options: Unpack[SharedLinearOptions]
) -> Network:
    """Return a network whose linear layers are on the cells of one chip, ideally programmed.

    A warning names other arrays of weights, which stay in software.

    Parameters
    ----------
    network
        Module of Equinox, or another pytree that contains ``equinox.nn.Linear``.
    seed, first_cell, **options
        As of ``CrossbarLinear``; layers use consecutive cells of the chip.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or there is no linear layer.

    Examples
    --------
    >>> import equinox as eqx
    >>> network = eqx.nn.MLP(4, 3, width_size=8, depth=1, key=jax.random.key(0))
    >>> chip = sf.jax.convert(network, seed=7, order=1)
    >>> [layer.first_cell for layer in chip.layers]
    [0, 64]
    """
    begin = checks.integer("first_cell", first_cell, 0, MAX_SEED)
    check_names(("seed", *options))
    leaves, structure = jax.tree_util.tree_flatten_with_path(network, is_leaf=_is_layer)
    parts, left = [], []
    for path, part in leaves:
        if isinstance(part, eqx.nn.Linear):
            parts.append(CrossbarLinear.from_equinox(part, seed=seed, first_cell=begin, **options))
            begin += 2 * part.weight.size
            continue
        if eqx.is_inexact_array(part) and part.ndim > 1:
            left.append(jax.tree_util.keystr(path))
        parts.append(part)
    if begin == first_cell:
        raise InvalidValueError("network: expected layers of type equinox.nn.Linear, found none")
    if left:
        warnings.warn(f"network: weights in software: {', '.join(left)}", stacklevel=2)
    converted: Network = jax.tree.unflatten(structure, parts)
    return converted


def map_layers(function: Callable[[CrossbarLinear], Any], network: Network) -> Network:
    """Return a network with ``function(layer)`` in place of each layer on cells.

    Examples
    --------
    >>> import equinox as eqx
    >>> network = eqx.nn.MLP(4, 3, width_size=8, depth=1, key=jax.random.key(0))
    >>> chip = sf.jax.convert(network, seed=7, order=1)
    >>> chip = sf.jax.map_layers(lambda layer: layer.advance(100), chip)
    >>> int(chip.layers[0].readout_number)
    100
    """
    checks.function("function", function)
    parts, structure = jax.tree.flatten(network, is_leaf=_is_layer)
    if not any(isinstance(part, CrossbarLinear) for part in parts):
        raise InvalidTypeError("network: expected layers on cells, found none; use convert first")
    mapped: Network = jax.tree.unflatten(
        structure, [function(part) if isinstance(part, CrossbarLinear) else part for part in parts]
    )
    return mapped


def _is_layer(part: object) -> bool:
    return isinstance(part, KINDS)
