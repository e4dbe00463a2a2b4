"""Readouts of a layer on cells: inputs to voltages, currents of pairs with noise.

The equations are those of the layers of PyTorch:

    v = U_read x / x_max,   y = x_max w_max / (g_max - g_min) (I+ - I-) / U_read
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synfab.jax.arguments import Array
from synfab.jax.reading import readout_normals, row_variances, static_conductances
from synfab.model.cell_model import CellModel
from synfab.physics.noise import ReadNoise
from synfab.random.jax_backend import full_products
from synfab.random.streams import WORD


class Readout(NamedTuple):
    """How a layer is read; see ``CrossbarLinear``."""

    read_voltage: float
    input_range: float | None
    dac: int | None
    noise: ReadNoise | None


def outputs(
    model: CellModel,
    readout: Readout,
    first: int,
    x: Array,
    number: Array,
    seed: tuple[Array, Array],
    states: Array,
    weight_per_siemens: Array,
) -> Array:
    """Return outputs (B, outputs) of consecutive readouts, for vectors (B, inputs).

    Batches that are mapped with ``vmap`` become one batch, so that each vector is a readout of its
    own, with its own noise.

    Parameters
    ----------
    first
        Number of the first row, which is the layer's first cell.
    states
        Mixing states of G+ and G-, (2, outputs, inputs).
    weight_per_siemens
        Of each output, 1/S, (outputs,).
    """
    compute = partial(_outputs, model, readout, first)
    mapped = jax.custom_batching.custom_vmap(compute)

    def of_batch(
        count: int, batched: tuple[bool, ...], x: Array, *others: Array
    ) -> tuple[Array, bool]:
        if any(jax.tree.leaves(batched[1:])):  # several chips, or numbers
            axes = jax.tree.map(lambda part: 0 if part else None, tuple(batched))
            return jax.vmap(compute, axes)(x, *others), True
        y = mapped(x.reshape(-1, x.shape[-1]), *others)
        return y.reshape(*x.shape[:-1], y.shape[-1]), True

    mapped.def_vmap(of_batch)
    found: Array = mapped(x, number, seed, states, weight_per_siemens)
    return found


@full_products
def _outputs(
    model: CellModel,
    readout: Readout,
    first: int,
    x: Array,
    number: Array,
    seed: tuple[Array, Array],
    states: Array,
    weight_per_siemens: Array,
) -> Array:
    v, largest = _voltages(readout, x)
    q_low, q = static_conductances(model, v)
    difference, total = states[1] - states[0], states[0] + states[1]
    y = (v * q) @ difference.T
    if readout.noise is not None:
        rows = np.arange(len(difference), dtype=np.uint64) + np.uint64(first)
        words = ((rows & np.uint64(WORD)).astype(np.uint32), (rows >> 32).astype(np.uint32))
        z = readout_normals(seed, words, number, len(x))
        y += jnp.sqrt(_variance(readout.noise, v, (q_low, q), states, total)) * z
    return y * largest * (weight_per_siemens / np.float32(readout.read_voltage))


def _variance(
    noise: ReadNoise, v: Array, factors: tuple[Array, Array], states: Array, total: Array
) -> Array:
    """Return the variance of the currents of pairs, A**2, (B, outputs)."""
    unit = sum(noise.coefficients) or 1.0
    scaled = noise.scaled(unit)
    if noise.linear:
        q_low, q = factors
        found = row_variances(scaled, v, (2.0 * q_low, q), total)
    else:
        found = sum(row_variances(scaled, v, factors, r) for r in states)
    return jnp.maximum(found, 0.0) * unit


def _voltages(readout: Readout, x: Array) -> tuple[Array, Array]:
    """Return the voltages of the columns, (B, inputs), and the inputs of ``read_voltage``."""
    volts, size = np.float32(readout.read_voltage), readout.input_range
    largest = jnp.abs(x).max(axis=1, keepdims=True)
    if size is not None:
        largest = jnp.full_like(largest, np.float32(size))
    v = x * (volts / jnp.where(largest > 0.0, largest, 1.0))
    if size is not None:
        v = jnp.clip(v, -volts, volts)
    if readout.dac is not None:
        top = 2**readout.dac - 1
        step = 2.0 * volts / top
        v = jnp.clip(jnp.round((v + volts) / step), 0, top) * step - volts
    return v, largest
