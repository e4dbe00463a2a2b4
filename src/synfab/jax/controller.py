"""Write-verify controllers as pure functions, equal to ``programming.kernels.next_voltages``."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from synfab.jax.arguments import Array
from synfab.model.cell_model import CellModel
from synfab.programming import controller as rule
from synfab.programming.controller import Last
from synfab.programming.result import Outcome


class Levels(NamedTuple):
    """Tolerance (S), attempts and voltages (V), the same for all cells."""

    within: Array
    retries: Array
    set_first: float
    set_last: float
    set_more: float
    first: float
    limit: float
    full: float
    steepest: float

    @classmethod
    def of(cls, model: CellModel, within: Array, retries: Array) -> Levels:
        """Return the levels of a technology, as ``Controllers`` of NumPy has them."""
        made = rule.Controllers(model, np.empty(0), 1.0, 0)
        return cls(
            within, retries, made.set_first, made.set_last, made.set_more, made.first, made.limit,
            made.full, made.steepest,
        )  # fmt: skip


class Controllers(NamedTuple):
    """What the controllers know of each cell; all arrays have the shape of the cells."""

    last: Array
    amplitude: Array
    begin: Array
    set_level: Array
    slope: Array
    step: Array
    before: Array
    top: Array
    attempts: Array
    pulses: Array
    above_lrs: Array
    below_hrs: Array
    given_up: Array
    settled: Array
    reason: Array

    @classmethod
    def of(cls, levels: Levels, targets: Array) -> Controllers:
        """Return controllers that know nothing yet."""
        zero, none = jnp.zeros_like(targets), jnp.zeros(targets.shape, np.int32)
        no = jnp.zeros(targets.shape, np.bool_)
        return cls(
            last=jnp.full(targets.shape, int(Last.NOTHING), np.int8), amplitude=zero,
            begin=zero + levels.first, set_level=zero + levels.set_first,
            slope=zero + levels.steepest, step=zero, before=jnp.full_like(zero, np.nan), top=zero,
            attempts=none, pulses=none, above_lrs=none, below_hrs=none, given_up=no, settled=no,
            reason=jnp.full(targets.shape, int(Outcome.MISSED), np.int8),
        )  # fmt: skip


def next_voltages(
    levels: Levels, targets: Array, known: Controllers, g: Array
) -> tuple[Array, Controllers]:
    """Return the voltage (V) for each cell after reading ``g`` (S), NaN: no pulse; see the rule."""
    has_target = jnp.isfinite(targets)
    off = g - targets
    after_set, stair = known.last == int(Last.SET), known.last == int(Last.STAIR)
    top = jnp.where(after_set, g, known.top)
    accepted = jnp.where(known.settled, levels.within, rule.SETTLE * levels.within)
    settled = jnp.abs(off) <= accepted
    active = has_target & ~settled & ~known.given_up
    no_lrs, jumped = active & (off < 0.0) & after_set, active & (off < 0.0) & stair
    no_hrs = active & (off > 0.0) & stair & (known.amplitude >= levels.limit)
    now = _after_failures(levels, known._replace(top=top, settled=settled), no_lrs, jumped, no_hrs)
    active &= ~now.given_up
    climbing = active & (off > 0.0) & stair & ~no_hrs
    slope, step = _step_of(levels, now, climbing, g, off)
    again = active & (off > 0.0) & ~stair & (known.last != int(Last.NOTHING))
    voltage = jnp.where(again, now.begin, now.set_level)
    voltage = jnp.where(no_lrs, levels.limit, voltage)
    climb = jnp.minimum(known.amplitude + step, levels.limit)
    voltage = jnp.where(climbing, climb, voltage)
    # A cell in its LRS needs a RESET before it can draw a new cycle.
    last = jnp.where(no_lrs & active, int(Last.FULL_RESET), known.last).astype(np.int8)
    learned = now._replace(last=last, slope=slope, step=step, before=g)
    return jnp.where(active, voltage, np.nan), _kept(has_target, learned, known)


def _kept(has_target: Array, new: Controllers, old: Controllers) -> Controllers:
    """Return the new knowledge of the cells that have a target."""
    return Controllers(*(jnp.where(has_target, a, b) for a, b in zip(new, old, strict=True)))


def _after_failures(
    levels: Levels, known: Controllers, no_lrs: Array, jumped: Array, no_hrs: Array
) -> Controllers:
    """Return controllers after attempts that failed: levels of the next one, or given up."""
    failed = no_lrs | jumped | no_hrs
    attempts = known.attempts + failed
    above, below = known.above_lrs + no_lrs, known.below_hrs + no_hrs
    # An unsuccessful SET looks the same as a low LRS, so the next SET is stronger.
    stronger = jnp.maximum(known.set_level + levels.set_more, levels.set_last)
    earlier = jnp.maximum(known.amplitude - rule.BACK, levels.first)
    earlier = jnp.where(known.amplitude <= known.begin, levels.first, earlier)
    begin = jnp.where(jumped, earlier, known.begin)
    over = failed & (attempts > levels.retries)
    reason = jnp.where(over & (above == attempts), int(Outcome.TARGET_ABOVE_LRS), known.reason)
    reason = jnp.where(over & (below == attempts), int(Outcome.TARGET_BELOW_HRS), reason)
    return known._replace(
        attempts=attempts,
        above_lrs=above,
        below_hrs=below,
        set_level=jnp.where(no_lrs, stronger, known.set_level),
        # Another HRS can be drawn at once, without a slow staircase.
        begin=jnp.where(no_hrs & ~no_lrs & ~jumped, levels.full, begin),
        given_up=known.given_up | over,
        reason=reason.astype(np.int8),
    )


def _step_of(
    levels: Levels, known: Controllers, climbing: Array, g: Array, off: Array
) -> tuple[Array, Array]:
    """Return the slopes (S/V) and the steps (V) of the staircases; 0 V for other cells."""
    least = levels.steepest / 30.0
    fell, taken = known.before - g, known.step
    moved = climbing & (taken > 0.0) & (fell > levels.within / 2.0)
    flat = climbing & (taken > 0.0) & ~moved & (known.top - g > 3.0 * levels.within)
    measured = fell / jnp.where(moved, taken, 1.0)
    slope = jnp.where(moved, jnp.clip(measured, least, 2.0 * levels.steepest), known.slope)
    # Once a cell hardly changes, its slope is too small to measure above the noise.
    slope = jnp.where(flat, jnp.maximum(rule.FLATTER * known.slope, least), slope)
    gains = jnp.asarray(rule.GAINS, g.dtype)
    gain = gains[jnp.minimum(known.attempts, len(rule.GAINS) - 1)]
    step = jnp.clip(gain * off / slope, rule.MIN_RISE, rule.MAX_RISE)
    return slope, jnp.where(climbing, step, 0.0)


def fired(levels: Levels, known: Controllers, voltage: Array) -> Controllers:
    """Return controllers that know of the pulses (V, NaN: none) applied to the cells."""
    # FULL_RESET was recorded by next_voltages; these cells are SET next.
    reset = (voltage > 0.0) & (known.last != int(Last.FULL_RESET))
    set_ = voltage < 0.0
    last = jnp.where(reset, int(Last.STAIR), jnp.where(set_, int(Last.SET), known.last))
    return known._replace(
        pulses=known.pulses + jnp.isfinite(voltage),
        last=last.astype(np.int8),
        amplitude=jnp.where(reset, voltage, known.amplitude),
        slope=jnp.where(set_, levels.steepest, known.slope),
    )


def outcomes(levels: Levels, targets: Array, known: Controllers) -> Array:
    """Return the ``Outcome`` of every cell after its last read, int8."""
    reached = jnp.abs(known.before - targets) <= levels.within
    outcome = jnp.where(reached, int(Outcome.REACHED), known.reason)
    return jnp.where(jnp.isfinite(targets), outcome, int(Outcome.LEFT_ALONE)).astype(np.int8)
