"""Reference implementation of the switching rules, vectorised for any Array API library.

Source of the model: T. Hennen et al., Front. Neurosci. 16:941753 (2022); T. Hennen, L. Brackmann
et al., IEEE TED (2024), arXiv 2404.06344. SET happens at negative voltage, RESET at positive.

All functions accept and return arrays of one Array API namespace for M cells, float32 unless stated
otherwise. They return a new state and modify nothing in place. Faster engines reimplement these
functions for their hardware and are tested against them. ``drawing`` holds what is random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from array_api_compat import array_namespace

from synfab.common.types import AnyArray as Array
from synfab.model.cell_model import CellModel
from synfab.physics.drawing import (  # noqa: F401 - some only for users of earlier versions
    NEVER,
    Devices,
    Features,
    block_ends,
    component_bounds,
    current_vector,
    cycle_features,
    draw_cycle,
    draw_normals,
    fabricate,
    features_of,
    marginal,
    next_block,
    polynomial,
)  # fmt: skip
from synfab.random.arrays import constant, count_up, product
from synfab.random.backend import Compiler, as_it_is
from synfab.random.streams import Stream

# Relative distance of r(R_HRS) from r_max, above which current would flow against the voltage:
# larger than float32 rounding errors, but physically negligible.
MARGIN = 2.0**-20
# Last cycle of a cell, in all engines and circuit models: kernels store 30-bit cycle numbers.
MAX_CYCLE = 2**30 - 1


class SwitchingState(NamedTuple):
    """State of M cells that voltage pulses change within a cycle. All arrays are (M,)."""

    r: Array  # mixing state, 1 = HHRS side
    threshold: Array  # V; RESET continues above this voltage
    steepness: Array  # a of the transition curve, A/V**eta
    in_hrs: Array
    in_lrs: Array


class CellState(NamedTuple):
    """State of M cells with a block of history: ``SwitchingState``, cycle and block."""

    r: Array
    threshold: Array
    steepness: Array
    in_hrs: Array
    in_lrs: Array
    cycle: Array  # n, (M,), unsigned
    # (slots, 4, M): p consecutive vectors x* including x*_n, oldest first, then the averages after
    # the last of them
    block: Array


class Switching(NamedTuple):
    """Switching operations of M cells in one pulse. All arrays are boolean, (M,)."""

    set_: Array
    partial: Array  # partial RESET
    full: Array  # complete RESET
    draw: Array  # RESET from the LRS, which begins a new cycle


# Either state class: the rules replace the fields that change and keep the others.
State = TypeVar("State", SwitchingState, CellState)


# ---- conduction ---------------------------------------------------------------------------------


def limiting_currents(model: CellModel, u: Array) -> tuple[Array, Array]:
    """Return P_LLRS(u), P_HHRS(u) in A; ohmic outside the trained range: P(U_end) u / U_end."""
    xp = array_namespace(u)
    low, high = model.conduction.voltage_range
    inside = xp.where(u < low, low, xp.where(u > high, high, u))
    outside = inside != u
    stretch = xp.where(outside, u / xp.where(outside, inside, 1.0), 1.0)
    return (
        polynomial(model.conduction.llrs, inside) * stretch,
        polynomial(model.conduction.hhrs, inside) * stretch,
    )


def current(model: CellModel, r: Array, u: Array) -> Array:
    """Return the current I(r, U) = (1 - r) P_LLRS(U) + r P_HHRS(U), in A."""
    llrs, hhrs = limiting_currents(model, u)
    return llrs + r * (hhrs - llrs)


def state_of_conductance(model: CellModel, conductance: Array) -> Array:
    """Return the mixing state of a conductance 1/R (S): r(R) = (G_L - 1/R) / (G_L - G_H)."""
    # Multiplication by the reciprocal, as in the kernels, for bit-identical results.
    return (model.conduction.g_llrs - conductance) * (1.0 / model.conduction.g_span)


def highest_state(model: CellModel) -> float:
    """Return the largest allowed r, just below r_max, so that every cell is passive."""
    return model.conduction.r_max * (1.0 - MARGIN)


def hrs_state(model: CellModel, r_hrs: Array) -> Array:
    """Return the state of the HRS, r(R_HRS), limited to below r_max."""
    xp = array_namespace(r_hrs)
    r, top = state_of_conductance(model, 1.0 / r_hrs), highest_state(model)
    return xp.where(r > top, top, r)


def lrs_state(model: CellModel, r_lrs: Array) -> Array:
    """Return the state of the LRS, r(R_LRS), which may be negative."""
    return state_of_conductance(model, 1.0 / r_lrs)


# ---- new cells ----------------------------------------------------------------------------------


def fresh_state(model: CellModel, order: int, devices: Devices) -> CellState:
    """Return newly fabricated cells: in the HRS, cycle 0, history drawn from its stationary law."""
    number = devices.number
    index = count_up(0, model.history(order).slots, number[0])[:, None]
    return rested_state(
        model, order, devices, draw_normals(devices.seed, number, index, Stream.INITIAL_HISTORY)
    )


def rested_state(model: CellModel, order: int, devices: Devices, eps: Array) -> CellState:
    """Return ``fresh_state`` for given normal numbers ``eps``, (4, slots, M).

    They belong to the cycles, newest first, and then to the averages.
    """
    xp = array_namespace(eps)
    history = model.history(order)
    stacked = xp.reshape(xp.permute_dims(eps, (1, 0, 2)), (4 * history.slots, -1))
    factor = constant(history.stationary_factor, eps)
    drawn = xp.reshape(product(factor, stacked), (history.slots, 4, -1))
    block = xp.concat([xp.flip(drawn[:order, :, :], axis=0), drawn[order:, :, :]])
    cycle = devices.number[0] * 0
    features = cycle_features(model, devices, block, cycle)
    zero = features.u_reset * 0.0
    fresh = zero == 0.0
    return CellState(
        r=hrs_state(model, features.r_hrs),
        threshold=zero,
        steepness=xp.zeros_like(zero),
        in_hrs=fresh,
        in_lrs=~fresh,
        cycle=cycle,
        block=block,
    )


# ---- switching ----------------------------------------------------------------------------------


def apply_voltage(
    model: CellModel,
    devices: Devices,
    state: CellState,
    u: Array,
    draw: Callable[..., tuple[Array, Array]] = draw_cycle,
    compiled: Compiler = as_it_is,
) -> CellState:
    """Return the state of cells with a block of history after a voltage pulse ``u`` (V), (M,).

    Parameters
    ----------
    draw
        Function that advances the history, like ``draw_cycle``.
    compiled
        See ``pulse``.
    """
    block, cycle = state.block, state.cycle

    def begin_cycle(begins: Array) -> tuple[Devices, Array, Array]:
        nonlocal block, cycle
        block, cycle = draw(model, devices, block, cycle, begins)
        return devices, block, cycle

    before = SwitchingState(*state[: len(SwitchingState._fields)])
    now = (devices, block, cycle)
    after = pulse(model, now, before, u, begin_cycle, cycle_features, compiled)
    return CellState(*after, cycle, block)


def as_features(model: CellModel, *features: Array) -> Features:
    """Return the given arrays as ``Features``; used when the features are already computed."""
    return Features(*features)


def pulse(
    model: CellModel,
    cycle: tuple[Any, ...],
    state: SwitchingState,
    u: Array,
    begin_cycle: Callable[[Array], tuple[Any, ...]],
    features: Callable[..., Features] = as_features,
    compiled: Compiler = as_it_is,
) -> SwitchingState:
    """Return the state of cells after one voltage pulse (Hennen et al. 2022).

    Only this function combines the three steps of a pulse: select, draw, settle.

    Parameters
    ----------
    cycle
        Features of the cycle before the pulse, or arguments from which
        ``features(model, *cycle)`` computes them.
    u
        Voltages (V), (M,).
    begin_cycle
        Function of the mask (M,) of cells that begin a cycle: advances their history and returns
        the new ``cycle`` of all M cells.
    compiled
        ``compiled(function, first)`` returns a faster function with its first arguments bound.
    """
    switching = compiled(_select, (model, features))(cycle, state, u)
    after: SwitchingState = compiled(_settle, (model, features))(
        begin_cycle(switching.draw), state, switching, u
    )
    return after


def _select(model: CellModel, features: Any, cycle: Any, state: State, u: Array) -> Switching:
    return select(model, features(model, *cycle), state, u)


def _settle(
    model: CellModel, features: Any, cycle: Any, state: State, switching: Switching, u: Array
) -> State:
    return settle(model, features(model, *cycle), state, switching, u)


def select(model: CellModel, features: Features, state: State, u: Array) -> Switching:
    """Return which cells switch: SET at ``u <= u_set``, RESET above the threshold.

    RESET is partial below ``u_max`` and complete at or above it; from the LRS it begins a cycle.
    """
    u_max = model.conduction.u_max
    set_ = ~state.in_lrs & (u <= features.u_set)
    reset = ~state.in_hrs & (u > state.threshold) & ~set_
    return Switching(set_, reset & (u < u_max), reset & (u >= u_max), reset & state.in_lrs)


def settle(
    model: CellModel, features: Features, state: State, switching: Switching, u: Array
) -> State:
    """Return the state after the pulse; ``features`` are those of the cycle after the draw.

    A RESET from the LRS follows a transition curve I_t(U) = a |U_max - U|**eta + c of that cycle:
    from the current of the cell at its threshold to the current of its new HRS at U_max.
    """
    xp = array_namespace(u)
    u_max, eta = model.conduction.u_max, model.conduction.eta
    set_, partly, full, draw = switching

    r_hrs = hrs_state(model, features.r_hrs)
    floor = current(model, r_hrs, u * 0.0 + u_max)
    start = draw & partly
    rise = xp.where(start, u_max - state.threshold, 1.0)
    steepness = (current(model, state.r, state.threshold) - floor) / rise**eta
    steepness = xp.where(start, steepness, state.steepness)

    r_partial = transition_state(model, state.r, steepness, floor, xp.where(partly, u, 0.0))
    r = xp.where(partly, r_partial, state.r)
    r = xp.where(full, r_hrs, r)
    r = xp.where(set_, lrs_state(model, features.r_lrs), r)
    reset = partly | full
    return state._replace(
        r=r,
        threshold=xp.where(set_, features.u_reset, xp.where(reset, u, state.threshold)),
        steepness=steepness,
        in_hrs=(state.in_hrs & ~set_) | full,
        in_lrs=(state.in_lrs & ~reset) | set_,
    )


def transition_current(model: CellModel, steepness: Array, floor: Array, u: Array) -> Array:
    """Return I_t(U) = a |U_max - U|**eta + c for U <= U_max, in A; ``floor`` is c."""
    return steepness * (model.conduction.u_max - u) ** model.conduction.eta + floor


def transition_state(model: CellModel, r: Array, steepness: Array, floor: Array, u: Array) -> Array:
    """Return the state r after a partial RESET: the solution of I(r, U) = I_t(U).

    A RESET never lowers the resistance, and the result is always a passive state.
    """
    xp = array_namespace(u)
    llrs, hhrs = limiting_currents(model, u)
    span = llrs - hhrs
    carries = span != 0.0  # at U = 0 the current is zero in every state
    solved = llrs - transition_current(model, steepness, floor, u)
    solved = xp.where(carries, solved / xp.where(carries, span, 1.0), r)
    top = highest_state(model)
    solved = xp.where(solved > top, top, solved)
    return xp.where(solved > r, solved, r)


# ---- ideal programming --------------------------------------------------------------------------


def program(model: CellModel, features: Features, state: State, r: Array) -> State:
    """Return the state of cells set ideally to ``r``, each on its own transition curve.

    At or below r(R_LRS) of its cycle, a cell is SET; at or above r(R_HRS), it is RESET. In between,
    it is on the transition curve from (u_reset, R_LRS) to (U_max, R_HRS) of its cycle, and its
    threshold is the pulse voltage that leads to ``r``. No cycle is drawn. Cells that failed keep
    their state.
    """
    xp = array_namespace(r)
    u_max, eta = model.conduction.u_max, model.conduction.eta
    r_lrs, r_hrs = lrs_state(model, features.r_lrs), hrs_state(model, features.r_hrs)
    in_lrs = r <= r_lrs
    in_hrs = ~in_lrs & (r >= r_hrs)

    floor = current(model, r_hrs, r * 0.0 + u_max)
    rise = u_max - features.u_reset
    rise = xp.where(rise > 0.0, rise, 1.0)
    steepness = (current(model, r_lrs, features.u_reset) - floor) / rise**eta
    # If u_reset exceeds U_max, there is no transition curve, and the threshold is U_max.
    low, high = xp.where(features.u_reset < u_max, features.u_reset, u_max), r * 0.0 + u_max
    for _ in range(30):  # bisection to float32 precision
        middle = (low + high) * 0.5
        reached = transition_state(model, r_lrs, steepness, floor, middle)
        low, high = xp.where(reached < r, middle, low), xp.where(reached < r, high, middle)
    threshold = xp.where(in_lrs | in_hrs, features.u_reset, high)
    programmed = (r, threshold, steepness, in_hrs, in_lrs)
    if model.failure is not None:
        stuck = (features.u_reset >= NEVER) | (features.u_set <= -NEVER)
        programmed = tuple(
            xp.where(stuck, old, new) for old, new in zip(state, programmed, strict=False)
        )
    return state._replace(**dict(zip(SwitchingState._fields, programmed, strict=True)))
