"""Reference implementation of traps, whose occupancy changes the conductance over time.

Arrays and their namespaces are as in ``rules``. ``Traps`` has the equations.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from synfab.common.types import AnyArray as Array
from synfab.model.cell_model import CellModel
from synfab.model.traps import NOMINAL_TEMPERATURE, Traps
from synfab.physics.drawing import draw_normals
from synfab.physics.rules import highest_state
from synfab.random.arrays import constant
from synfab.random.streams import Stream, normals, uniform, words

# Index of the stream of the population whose first normal number is z_c.
CELL_INDEX = 3
CALL = 256  # distance between the calls of one index, in the last word of the counter
INITIAL_CALLS = 8  # first call of a time step for initial occupancies
FOUR = 4  # traps per call
# Largest exponents that float32 functions accept on every library.
LIMIT = 80.0


class TrapState(NamedTuple):
    """Traps of M cells, (M,) each. A cell that has switched draws its traps at the next step."""

    occupied: Array  # words; bit k is set if trap k is occupied
    initial: Array  # words; the same at the moment of programming
    known: Array  # r at the last time step; NaN where the cell has switched since
    cycle: Array  # words; cycle number at the last time step
    seen: Array  # r as reads see it


class Step(NamedTuple):
    """A time step; see ``step_of``."""

    number: Any  # a word
    log_time: Any  # ln(t / attempt_time)
    slope: Any  # 300 K / T


def step_of(parts: Traps, number: int, seconds: float, temperature: float) -> Step:
    """Return a time step (s) at a temperature (K); a step of 0 s has a finite logarithm."""
    log_time = math.log(max(seconds, 1e-300)) - math.log(parts.attempt_time)
    return Step(number, _f(log_time), _f(NOMINAL_TEMPERATURE / temperature))


def unmoved(r: Array, cycle: Array) -> TrapState:
    """Return traps of cells in the states ``r`` that have just been programmed."""
    xp = array_namespace(r)
    zero = cycle * 0
    return TrapState(zero, zero, xp.full_like(r, math.nan), zero, xp.asarray(r, copy=True))


def refreshed(traps: TrapState, r: Array, cycle: Array) -> TrapState:
    """Return traps after possible switching events; those cells are seen as programmed."""
    xp = array_namespace(r)
    same = (traps.known == r) & (traps.cycle == cycle)
    return traps._replace(known=xp.where(same, r, math.nan), seen=xp.where(same, traps.seen, r))


def moved(
    model: CellModel,
    seed: Any,
    number: tuple[Array, Array],
    r: Array,
    cycle: Array,
    traps: TrapState,
    step: Step,
) -> TrapState:
    """Return traps after a time step; exact for steps of any length.

    Parameters
    ----------
    seed, number
        As in ``drawing.Devices``.
    r, cycle
        Programmed mixing states and cycle numbers, (M,).
    """
    xp = array_namespace(r)
    traps = refreshed(traps, r, cycle)
    parts, fresh = traps_of(model), xp.isnan(traps.known)
    share = raising_share(model, r)
    occupied, initial, shift = cycle * 0, cycle * 0, r * 0.0
    for first in range(0, parts.count, FOUR):
        start = drawn_at_first(parts, seed, number, step, first)
        count = start.shape[0]
        start = xp.where(fresh, start, _bits(traps.initial, first, count))
        before = xp.where(fresh, start, _bits(traps.occupied, first, count))
        times, z = trap_parameters(seed, number, cycle, first, count)
        raises, place = orientation(share, times)
        exchanged = exchange(parts, first, place, step)
        q = _column(parts.occupancy, first, r)
        chance = xp.where(before == 1, (1.0 - q) * exchanged, q * exchanged)
        moves = uniform(_stacked(seed, number, step.number, _move_call(first), count)) <= chance
        after = before ^ xp.astype(moves, before.dtype)
        size = _column(parts.spectrum, first, r) * xp.exp(_f(parts.trap_spread) * z)
        size = xp.where(raises, -size, size)
        size = xp.where(after == start, size * 0.0, xp.where(after == 1, size, -size))
        for k in range(count):  # one after the other, so that sums have the same rounding
            occupied = occupied | (after[k, :] << (first + k))
            initial = initial | (start[k, :] << (first + k))
            shift = shift + size[k, :]
    scale = amplitude_in_r(model, r) * cell_factor(parts, seed, number)
    # Copies, because engines may change the arrays of their cells in place.
    known, at = xp.asarray(r, copy=True), xp.asarray(cycle, copy=True)
    return TrapState(occupied, initial, known, at, seen_state(model, r, scale * shift))


def drawn_at_first(
    parts: Traps, seed: Any, number: tuple[Array, Array], step: Step, first: int
) -> Array:
    """Return bits of up to four traps from ``first`` on, as drawn after a switching event."""
    count, call = min(FOUR, parts.count - first), _move_call(first, INITIAL_CALLS)
    drawn = uniform(_stacked(seed, number, step.number, call, count))
    xp = array_namespace(drawn)
    return xp.astype(drawn <= _column(parts.initial_occupancy, first, drawn), number[0].dtype)


def orientation(share: Array, times: Array) -> tuple[Array, Array]:
    """Return which traps raise the conductance when occupied, and their places in the intervals.

    One uniform number u of a word in ``times`` decides both: the trap raises it if u <= share, and
    the place, which is uniform again, is u / share then and (u - share) / (1 - share) otherwise.
    """
    u = uniform(times)
    xp = array_namespace(u)
    share = share + 0.0 * u
    raises = u <= share
    below, width = xp.where(raises, share * 0.0, share), xp.where(raises, share, 1.0 - share)
    return raises, (u - below) / width


def exchange(parts: Traps, first: int, place: Array, step: Step) -> Array:
    """Return 1 - exp(-t / tau(T)) of traps from ``first`` on.

    ``place``: where ln tau is in the interval of the trap, from 0 to 1, (n, M).
    """
    xp = array_namespace(place)
    low, width = (_column(values, first, place) for values in log_times(parts))
    above = low + width * place  # ln(tau / attempt_time)
    exponent = step.log_time - step.slope * above
    exponent = xp.where(exponent > LIMIT, LIMIT, xp.where(exponent < -LIMIT, -LIMIT, exponent))
    return -xp.expm1(-xp.exp(exponent))


def log_times(parts: Traps) -> tuple[Any, Any]:
    """Return ln(tau / attempt_time) at the lower edges of the intervals, and their widths."""
    edges = np.log(parts.time_constants / parts.attempt_time)
    return edges[:-1], np.diff(edges)


def cell_factor(parts: Traps, seed: Any, number: tuple[Array, Array]) -> Array:
    """Return exp(s_c z_c - s**2 - s_c**2), the part of the amplitudes that belongs to the cell."""
    zero = number[0] * 0
    z = draw_normals(seed, number, zero + CELL_INDEX, Stream.POPULATION)[0, :]
    xp = array_namespace(z)
    constants = parts.trap_spread**2 + parts.cell_spread**2
    return xp.exp(_f(parts.cell_spread) * z - _f(constants))


def amplitude_in_r(model: CellModel, r: Array) -> Array:
    """Return the amplitude A(G) of cells programmed to ``r`` as a change of r."""
    return _interpolated(r, *amplitude_pieces(model))


def raising_share(model: CellModel, r: Array) -> Array:
    """Return the share of traps that raise the conductance of cells programmed to ``r``."""
    return _interpolated(r, *raising_pieces(model))


def _interpolated(r: Array, nodes: Any, first: float, slopes: Any) -> Array:
    """Return a function of r that is linear between ascending nodes and constant outside."""
    xp = array_namespace(r)
    found = r * 0.0 + _f(first)
    for low, high, slope in zip(nodes[:-1], nodes[1:], slopes, strict=True):
        inside = xp.where(r < _f(high), r, _f(high)) - _f(low)
        found = found + _f(slope) * xp.where(inside > 0.0, inside, 0.0)
    return found


def amplitude_pieces(model: CellModel) -> tuple[Any, float, Any]:
    """Return the amplitude as a function of r: ascending nodes, first value, slopes between."""
    return _pieces(model, traps_of(model).amplitude / model.conduction.g_span)


def raising_pieces(model: CellModel) -> tuple[Any, float, Any]:
    """Return the share of raising traps as ``amplitude_pieces`` returns the amplitude."""
    return _pieces(model, traps_of(model).raising)


def _pieces(model: CellModel, values: Any) -> tuple[Any, float, Any]:
    nodes = model.conduction.state(traps_of(model).conductance[::-1])
    return nodes, float(values[-1]), np.diff(values[::-1]) / np.diff(nodes)


def seen_state(model: CellModel, r: Array, shift: Array) -> Array:
    """Return r + shift within the physical states; r itself is never changed by the limits."""
    xp = array_namespace(r)
    top = highest_state(model)
    seen = r + shift
    low, high = xp.where(r < 0.0, r, 0.0), xp.where(r > top, r, top)
    seen = xp.where(seen < low, low, xp.where(seen > high, high, seen))
    return xp.where(shift == 0.0, r, seen)


def _move_call(first: int, calls: int = 0) -> int:
    """Return the last word of the counter that moves four traps from ``first`` on."""
    return int(Stream.TRAP_MOVES) + CALL * (calls + first // FOUR)


def _stacked(seed: Any, number: tuple[Array, Array], index: Array, last: int, count: int) -> Array:
    """Return the first ``count`` words of a call, (count, M)."""
    drawn = words(seed, number, index, last)
    return array_namespace(number[0]).stack(drawn[:count])


def trap_parameters(
    seed: Any, number: tuple[Array, Array], cycle: Array, first: int, count: int
) -> tuple[Array, Array]:
    """Return words of the time constants of traps in a cycle, and normal numbers, (count, M)."""
    times: list[Array] = []
    z: list[Array] = []
    for pair in range(first // 2, (first + count + 1) // 2):
        drawn = words(seed, number, cycle, int(Stream.TRAPS) + CALL * pair)
        numbers = normals(drawn)
        times += drawn[:2]
        z += [numbers[2, ...], numbers[3, ...]]
    xp = array_namespace(cycle)
    return xp.stack(times[:count]), xp.stack(z[:count])


def _bits(word: Array, first: int, count: int) -> Array:
    """Return bits ``first`` … of words (M,), (count, M)."""
    xp = array_namespace(word)
    return xp.stack([(word >> (first + k)) & 1 for k in range(count)])


def _column(values: Any, first: int, like: Array) -> Array:
    """Return numbers of up to four traps from ``first`` on as a column."""
    return constant(values[first : first + FOUR], like)[:, None]


def traps_of(model: CellModel) -> Traps:
    """Return the traps of a model that has some."""
    assert model.traps is not None
    return model.traps


def _f(value: Any) -> float:
    """Return a number rounded to float32, as kernels use it."""
    return float(np.float32(value))
