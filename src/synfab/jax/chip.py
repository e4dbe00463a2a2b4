"""A chip as a pytree, and pure functions of it that JAX can compile with the code around them.

The last axes of all arrays of a chip are the axes of its cells. Functions check their arguments
before they trace; what they compute is compiled once for each model and shape.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.deprecation import renamed_arguments
from synfab.common.errors import InvalidValueError
from synfab.common.types import ArrayLike
from synfab.jax.arguments import (
    Array,
    Seed,
    check_model,
    key_of,
    mask_of,
    voltages_of,
)
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.physics import traps as trap_rules
from synfab.physics.traps import TrapState
from synfab.random.arrays import count_up
from synfab.random.jax_backend import full_products
from synfab.random.streams import MAX_SEED, WORD, Stream

ZERO = np.uint32(0)


class Chip(NamedTuple):
    """Devices and states of cells of any shape; a pytree of arrays.

    The last axes of each array are the axes of the cells. ``read_number`` and ``readout_number``
    are those of the next ``read`` and of the next ``matvec``; ``advance`` counts them up.
    """

    devices: drawing.Devices
    cells: rules.CellState
    traps: TrapState | None = None  # of models with traps
    read_number: Array = ZERO
    readout_number: Array = ZERO

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the cells."""
        return tuple(self.cells.r.shape)

    @property
    def seen(self) -> Array:
        """Mixing states r as reads see them, of the shape of the cells."""
        return self.cells.r if self.traps is None else self.traps.seen


def shaped(chip: Chip, shape: tuple[int, ...]) -> Chip:
    """Return a chip whose cells, in C order, have another shape."""
    axes = chip.cells.r.ndim
    if shape == chip.shape:
        return chip

    def arranged(array: Array) -> Array:
        return jnp.reshape(array, (*array.shape[: array.ndim - axes], *shape))

    devices = chip.devices._replace(
        number=jax.tree.map(arranged, chip.devices.number),
        parameters=arranged(chip.devices.parameters),
    )
    cells, traps = jax.tree.map(arranged, (chip.cells, chip.traps))
    return chip._replace(devices=devices, cells=cells, traps=traps)


def flat(chip: Chip) -> Chip:
    """Return a chip whose cells have one axis, as ``rules`` expects."""
    return shaped(chip, (math.prod(chip.shape),))


def check_chip(model: object, chip: object) -> tuple[int, ...]:
    """Return the shape of a chip of this model."""
    check_model(model)
    checks.instance("chip", chip, Chip)
    assert isinstance(chip, Chip)
    checks.instance("chip: devices", chip.devices, drawing.Devices)
    checks.instance("chip: cells", chip.cells, rules.CellState)
    if chip.traps is not None:
        checks.instance("chip: traps", chip.traps, TrapState)
    assert isinstance(model, CellModel)
    if (chip.traps is None) != (model.traps is None):
        raise InvalidValueError(
            f"chip: traps: expected {'none' if model.traps is None else 'those of the model'}; "
            f"fabricate the chip with this model"
        )
    return chip.shape


@renamed_arguments(size="shape")
def fabricate(
    model: CellModel,
    shape: int | tuple[int, ...],
    *,
    seed: Seed,
    order: int | None = None,
    first_cell: int = 0,
) -> Chip:
    """Return a chip of new cells, the same as those of a ``CellArray`` with these arguments.

    Parameters
    ----------
    shape
        Number of cells, or a tuple.
    seed
        0 … 2**64 - 1, or its ``seed_words``, which may be traced, so that one compiled function
        makes many chips.
    order
        Of the history; None: the model's highest.
    first_cell
        Global number of the first cell.

    Examples
    --------
    >>> chip = sf.jax.fabricate(sf.load_model(), (2, 4), seed=1)
    >>> sf.jax.apply_voltage(sf.load_model(), chip, -2.0).cells.r.shape
    (2, 4)
    """
    check_model(model)
    axes = checks.axes("shape", shape)
    size = checks.count("shape", math.prod(axes), WORD)
    first = checks.integer("first_cell", first_cell, 0, MAX_SEED - size)
    number = np.arange(size, dtype=np.uint64) + np.uint64(first)
    return fabricate_numbered(model, number.reshape(axes), seed, model.history(order).order)


