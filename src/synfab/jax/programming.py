"""Programming of a chip: ideally, or by write-verify in a loop that JAX compiles."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import ArrayLike
from synfab.jax.arguments import Array, floats_of, mask_of
from synfab.jax.chip import Chip, apply_voltage, check_chip, flat, shaped
from synfab.jax.controller import Controllers, Levels, fired, next_voltages, outcomes
from synfab.jax.reading import advance, current, read
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.programming.pulser import DURATION
from synfab.programming.result import TOLERANCE, check_targets
from synfab.programming.write_verify import MAX_PASSES, RETRIES
from synfab.random.jax_backend import full_products


def set_conductance(
    model: CellModel,
    chip: Chip,
    g: Array | ArrayLike,
    *,
    where: Array | ArrayLike | None = None,
) -> Chip:
    """Return the chip with cells set to static conductances ``g`` (S) at U_0, without pulses.

    The same as ``CellArray.set_conductance``; conductances outside the technology's range are
    clipped if they are traced, and refused otherwise.

    Examples
    --------
    >>> model = sf.load_model()
    >>> chip = sf.jax.set_conductance(model, sf.jax.fabricate(model, 3, seed=1), [2e-5, 5e-5, 1e-4])
    >>> [f"{i * 1e6:.0f} uA" for i in sf.jax.current(model, chip, 0.2)]
    ['4 uA', '10 uA', '20 uA']
    """
    shape = check_chip(model, chip)
    mask = mask_of(where, shape)
    states = _states(model, g, shape, mask)
    placed: Chip = _set_conductance(model, chip, states, mask)
    return placed


def _states(
    model: CellModel, g: Array | ArrayLike, shape: tuple[int, ...], where: Array | None
) -> Array:
    """Return mixing states of static conductances (S), float32."""
    conduction, top = model.conduction, rules.highest_state(model)
    if isinstance(g, jax.Array):
        given = floats_of("g", g)
        checks.broadcasts("g", given.shape, shape)
        return jnp.broadcast_to(jnp.clip(conduction.state(given), 0.0, np.float32(top)), shape)
    exact = checks.real_array("g", g).astype(np.float64)
    checks.broadcasts("g", exact.shape, shape)
    exact = np.broadcast_to(exact, shape)
    low, high = conduction.g_llrs - top * conduction.g_span, conduction.g_llrs
    used = exact[where] if isinstance(where, np.ndarray) else exact
    if not ((used >= low) & (used <= high)).all():
        raise InvalidValueError(
            f"g: expected {low:.4g} … {high:.4g} S, found {used.min():.4g} … {used.max():.4g} S"
        )
    return np.minimum(conduction.state(exact).astype(np.float32), np.float32(top))


@partial(jax.jit, static_argnums=0)
@full_products
def _set_conductance(model: CellModel, chip: Chip, r: Array, where: Array | None) -> Chip:
    before = flat(chip)
    features = drawing.cycle_features(model, before.devices, before.cells.block, before.cells.cycle)
    mask = jnp.ones(r.size, np.bool_) if where is None else where.reshape(-1)
    placed = rules.program(model, features, before.cells, r.reshape(-1))
    kept = jax.tree.map(lambda new, old: jnp.where(mask, new, old), placed, before.cells)
    traps = before.traps
    if traps is not None:
        known = jnp.where(mask, np.float32(np.nan), traps.known)
        traps = traps._replace(known=known, seen=jnp.where(mask, kept.r, traps.seen))
    return shaped(before._replace(cells=kept, traps=traps), chip.shape)


class Programmed(NamedTuple):
    """Result of programming; arrays have the shape of the cells, see ``Programming``."""

    achieved: Array  # S at U_0, without noise; NaN where there is no target
    outcome: Array  # ``Outcome`` of each cell, int8
    pulses: Array  # SET and RESET pulses
    energy: Array  # J
    passes: Array  # number of verifications that were followed by pulses


def write_verify(
    model: CellModel,
    chip: Chip,
    targets: Array | ArrayLike,
    *,
    tolerance: float | None = None,
    retries: int = RETRIES,
    max_passes: int = MAX_PASSES,
    duration: float = DURATION,
    erase: bool = True,
) -> tuple[Chip, Programmed]:
    """Return the chip after write-verify programming, and what it took.

    Every cell is read and pulsed until it reads within the tolerance, by the same rule as
    ``Crossbar.program``. The loop is one ``while_loop``, so it can be compiled, and mapped over
    chips. The reads count up the chip's ``read_number``.

    Parameters
    ----------
    targets
        Conductances (S) that broadcast to the shape of the cells; NaN: do not program the cell.
        They may be traced.
    tolerance
        Accepted distance from the target, S; None: 1 % of the LLRS conductance.
    retries
        Number of attempts per cell after the first.
    max_passes
        Maximum number of passes, which read and pulse the cells.
    duration
        Of a pulse, s, for the energy.
    erase
        Whether a full RESET of all cells with a target comes first, so that the result does not
        depend on what they held. Cells set ideally must be erased.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.

    Examples
    --------
    >>> model = sf.load_model()
    >>> chip = sf.jax.fabricate(model, (2, 3), seed=1, order=1)
    >>> chip, result = sf.jax.write_verify(model, chip, 5e-5)
    >>> bool((abs(result.achieved - 5e-5) < 5e-6).all())
    True
    """
    shape = check_chip(model, chip)
    if isinstance(targets, jax.Array):
        given = floats_of("targets", targets)
        checks.broadcasts("targets", given.shape, shape)
        wanted = jnp.broadcast_to(given, shape)
    else:
        wanted = check_targets(shape, targets)
    within = (
        TOLERANCE * model.conduction.g_llrs
        if tolerance is None
        else checks.positive("tolerance", tolerance)
    )
    found: tuple[Chip, Programmed] = _write_verify(
        model,
        checks.flag("erase", erase),
        chip,
        wanted,
        within,
        checks.integer("retries", retries, 0, 2**31 - 1),
        checks.integer("max_passes", max_passes, 0, 2**31 - 1),
        checks.number("duration", duration, minimum=0.0),
    )
    return found


class _Pass(NamedTuple):
    """What the loop carries from pass to pass."""

    chip: Chip
    controllers: Controllers
    voltage: Array  # V, of the next pulse; NaN: none
    energy: Array  # J
    passes: Array


@partial(jax.jit, static_argnums=(0, 1))
def _write_verify(
    model: CellModel,
    erase: bool,
    chip: Chip,
    targets: Array,
    within: Array,
    retries: Array,
    max_passes: Array,
    duration: Array,
) -> tuple[Chip, Programmed]:
    targets = jnp.asarray(targets, jnp.result_type(float))
    levels = Levels.of(model, within, retries)

    def pulse(now: _Pass) -> _Pass:
        given = jnp.isfinite(now.voltage)
        switched = apply_voltage(model, now.chip, now.voltage, where=given)
        u = jnp.where(given, now.voltage, 0.0)
        power = jnp.abs(current(model, switched, u) * u)
        return now._replace(chip=switched, energy=now.energy + power * duration)

    def verify(now: _Pass) -> _Pass:
        u_0 = model.conduction.u_0
        g = read(model, now.chip, u_0).astype(targets.dtype) / u_0
        voltage, controllers = next_voltages(levels, targets, now.controllers, g)
        return now._replace(
            chip=advance(now.chip, reads=1), controllers=controllers, voltage=voltage
        )

    def go_on(now: _Pass) -> Array:
        return jnp.isfinite(now.voltage).any() & (now.passes < max_passes)

    def one_pass(now: _Pass) -> _Pass:
        recorded = now._replace(controllers=fired(levels, now.controllers, now.voltage))
        return verify(pulse(recorded._replace(passes=now.passes + 1)))

    has_target = jnp.isfinite(targets)
    start = Controllers.of(levels, targets)
    reset = jnp.where(has_target, levels.limit, np.nan).astype(targets.dtype)
    now = _Pass(advance(chip), start, reset, jnp.zeros_like(targets), jnp.int32(0))
    if erase:
        start = start._replace(pulses=start.pulses + has_target)
        now = pulse(now._replace(controllers=start))
    now = jax.lax.while_loop(go_on, one_pass, verify(now))
    conduction = model.conduction
    achieved = conduction.g_llrs - now.chip.seen * conduction.g_span
    return now.chip, Programmed(
        jnp.where(has_target, achieved, np.nan),
        outcomes(levels, targets, now.controllers),
        now.controllers.pulses,
        now.energy,
        now.passes,
    )
