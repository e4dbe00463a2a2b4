"""Reference implementation of what is drawn at random: devices, their history and its features.

Device parameters are drawn once, x*_n at the beginning of cycle n. Arrays and their namespaces are
as in ``rules``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from synfab.common.types import AnyArray as Array
from synfab.model.cell_model import PIECES_END, CellModel
from synfab.model.history import History
from synfab.model.scale import Scale
from synfab.model.wear import Failure, WearIn
from synfab.random.arrays import constant, count_up, product, word
from synfab.random.streams import Stream, normals, uniform, words

# Index of the stream of the population whose words decide when and how a cell fails.
FAILURE_INDEX = 4
# Voltage (V) at which a failed cell would switch. It is finite, so that the rules need no special
# cases for it: infinite voltages would lead to infinite differences.
NEVER = 1e30


class Devices(NamedTuple):
    """Fixed properties of M cells: their random number keys and device parameters."""

    seed: Any  # an integer, or its two 32-bit words
    number: tuple[Array, Array]  # global cell number: low and high words, each (M,)
    parameters: Array  # (8, M): mu of the four features, then sigma


class Features(NamedTuple):
    """Features of the current cycle of M cells, (M,) each."""

    r_hrs: Array  # ohm
    u_set: Array  # V
    r_lrs: Array  # ohm
    u_reset: Array  # V


# ---- devices ------------------------------------------------------------------------------------


def fabricate(model: CellModel, seed: Any, number: tuple[Array, Array]) -> Devices:
    """Return devices with random parameters: m_k + L_k eps of one mixture component k each."""
    xp = array_namespace(number[0])
    zero = number[0] * 0
    pick = words(seed, number, zero, Stream.POPULATION)[0]
    one, two = (draw_normals(seed, number, zero + i, Stream.POPULATION) for i in (1, 2))
    eps = xp.concat([one, two])
    population = model.population
    drawn = [
        constant(mean, eps)[:, None] + product(constant(factor, eps), eps)
        for mean, factor in zip(population.means, population.factors, strict=True)
    ]
    parameters = drawn[-1]
    # w0/2**32 < c means w0 < ceil(c 2**32) for integer w0; descending k selects the smallest.
    for k in range(len(drawn) - 2, -1, -1):
        bound = component_bounds(model)[k]
        if bound > 0xFFFFFFFF:
            parameters = drawn[k]
        else:
            parameters = xp.where(pick < word(bound, pick), drawn[k], parameters)
    if population.log_spread:
        parameters = xp.concat([parameters[:4, :], xp.exp(parameters[4:, :])])
    return Devices(seed, number, parameters)


def draw_normals(seed: Any, number: tuple[Array, Array], index: Array, stream: Any) -> Array:
    """Return four normal numbers per draw, (4, …): ``number`` and ``index`` are broadcast."""
    xp = array_namespace(index)
    drawn = xp.broadcast_arrays(*number, index)
    shape = drawn[0].shape
    # One axis, because JAX compiles that faster.
    low, high, draw = (xp.reshape(word, (-1,)) for word in drawn)
    return xp.reshape(normals(words(seed, (low, high), draw, stream)), (4, *shape))


def component_bounds(model: CellModel) -> list[int]:
    """Return the bounds of the components: the smallest k with bound > random word is drawn."""
    return [-int(-(float(c) * 2.0**32) // 1) for c in model.population.cumulative]


# ---- cycles -------------------------------------------------------------------------------------


def next_block(history: History, block: Array, eps: Array) -> Array:
    """Return the next p vectors after a block: x*_n = sum_i A_i x*_{n-i} + B eps_n, p times.

    Drawing p cycles ahead needs no extra memory, because the new block replaces the old one, and
    engines access the history only once in p cycles. Each vector still uses only the random numbers
    of its own cycle. The p steps are one product with the matrices F, G of ``history``.

    Parameters
    ----------
    block
        (slots, 4, M): p vectors, oldest first, then the averages, if the history has any.
    eps
        Normal numbers of the next p cycles, (4, p, M).
    """
    xp = array_namespace(block)
    of_past, of_draws = (constant(matrix, block) for matrix in history.block_matrices)
    past = xp.reshape(block, (4 * history.slots, -1))
    drawn = xp.reshape(eps, (4 * history.order, -1))
    return xp.reshape(product(of_past, past) + product(of_draws, drawn), block.shape)


def order_of(model: CellModel, block: Array) -> int:
    """Return the order p of the history that a block (slots, 4, M) belongs to."""
    return int(block.shape[0]) - model.averages


def current_vector(block: Array, cycle: Array, order: int) -> Array:
    """Return x*_n, (4, M); blocks end at cycle numbers that are multiples of p."""
    xp = array_namespace(block)
    slot = (cycle + (order - 1)) % order
    index = xp.broadcast_to(slot[None, None, :], (1, *block.shape[1:]))
    return xp.take_along_axis(block, index, axis=0)[0, :, :]


def block_ends(draw: Array, cycle: Array, order: int) -> Array:
    """Return the mask of the cells that draw a cycle and are at the end of their block."""
    return draw & (cycle % order == 0)


def draw_cycle(
    model: CellModel, devices: Devices, block: Array, cycle: Array, draw: Array
) -> tuple[Array, Array]:
    """Return block and cycle numbers after beginning the next cycle where ``draw`` is true."""
    xp = array_namespace(block)
    order = order_of(model, block)
    ends = block_ends(draw, cycle, order)
    if bool(xp.any(ends)):
        index = cycle[None, :] + count_up(1, order, cycle)[:, None]
        eps = draw_normals(devices.seed, devices.number, index, Stream.INNOVATION)
        block = xp.where(ends, next_block(model.history(order), block, eps), block)
    return block, cycle + xp.astype(draw, cycle.dtype)


# ---- features -----------------------------------------------------------------------------------


def polynomial(coefficients: Any, x: Array) -> Array:
    """Return the value of a polynomial, highest power first (Horner's method)."""
    value = x * 0.0
    for coefficient in coefficients:
        value = value * x + float(coefficient)
    return value


def marginal(coefficients: Any, x: Array) -> Array:
    """Return Gamma(x) of one feature: a polynomial, or piecewise with linear extrapolation."""
    if np.ndim(coefficients) == 1:
        return polynomial(coefficients, x)
    xp = array_namespace(x)
    count = len(coefficients)
    per_unit = count / (2.0 * PIECES_END)
    inside = xp.clip(x, -PIECES_END, PIECES_END)
    position = (inside + PIECES_END) * per_unit
    piece = xp.clip(xp.floor(position), 0, count - 1)
    t = position - piece
    index = xp.astype(piece, xp.int32)
    value = x * 0.0
    slope = x * 0.0
    for k in range(coefficients.shape[1]):
        column = constant(coefficients[:, k], x)
        slope = slope * t + value
        value = value * t + xp.reshape(xp.take(column, xp.reshape(index, (-1,))), x.shape)
    return value + slope * per_unit * (x - inside)


def cycle_features(model: CellModel, devices: Devices, block: Array, cycle: Array) -> Features:
    """Return the features of cells from a block of history."""
    vector = current_vector(block, cycle, order_of(model, block))
    return features_of(model, devices, vector, cycle)


def features_of(model: CellModel, devices: Devices, vector: Array, cycle: Array) -> Features:
    """Return the features of cycle n: y = mu + sigma (spread(n) Gamma(x*_n) + shift(n)), scaled.

    Models without wear-in have spread 1 and shift 0; R_HRS of the published model is 10**y_0.

    Parameters
    ----------
    vector
        x*_n, (4, M).
    cycle
        n, (M,).
    """
    parameters = devices.parameters
    deviation = [marginal(model.marginals[f], vector[f, :]) for f in range(4)]
    if model.wear_in is not None:
        deviation = worn_in(model.wear_in, cycle, deviation)
    features = Features(*(
        scaled(scale, parameters[f, :] + parameters[4 + f, :] * deviation[f])
        for f, scale in enumerate(model.scales)
    ))  # fmt: skip
    return features if model.failure is None else failed(model.failure, devices, cycle, features)


def worn_in(wear: WearIn, cycle: Array, deviation: list[Array]) -> list[Array]:
    """Return deviations (M,) of the four features with the spread and shift of their cycle."""
    xp = array_namespace(cycle)
    n = xp.astype(cycle, xp.float32)
    decay = [xp.exp(n * float(np.float32(-1.0 / tau))) for tau in wear.cycles]
    result = []
    for f in range(4):
        shift, log_spread = n * 0.0, n * 0.0
        for j, part in enumerate(decay):
            shift = shift + part * float(np.float32(wear.shift[j, f]))
            log_spread = log_spread + part * float(np.float32(wear.log_spread[j, f]))
        result.append(deviation[f] * xp.exp(log_spread) + shift)
    return result


def scaled(scale: Scale, y: Array) -> Array:
    """Return the feature of y by ``Scale.feature``."""
    xp = array_namespace(y)
    value = y
    if scale.kind == "log":
        value = xp.pow(xp.full_like(y, 10.0), y)
        if scale.shift:
            value = value + float(np.float32(scale.shift))
    elif scale.kind == "reciprocal":
        least = float(np.float32(1.0 / scale.magnitudes[1]))
        value = 1.0 / xp.where(y > least, y, least)
    if scale.sign < 0.0:
        value = -value
    low, high = float(np.float32(scale.low)), float(np.float32(scale.high))
    if low > -np.inf:
        value = xp.where(value > low, value, low)
    return xp.where(value < high, value, high) if high < np.inf else value


def lives(failure: Failure, seed: Any, number: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the cycles from which cells fail, ``NEVER`` where they do not, and whether in the HRS.

    Both are (M,); see ``Failure``.
    """
    xp = array_namespace(number[0])
    drawn = words(seed, number, number[0] * 0 + FAILURE_INDEX, Stream.POPULATION)
    chance, fails, kind = (uniform(word) for word in drawn[:3])
    # Inverse of the survival exp(-(n / scale)**shape).
    life = xp.exp(xp.log(-xp.log(chance)) * float(np.float32(1.0 / failure.shape)))
    life = life * float(np.float32(failure.scale))
    return xp.where(fails <= failure.share, life, NEVER), kind <= failure.stuck_hrs


def failed(failure: Failure, devices: Devices, cycle: Array, features: Features) -> Features:
    """Return features with a u_set or u_reset of ``NEVER`` where cells failed."""
    xp = array_namespace(cycle)
    life, in_hrs = lives(failure, devices.seed, devices.number)
    dead = xp.astype(cycle, xp.float32) >= life
    return features._replace(
        u_set=xp.where(dead & in_hrs, -NEVER, features.u_set),
        u_reset=xp.where(dead & ~in_hrs, NEVER, features.u_reset),
    )


def without_limit(features: Features) -> Features:
    """Return features whose voltages of failed cells are infinite instead of ``NEVER``."""
    xp = array_namespace(features.u_set)
    return features._replace(
        u_set=xp.where(features.u_set <= -NEVER, -np.inf, features.u_set),
        u_reset=xp.where(features.u_reset >= NEVER, np.inf, features.u_reset),
    )
