"""Traps of cells of a ``KernelEngine``: arrays and constants for ``trap_kernels``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common.types import Array
from synfab.engines.numba import trap_kernels, trap_trace
from synfab.engines.numba.layout import GROUP
from synfab.engines.numba.model32 import MODELS
from synfab.engines.numba.threads import share
from synfab.engines.numba.trap_kernels import Held, Parts, Scratch
from synfab.engines.numba.trap_trace import SAMPLES, TraceWork
from synfab.engines.numba.workspace import per_thread
from synfab.model.cell_model import CellModel
from synfab.physics import rules
from synfab.physics.noise import NONE, ReadNoise
from synfab.physics.traps import (
    Step,
    TrapState,
    amplitude_pieces,
    log_times,
    raising_pieces,
    traps_of,
)

if TYPE_CHECKING:
    from synfab.engines.numba.reading import KernelEngine

# Smallest uniform number, so that smaller probabilities never move a trap.
LEAST = 2.0**-32
# 1 - exp(-x) is 1 in float32 above this x.
SATURATED = 18.0


@lru_cache(maxsize=MODELS)
def round_traps(model: CellModel) -> Parts:
    """Return the traps of a model, rounded to float32; the modes are those of a long step."""
    parts = traps_of(model)
    low, width = log_times(parts)
    nodes, first, slopes = amplitude_pieces(model)
    _, share, share_slopes = raising_pieces(model)
    s, s_c = parts.trap_spread, parts.cell_spread
    numbers = [first, s, s_c, s**2 + s_c**2, rules.highest_state(model), share, parts.raising.any()]
    rounded = {
        "low": low,
        "width": width,
        "spectrum": parts.spectrum,
        "initial": parts.initial_occupancy,
        "equilibrium": parts.occupancy,
        "nodes": nodes,
        "slopes": np.concatenate([slopes, [0.0]]),
        "raising": np.concatenate([share_slopes, [0.0]]),
        "numbers": numbers,
    }
    return Parts(
        mode=np.full(parts.count, trap_kernels.ALWAYS, np.int64),
        **{name: np.array(x, np.float32) for name, x in rounded.items()},
    )


def parts_in(model: CellModel, step: Step) -> Parts:
    """Return the traps of a model in a step: those that cannot move need no random numbers."""
    parts = round_traps(model)
    bottom, width = parts.low.astype(np.float64), parts.width.astype(np.float64)
    # Exponents of the fastest and the slowest trap of each interval, ln(t / tau(T)).
    fastest = step.log_time - step.slope * bottom
    slowest = step.log_time - step.slope * (bottom + width)
    slow = fastest < np.log(0.99 * trap_kernels.SMALL_X)
    mode = np.where(slow, trap_kernels.SELDOM, trap_kernels.PARTLY)
    mode = np.where(slowest > np.log(SATURATED), trap_kernels.ALWAYS, mode)
    never = fastest < np.log(0.5 * LEAST)
    return parts._replace(mode=np.where(never, trap_kernels.NEVER, mode).astype(np.int64))


@per_thread
def scratch() -> Scratch:
    """Return working arrays."""
    words = {name: np.zeros(GROUP, np.uint32) for name in ("fresh", "occupied", "initial", "cycle")}
    return Scratch(
        **words,
        shift=np.zeros(GROUP, np.float32),
        r=np.zeros(GROUP, np.float32),
        share=np.zeros(GROUP, np.float32),
        place=np.zeros(GROUP, np.float32),
        z=np.zeros((2, GROUP), np.float32),
        move=np.zeros((4, GROUP), np.uint32),
        start=np.zeros((4, GROUP), np.uint32),
        own=np.zeros((4, GROUP), np.uint32),
    )


@per_thread
def trace_work() -> TraceWork:
    """Return working arrays."""
    return TraceWork(
        start=np.zeros(4, np.uint32),
        size=np.zeros(32, np.float32),
        moved=np.zeros(32, np.float32),
        word=np.zeros((4, SAMPLES), np.uint32),
        shift=np.zeros(SAMPLES, np.float32),
        r=np.zeros(SAMPLES, np.float32),
    )


def empty(count: int) -> TrapState:
    """Return memory for the traps of ``count`` cells."""
    word, number = np.uint32, np.float32
    return TrapState(*(np.empty(count, kind) for kind in (word, word, number, word, number)))


def refresh(engine: KernelEngine, traps: TrapState) -> TrapState:
    """Return ``traps.refreshed`` of the cells of an engine."""
    after = empty(engine.n_cells)
    fixed = (engine.states, engine.cycles(), Held(*traps), after.known, after.seen)

    def work(low: int, high: int) -> None:
        trap_kernels.refresh(low, high, *fixed)

    share(work, engine.n_cells, engine.n_cells, discardable=True)
    return traps._replace(known=after.known, seen=after.seen)


def move(engine: KernelEngine, traps: TrapState, step: Step) -> TrapState:
    """Return ``traps.moved`` of the cells of an engine."""
    after = empty(engine.n_cells)
    fixed = (
        engine.n_cells, engine.states, engine.cycles(), Held(*traps), Held(*after),
        parts_in(engine.model, step), *_step32(step), engine.parameters32.first,
        engine.parameters32.key,
    )  # fmt: skip

    def work(low: int, high: int) -> None:
        trap_kernels.move(low, high, *fixed, scratch())

    share(work, engine.groups, engine.n_cells, discardable=True)
    return after


def trace(
    engine: KernelEngine,
    cells: Array,
    traps: TrapState,
    step: Step,
    samples: int,
    u: float,
    noise: ReadNoise | None,
    read: int,
) -> tuple[Array, TrapState]:
    """Return ``Engine.trace`` for linear noise."""
    after, currents = empty(len(cells)), np.empty((samples, len(cells)), np.float32)
    johnson, shot = (noise or NONE).coefficients
    number, step32 = _step32(step)
    fixed = (
        np.asarray(cells, np.int64), engine.states[cells], engine.cycles(cells), Held(*traps),
        Held(*after), currents, parts_in(engine.model, step), np.uint64(number), step32,
        np.uint64(read), np.float32(u), engine.curves,
        (np.float32(johnson), np.float32(shot), *engine.slopes), engine.parameters32.first,
        engine.parameters32.key,
    )  # fmt: skip

    def work(low: int, high: int) -> None:
        trap_trace.trace(low, high, *fixed, trace_work())

    share(work, len(cells), len(cells) * samples, discardable=True)
    return currents, after


def _step32(step: Step) -> tuple[Any, tuple[np.float32, np.float32]]:
    return np.uint32(step.number), (np.float32(step.log_time), np.float32(step.slope))
