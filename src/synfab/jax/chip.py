"""A chip as a pytree, and pure functions of it that JAX can compile with the code around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from synfab.cells.traps import checked_temperature, checked_time, without_traps
from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import ArrayLike
from synfab.model.cell_model import CellModel
from synfab.model.traps import Traps
from synfab.physics import drawing, rules
from synfab.physics import traps as trap_rules
from synfab.physics.noise import ReadNoise, noisy_current, read_normals
from synfab.physics.traps import TrapState
from synfab.random.arrays import count_up
from synfab.random.jax_backend import full_products, seed_words
from synfab.random.streams import WORD, Stream, check_seed

Array: TypeAlias = jax.Array  # may be traced
Seed: TypeAlias = int | Array | Sequence[int | Array]


class Chip(NamedTuple):
    """Devices and states of M cells; a pytree of arrays."""

    devices: drawing.Devices
    cells: rules.CellState
    traps: TrapState | None = None  # of models with traps

    @property
    def seen(self) -> Array:
        """Mixing states r as reads see them, (M,)."""
        return self.cells.r if self.traps is None else self.traps.seen


def fabricate(model: CellModel, size: int, *, seed: Seed, order: int | None = None) -> Chip:
    """Return a chip of ``size`` new cells, the same as those of a ``CellArray`` with this seed.

    Parameters
    ----------
    seed
        0 … 2**64 - 1, or its ``seed_words``, which may be traced, so that one compiled function
        makes many chips.
    order
        Of the history; None: the model's highest.

    Examples
    --------
    >>> chip = sf.jax.fabricate(sf.load_model(), 8, seed=1)
    >>> sf.jax.apply_voltage(sf.load_model(), chip, -2.0).cells.r.shape
    (8,)
    """
    _check_model(model)
    size = checks.count("size", size, WORD)
    made: Chip = _fabricate(model, size, _key(seed), model.history(order).order)
    return made


def _check_model(model: object) -> None:
    checks.instance("model", model, CellModel, "a CellModel, as load_model returns")


def _check_chip(model: object, chip: object) -> None:
    _check_model(model)
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


def _key(seed: Seed) -> tuple[Array, Array]:
    """Return both words of a seed, which is an integer or the words themselves."""
    if isinstance(seed, (tuple, list)):
        words = tuple(seed)
    elif isinstance(seed, (np.ndarray, jax.Array)) and seed.ndim > 0:
        words = tuple(seed if isinstance(seed, jax.Array) else checks.real_array("seed", seed))
    else:
        return seed_words(check_seed(seed))
    if len(words) != 2:
        raise InvalidValueError(f"seed: expected an integer or two words, found {len(words)}")
    low, high = (_integer("seed", word) for word in words)
    return low, high


def _integer(name: str, value: object) -> Array:
    """Return a 32-bit word; an array of JAX may be traced."""
    if not isinstance(value, jax.Array):
        return np.uint32(checks.word(name, value))
    if not jnp.issubdtype(value.dtype, jnp.integer) or value.ndim:
        raise InvalidTypeError(
            f"{name}: expected an integer, found an array of {value.dtype} of shape {value.shape}"
        )
    return jnp.asarray(value, np.uint32)


def _voltages(chip: Chip, u: Array | ArrayLike) -> Array:
    """Return voltages of all cells, float32; values of JAX may be traced and are not checked."""
    shape = chip.cells.r.shape
    if isinstance(u, jax.Array):
        if not jnp.issubdtype(u.dtype, jnp.floating) and not jnp.issubdtype(u.dtype, jnp.integer):
            raise InvalidTypeError(f"u: expected real numbers, found {u.dtype}")
        given = jnp.asarray(u, np.float32)
    else:
        with np.errstate(over="ignore"):  # what float32 cannot hold is found below
            given = checks.real_array("u", u).astype(np.float32)
        if not np.isfinite(given).all():
            raise InvalidValueError("u: expected finite voltages, found NaN or infinity")
    checks.broadcasts("u", given.shape, shape)
    return jnp.broadcast_to(given, shape)


@full_products
def _fabricate(model: CellModel, size: int, key: tuple[Array, Array], order: int) -> Chip:
    low = jnp.arange(size, dtype=np.uint32)
    devices = drawing.fabricate(model, tuple(key), (low, low * 0))
    cells = rules.fresh_state(model, order, devices)
    traps = None if model.traps is None else trap_rules.unmoved(cells.r, cells.cycle)
    return Chip(devices, cells, traps)


def apply_voltage(model: CellModel, chip: Chip, u: Array | ArrayLike) -> Chip:
    """Return the chip after a voltage ``u`` (V), one number or one for each cell; see ``rules``.

    Compiled functions cannot raise errors: a cell that would begin a cycle beyond
    ``rules.MAX_CYCLE`` becomes NaN, and stays NaN.

    Examples
    --------
    >>> model = sf.load_model()
    >>> chip = sf.jax.apply_voltage(model, sf.jax.fabricate(model, 8, seed=1), -2.0)
    >>> bool(chip.cells.in_lrs.all())
    True
    """
    _check_chip(model, chip)
    switched: Chip = _apply_voltage(model, chip, _voltages(chip, u))
    return switched


@full_products
def _apply_voltage(model: CellModel, chip: Chip, u: Array) -> Chip:
    cells = rules.apply_voltage(model, chip.devices, chip.cells, u, _draw_cycle)
    traps = chip.traps and trap_rules.refreshed(chip.traps, cells.r, cells.cycle)
    return Chip(chip.devices, cells, traps)


def wait(
    model: CellModel,
    chip: Chip,
    seconds: float | Array,
    temperature: float | Array = 300.0,
    *,
    number: int | Array,
) -> Chip:
    """Return the chip after a time (s) at a temperature (K); see ``CellArray.wait``.

    Parameters
    ----------
    seconds, temperature
        Numbers; values of JAX may be traced and are not checked.
    number
        Number of this time step of the chip: 0, 1, 2 … in turn, as a ``CellArray`` counts them. Two
        steps with one number would draw the same random numbers.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is out of range, or the model has no traps.
    """
    _check_chip(model, chip)
    if model.traps is None:
        raise without_traps(model)
    step = _step(model.traps, _integer("number", number), seconds, temperature)
    moved: Chip = _wait(model, chip, step)
    return moved


def _step(
    parts: Traps, number: Array, seconds: float | Array, temperature: float | Array
) -> trap_rules.Step:
    """Return a time step, whose time and temperature may be traced."""
    if not isinstance(seconds, jax.Array) and not isinstance(temperature, jax.Array):
        duration, kelvin = checked_time("seconds", seconds), checked_temperature(temperature)
        plain = trap_rules.step_of(parts, 0, duration, kelvin)
        log_time, slope = np.float32(plain.log_time), np.float32(plain.slope)
        return trap_rules.Step(number, log_time, slope)
    duration = _number("seconds", seconds, checked_time)
    kelvin = _number("temperature", temperature, lambda _, value: checked_temperature(value))
    unit = trap_rules.step_of(parts, 0, 1.0, 1.0)  # 1 s at 1 K
    smallest = np.float32(np.finfo(np.float32).tiny)  # a step of 0 s has a finite logarithm
    log_time = jnp.log(jnp.maximum(duration, smallest)) + np.float32(unit.log_time)
    return trap_rules.Step(number, log_time, np.float32(unit.slope) / kelvin)


def _number(name: str, value: float | Array, check: Callable[[str, object], float]) -> Array:
    """Return a number as float32; a value of JAX may be traced."""
    if not isinstance(value, jax.Array):
        return np.float32(check(name, value))
    if not jnp.issubdtype(value.dtype, jnp.floating) and not jnp.issubdtype(
        value.dtype, jnp.integer
    ):
        raise InvalidTypeError(f"{name}: expected a real number, found {value.dtype}")
    if value.ndim:
        raise InvalidValueError(f"{name}: expected one number, found shape {value.shape}")
    return jnp.asarray(value, np.float32)


@full_products
def _wait(model: CellModel, chip: Chip, step: trap_rules.Step) -> Chip:
    assert chip.traps is not None
    devices, cells = chip.devices, chip.cells
    traps = trap_rules.moved(
        model, devices.seed, devices.number, cells.r, cells.cycle, chip.traps, step
    )
    return chip._replace(traps=traps)


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


def current(model: CellModel, chip: Chip, u: Array | ArrayLike) -> Array:
    """Return the noise-free current (A) of every cell at ``u`` (V).

    Examples
    --------
    >>> model = sf.load_model()
    >>> sf.jax.current(model, sf.jax.fabricate(model, 8, seed=1), 0.2).shape
    (8,)
    """
    _check_chip(model, chip)
    return rules.current(model, chip.seen, _voltages(chip, u))


def read(
    model: CellModel,
    chip: Chip,
    u: Array | ArrayLike = 0.2,
    *,
    number: int | Array = 0,
    bandwidth: float = 1e8,
) -> Array:
    """Return the current (A) of every cell at ``u`` (V), with Johnson and shot noise.

    Equal ``number`` of the read, equal noise; ``bandwidth`` is in Hz.
    """
    _check_chip(model, chip)
    volts = _voltages(chip, u)
    noise = ReadNoise.of_bandwidth(bandwidth)
    low = chip.devices.number[0]
    counter = (low >> 2, low * 0)
    index = low * 0 + _integer("number", number)
    z = read_normals(chip.devices.seed, counter, index, low & 3)
    return noisy_current(model, noise.terms, chip.seen, volts, z, noise.coefficients)
