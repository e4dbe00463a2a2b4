"""A chip as a pytree: pure functions to be compiled together with what uses the cells."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synfab import rules
from synfab.arrays import count_up
from synfab.engines.array_engine import read_normals, with_noise
from synfab.errors import InvalidTypeError, InvalidValueError
from synfab.jax.engine import full_products, seed_words
from synfab.model import CellModel
from synfab.readout import noise_factors
from synfab.streams import WORD, Stream, check_seed

Array = Any


class Chip(NamedTuple):
    """All there is to know of M cells; a pytree of arrays."""

    devices: rules.Devices
    cells: rules.CellState


def fabricate(model: CellModel, size: int, *, seed: Any, order: int | None = None) -> Chip:
    """Make ``size`` fresh cells, numbers 0 … size - 1 of a seed: those of ``CellArray``.

    Parameters
    ----------
    seed
        0 … 2**64 - 1, or its ``seed_words``, which may be
        traced: one compiled function makes many chips.
    order
        Of the history; None takes the model's highest.
    """
    if not isinstance(model, CellModel):
        raise InvalidTypeError(
            f"model: expected a CellModel, as load_model returns, found {type(model).__name__}"
        )
    if not hasattr(size, "__index__") or not 1 <= size <= WORD:
        raise InvalidValueError(f"size: expected 1 … 2**32 - 1 cells, found {size}")
    words = isinstance(seed, (tuple, list)) or np.ndim(seed) > 0
    key = seed if words else seed_words(check_seed(seed))
    made: Chip = _fabricate(model, size, key, order)
    return made


@full_products
def _fabricate(model: CellModel, size: int, key: Any, order: int | None) -> Chip:
    low = jnp.arange(size, dtype=np.uint32)
    devices = rules.fabricate(model, tuple(key), (low, low * 0))
    return Chip(devices, rules.fresh_state(model, model.history(order).order, devices))


@full_products
def apply_voltage(model: CellModel, chip: Chip, u: Array) -> Chip:
    """Let cells switch under ``u`` (V), one number or one for each cell; see ``rules``.

    Compiled functions cannot raise: a cell that would begin a cycle beyond ``rules.MAX_CYCLE``
    becomes NaN, and stays NaN.
    """
    devices, cells = chip
    u = jnp.broadcast_to(jnp.asarray(u, np.float32), cells.r.shape)
    switching = rules.select(model, devices, cells, u)
    order = cells.block.shape[0]
    ends = rules.block_ends(switching.draw, cells.cycle, order)
    beyond = switching.draw & (cells.cycle >= rules.MAX_CYCLE)

    def draw(block: Array) -> Array:
        index = cells.cycle[None, :] + count_up(1, order, cells.cycle)[:, None]
        eps = rules.draw_normals(devices.seed, devices.number, index, Stream.INNOVATION)
        block = jnp.where(ends, rules.next_block(model.history(order), block, eps), block)
        return jnp.where(beyond, np.float32(np.nan), block)

    block = jax.lax.cond((ends | beyond).any(), draw, lambda block: block, cells.block)
    cycle = cells.cycle + switching.draw.astype(cells.cycle.dtype)
    state = cells._replace(block=block, cycle=cycle)
    return Chip(devices, rules.settle(model, devices, state, switching, u))


def current(model: CellModel, chip: Chip, u: Array) -> Array:
    """Noise-free current (A) of every cell at ``u`` (V)."""
    r = chip.cells.r
    return rules.current(model, r, jnp.broadcast_to(jnp.asarray(u, np.float32), r.shape))


def read(
    model: CellModel, chip: Chip, u: Array = 0.2, *, number: Any = 0, bandwidth: float = 1e8
) -> Array:
    """Current (A) with Johnson and shot noise; equal ``number`` of the read, equal noise."""
    johnson, shot = noise_factors(bandwidth)
    low = chip.devices.number[0]
    counter = (low >> 2, low * 0)
    index = low * 0 + jnp.asarray(number, np.uint32)
    z = read_normals(chip.devices.seed, counter, index, low & 3)
    r = chip.cells.r
    return with_noise(
        model, r, jnp.broadcast_to(jnp.asarray(u, np.float32), r.shape), z, johnson, shot
    )
