"""Time steps of chips whose model has traps."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from synfab.cells.traps import checked_temperature, checked_time, without_traps
from synfab.jax.arguments import Array, number_of, word_of
from synfab.jax.chip import Chip, check_chip, flat, shaped
from synfab.model.cell_model import CellModel
from synfab.model.traps import Traps
from synfab.physics import traps as trap_rules
from synfab.random.jax_backend import full_products


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
    check_chip(model, chip)
    if model.traps is None:
        raise without_traps(model)
    step = _step(model.traps, word_of("number", number), seconds, temperature)
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
    duration = number_of("seconds", seconds, checked_time)
    kelvin = number_of("temperature", temperature, lambda _, value: checked_temperature(value))
    unit = trap_rules.step_of(parts, 0, 1.0, 1.0)  # 1 s at 1 K
    smallest = np.float32(np.finfo(np.float32).tiny)  # a step of 0 s has a finite logarithm
    log_time = jnp.log(jnp.maximum(duration, smallest)) + np.float32(unit.log_time)
    return trap_rules.Step(number, log_time, np.float32(unit.slope) / kelvin)


@partial(jax.jit, static_argnums=0)
@full_products
def _wait(model: CellModel, chip: Chip, step: trap_rules.Step) -> Chip:
    before = flat(chip)
    devices, cells = before.devices, before.cells
    assert before.traps is not None
    traps = trap_rules.moved(
        model, devices.seed, devices.number, cells.r, cells.cycle, before.traps, step
    )
    return shaped(before._replace(traps=traps), chip.shape)
