"""Kernels that compute the features of the current cycle and the states that they lead to."""

from typing import Any

from numba import int64, types, uint32
from numba.extending import overload

from synfab.engines.numba.compile import part_njit
from synfab.engines.numba.drawing import padded, place, row
from synfab.engines.numba.intrinsics import at, fma, move, not_inlined, pointer, wide_vectors
from synfab.engines.numba.layout import (
    CYCLE_BITS,
    G_LLRS,
    GROUP,
    GROUP_BITS,
    INVERSE_SPAN,
    LANE_BITS,
    LANES,
    LN_10,
    TILES,
    TOP,
)
from synfab.engines.numba.parts import SCALE, deviate, fail, rescale
from synfab.engines.numba.scalar import exp, f4, marginal


@part_njit()
def is_lockstep(status, cells, count):  # type: ignore[no-untyped-def]
    """Return whether the cells are a whole group and all are at the same cycle."""
    wide_vectors()
    if count != GROUP:
        return False
    group = at(status, cells[0])
    different = uint32(0)
    for j in range(GROUP):
        different |= group[j] ^ group[0]
    return different >> uint32(CYCLE_BITS) == uint32(0)


@part_njit()
def gather_features(cells, listed, count, pair, out):  # type: ignore[no-untyped-def]
    """Write x*_n, mu, sigma of features ``2 pair`` and ``2 pair + 1`` to the rows of ``out``."""
    not_inlined()
    order, slots, status, f = cells.order, cells.slots, cells.status, 2 * pair
    last, slot = uint32(0), order - 1
    if is_lockstep(status, listed, count):
        start = listed[0]
        slot = int64(((status[start] >> uint32(CYCLE_BITS)) + uint32(order - 1)) % uint32(order))
        near = ((start >> GROUP_BITS) * slots + slot) * TILES
        device = (pair * cells.tiles + (start >> LANE_BITS)) * 4 * LANES
        for q in range(TILES):
            for k in range(2):
                row_at = ((near + q) * 4 + f + k) * LANES
                move(out, k * GROUP + q * LANES, cells.history, row_at)
            for k in range(4):
                row_at = device + (4 * q + k) * LANES
                move(out, (2 + k) * GROUP + q * LANES, cells.devices, row_at)
    else:
        for j in range(count):
            c = listed[j]
            cycle = status[c] >> uint32(CYCLE_BITS)
            if cycle != last:
                last = cycle
                slot = int64((cycle + uint32(order - 1)) % uint32(order))
            near = place(c, slots, slot) + f * LANES
            device = pair * cells.tiles * 4 * LANES + row(c)
            out[j] = cells.history[near]
            out[GROUP + j] = cells.history[near + LANES]
            for k in range(4):
                out[(2 + k) * GROUP + j] = cells.devices[device + k * LANES]


@part_njit()
def write_features(cells, listed, count, pair, model, buffer, width):  # type: ignore[no-untyped-def]
    """Write a pair of features of a model with optional parts to rows 0 and 1 of ``buffer``.

    ``gather_features`` filled the buffer; row 6 is used for cycle numbers.
    """
    not_inlined()
    parts, status, n = model.parts, cells.status, at(buffer, 6 * GROUP)
    scales, wear, failure = pointer(parts.scales), pointer(parts.wear), pointer(parts.failure)
    terms, run = parts.wear.shape[0], is_lockstep(status, listed, count)
    for j in range(width):
        c = listed[0] + j if run else listed[j if j < count else 0]
        n[j] = f4(status[c] >> uint32(CYCLE_BITS))
    for k in range(2):
        f = 2 * pair + k
        mu, sigma = at(buffer, (2 + 2 * k) * GROUP), at(buffer, (3 + 2 * k) * GROUP)
        x, coefficients = at(buffer, k * GROUP), model.marginals[f]
        for j in range(width):
            x[j] = marginal(coefficients, x[j])
        if terms > 0:
            deviate(x, wear, terms, f, n, width)
        for j in range(width):
            x[j] = fma(sigma[j], x[j], mu[j])
        rescale(x, at(scales, 6 * f), width)
    if failure[SCALE] > f4(0.0):
        fail(at(buffer, GROUP), failure, pair, n, listed, run, model, count)


@part_njit()
def resistances_to_states(buffer, constants, width):  # type: ignore[no-untyped-def]
    """Replace resistances (ohm) in row 0 by states r(R)."""
    wide_vectors()
    g_l, inverse = constants[G_LLRS], constants[INVERSE_SPAN]
    for j in range(width):
        buffer[j] = (g_l - f4(1.0) / buffer[j]) * inverse