def fabricate_numbered(
    model: CellModel, number: npt.NDArray[np.uint64], seed: Seed, order: int
) -> Chip:
    """Return the chip of the cells with the given global numbers, in their shape."""
    words = ((number & np.uint64(WORD)).astype(np.uint32), (number >> 32).astype(np.uint32))
    made: Chip = _fabricate(model, order, key_of(seed), words)
    return made


@partial(jax.jit, static_argnums=(0, 1))
@full_products
def _fabricate(
    model: CellModel, order: int, key: tuple[Array, Array], number: tuple[Array, Array]
) -> Chip:
    shape = number[0].shape
    devices = drawing.fabricate(model, key, (number[0].reshape(-1), number[1].reshape(-1)))
    cells = rules.fresh_state(model, order, devices)
    traps = None if model.traps is None else trap_rules.unmoved(cells.r, cells.cycle)
    return shaped(Chip(devices, cells, traps, jnp.uint32(0), jnp.uint32(0)), shape)


def apply_voltage(
    model: CellModel,
    chip: Chip,
    u: Array | ArrayLike,
    *,
    where: Array | ArrayLike | None = None,
) -> Chip:
    """Return the chip after a voltage ``u`` (V), one number or one for each cell; see ``rules``.

    Compiled functions cannot raise errors: a cell that would begin a cycle beyond
    ``rules.MAX_CYCLE`` becomes NaN, and stays NaN.

    Parameters
    ----------
    where
        Boolean mask that broadcasts to the shape of the cells; the others do not change, and values
        of ``u`` there are ignored. It may be traced.

    Examples
    --------
    >>> model = sf.load_model()
    >>> chip = sf.jax.apply_voltage(model, sf.jax.fabricate(model, 8, seed=1), -2.0)
    >>> bool(chip.cells.in_lrs.all())
    True
    """
    mask = mask_of(where, check_chip(model, chip))
    switched: Chip = _apply_voltage(model, chip, voltages_of(u, chip.shape, mask), mask)
    return switched


@partial(jax.jit, static_argnums=0)
@full_products
def _apply_voltage(model: CellModel, chip: Chip, u: Array, where: Array | None) -> Chip:
    before = flat(chip)
    cells = rules.apply_voltage(model, before.devices, before.cells, u.reshape(-1), _draw_cycle)
    if where is not None:
        mask = where.reshape(-1)
        cells = jax.tree.map(lambda new, old: jnp.where(mask, new, old), cells, before.cells)
    traps = before.traps and trap_rules.refreshed(before.traps, cells.r, cells.cycle)
    return shaped(before._replace(cells=cells, traps=traps), chip.shape)


def _draw_cycle(
    model: CellModel, devices: drawing.Devices, block: Array, cycle: Array, begins: Array
) -> tuple[Array, Array]:
    """Equal ``drawing.draw_cycle``, without a branch in Python; beyond the last cycle NaN."""
    order = drawing.order_of(model, block)
    ends = drawing.block_ends(begins, cycle, order)
    beyond = begins & (cycle >= rules.MAX_CYCLE)

    def draw(block: Array) -> Array:
        index = cycle[None, :] + count_up(1, order, cycle)[:, None]
        eps = drawing.draw_normals(devices.seed, devices.number, index, Stream.INNOVATION)
        block = jnp.where(ends, drawing.next_block(model.history(order), block, eps), block)
        return jnp.where(beyond, np.float32(np.nan), block)

    block = jax.lax.cond((ends | beyond).any(), draw, lambda block: block, block)
    return block, cycle + begins.astype(cycle.dtype)
