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
from synfab.random.arrays import constant, count_up, product, word
from synfab.random.streams import Stream, normals, words


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
        (p, 4, M), oldest first.
    eps
        Normal numbers of the next p cycles, (4, p, M).
    """
    xp = array_namespace(block)
    of_past, of_draws = (constant(matrix, block) for matrix in history.block_matrices)
    rows = 4 * history.order
    past, drawn = xp.reshape(block, (rows, -1)), xp.reshape(eps, (rows, -1))
    return xp.reshape(product(of_past, past) + product(of_draws, drawn), block.shape)


def current_vector(block: Array, cycle: Array) -> Array:
    """Return x*_n, (4, M); blocks end at cycle numbers that are multiples of p."""
    xp = array_namespace(block)
    order = block.shape[0]
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
    order = block.shape[0]
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
    return features_of(model, devices.parameters, current_vector(block, cycle))


def features_of(model: CellModel, parameters: Array, vector: Array) -> Features:
    """Return the features Y = mu + sigma Gamma(x*_n), with R_HRS = 10**y_0.

    Parameters
    ----------
    parameters
        Device parameters, (8, M).
    vector
        x*_n, (4, M).
    """
    xp = array_namespace(vector)
    y = [
        parameters[f, :] + parameters[4 + f, :] * marginal(model.marginals[f], vector[f, :])
        for f in range(4)
    ]
    return Features(xp.pow(xp.full_like(y[0], 10.0), y[0]), y[1], y[2], y[3])