@part_njit()
def plain_hrs(buffer, marginals, constants, width):  # type: ignore[no-untyped-def]
    """Write r(R_HRS), limited to below r_max, to row 0 and u_set to row 1 (``rules.hrs_state``)."""
    wide_vectors()
    g_l, inverse, top = constants[G_LLRS], constants[INVERSE_SPAN], constants[TOP]
    x1, m0, s0 = at(buffer, GROUP), at(buffer, 2 * GROUP), at(buffer, 3 * GROUP)
    m1, s1 = at(buffer, 4 * GROUP), at(buffer, 5 * GROUP)
    p0, p1 = marginals[0], marginals[1]
    for j in range(width):
        y = fma(s0[j], marginal(p0, buffer[j]), m0[j])
        r = (g_l - exp(-LN_10 * y)) * inverse
        buffer[j] = min(r, top)
        x1[j] = fma(s1[j], marginal(p1, x1[j]), m1[j])


@part_njit()
def plain_lrs(buffer, marginals, constants, width):  # type: ignore[no-untyped-def]
    """Write r(R_LRS) to row 0 and u_reset to row 1."""
    wide_vectors()
    g_l, inverse = constants[G_LLRS], constants[INVERSE_SPAN]
    x3, m2, s2 = at(buffer, GROUP), at(buffer, 2 * GROUP), at(buffer, 3 * GROUP)
    m3, s3 = at(buffer, 4 * GROUP), at(buffer, 5 * GROUP)
    p2, p3 = marginals[2], marginals[3]
    for j in range(width):
        resistance = fma(s2[j], marginal(p2, buffer[j]), m2[j])
        buffer[j] = (g_l - f4(1.0) / resistance) * inverse
        x3[j] = fma(s3[j], marginal(p3, x3[j]), m3[j])


# The functions below are compiled in one of two versions: models without optional parts
# (``parts`` is None) do not pay for them.


def hrs_pair(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> None:
    """Write r(R_HRS) and u_set of the listed cells to rows 0 and 1 of a gathered buffer."""


@overload(hrs_pair)
def _hrs_pair(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> Any:
    def plain(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> None:
        plain_hrs(buffer, model.marginals, model.constants, padded(count))

    def whole(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> None:
        width = padded(count)
        write_features(cells, listed, count, int64(0), model, buffer, width)
        resistances_to_states(buffer, model.constants, width)
        for j in range(width):
            buffer[j] = min(buffer[j], model.constants[TOP])

    return plain if isinstance(parts, types.NoneType) else whole


def lrs_pair(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> None:
    """Write r(R_LRS) and u_reset of the listed cells to rows 0 and 1 of a gathered buffer."""


@overload(lrs_pair)
def _lrs_pair(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> Any:
    def plain(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> None:
        plain_lrs(buffer, model.marginals, model.constants, padded(count))

    def whole(parts: Any, cells: Any, listed: Any, count: Any, model: Any, buffer: Any) -> None:
        width = padded(count)
        write_features(cells, listed, count, int64(1), model, buffer, width)
        resistances_to_states(buffer, model.constants, width)

    return plain if isinstance(parts, types.NoneType) else whole


def feature_pair(
    parts: Any, cells: Any, listed: Any, count: Any, pair: Any, model: Any, buffer: Any
) -> None:
    """Write a pair of features of the listed cells to rows 0 and 1 of a gathered buffer."""


@overload(feature_pair)
def _feature_pair(
    parts: Any, cells: Any, listed: Any, count: Any, pair: Any, model: Any, buffer: Any
) -> Any:
    def plain(
        parts: Any, cells: Any, listed: Any, count: Any, pair: Any, model: Any, buffer: Any
    ) -> None:
        marginals = model.marginals
        for j in range(count):
            m0, s0 = buffer[2 * GROUP + j], buffer[3 * GROUP + j]
            m1, s1 = buffer[4 * GROUP + j], buffer[5 * GROUP + j]
            x0, x1 = buffer[j], buffer[GROUP + j]
            if pair == 0:
                buffer[j] = exp(LN_10 * fma(s0, marginal(marginals[0], x0), m0))
                buffer[GROUP + j] = fma(s1, marginal(marginals[1], x1), m1)
            else:
                buffer[j] = fma(s0, marginal(marginals[2], x0), m0)
                buffer[GROUP + j] = fma(s1, marginal(marginals[3], x1), m1)

    def whole(
        parts: Any, cells: Any, listed: Any, count: Any, pair: Any, model: Any, buffer: Any
    ) -> None:
        write_features(cells, listed, count, pair, model, buffer, padded(count))

    return plain if isinstance(parts, types.NoneType) else whole
