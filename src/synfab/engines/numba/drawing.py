"""Kernels that draw cycles: normal numbers, history blocks, features of the current cycle."""

import numpy as np
from numba import int32, int64, njit, uint32, uint64

from synfab.engines.numba.intrinsics import (
    VectorType,
    fma,
    fma_vector,
    get,
    load_vector,
    move,
    put,
    store_vector,
    times_vector,
    wide_vectors,
)
from synfab.engines.numba.layout import (
    CYCLE_BITS,
    G_LLRS,
    GROUP,
    GROUP_BITS,
    HIGHEST_LEVEL,
    INVERSE_SPAN,
    LANE_BITS,
    LANES,
    LAST_LANE,
    LAST_TILE,
    LN_10,
    QUANTUM,
    TILES,
    TOP,
)
from synfab.engines.numba.scalar import exp, f4, marginal, normal_pair, philox

# Number of cells whose blocks are drawn together: at p = 10 they fill half of the L1 cache.
BATCH = 128
VECTOR_WIDTH = VectorType.width


@njit(inline="always")
def padded(count):  # type: ignore[no-untyped-def]
    """Return ``count`` rounded up to a multiple of the vector width."""
    return (count + VECTOR_WIDTH - 1) & -VECTOR_WIDTH


@njit(inline="always")
def row(c):  # type: ignore[no-untyped-def]
    """Return the flat offset of a cell in the first row of its tile."""
    return (c >> LANE_BITS) * 4 * LANES + (c & LAST_LANE)


@njit(inline="always")
def place(c, order, slot):  # type: ignore[no-untyped-def]
    """Return the flat offset of feature 0 of a cell in one slot of its block."""
    tile = ((c >> GROUP_BITS) * order + slot) * TILES + ((c >> LANE_BITS) & LAST_TILE)
    return tile * 4 * LANES + (c & LAST_LANE)


@njit(nogil=True, error_model="numpy")
def draw_normals(  # type: ignore[no-untyped-def]
    z, row, word, cells, index, offset, stream, first, key, width
):
    """Write ``streams.normals(streams.words(…))`` to rows ``row`` … ``row + 3`` of ``z``."""
    wide_vectors()
    w0, w1, w2, w3 = word[0], word[1], word[2], word[3]
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    for j in range(width):
        number = first + uint64(cells[j])
        low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
        w0[j], w1[j], w2[j], w3[j] = philox(
            low, high, uint32(index[j] + uint32(offset)), uint32(stream), k0, k1
        )
    za, zb, zc, zd = z[row], z[row + 1], z[row + 2], z[row + 3]
    for j in range(width):
        za[j], zb[j] = normal_pair(w0[j], w1[j])
    for j in range(width):
        zc[j], zd[j] = normal_pair(w2[j], w3[j])


@njit(inline="always")
def triangle_vectors(b, z, at, stride):  # type: ignore[no-untyped-def]
    """Return the lower triangular matrix ``b`` (4, 4) times four rows of ``z``."""
    e0, e1 = load_vector(z, at), load_vector(z, at + stride)
    e2, e3 = load_vector(z, at + 2 * stride), load_vector(z, at + 3 * stride)
    x0, x1 = times_vector(b[0, 0], e0), times_vector(b[1, 0], e0)
    x2, x3 = times_vector(b[2, 0], e0), times_vector(b[3, 0], e0)
    x1, x2 = fma_vector(b[1, 1], e1, x1), fma_vector(b[2, 1], e1, x2)
    x3 = fma_vector(b[3, 1], e1, x3)
    x2, x3 = fma_vector(b[2, 2], e2, x2), fma_vector(b[3, 2], e2, x3)
    return x0, x1, x2, fma_vector(b[3, 3], e3, x3)


@njit(inline="always")
def product_vectors(a, i, z, at, stride, x0, x1, x2, x3):  # type: ignore[no-untyped-def]
    """Return ``x0`` … ``x3`` plus the matrix ``a[i]`` (4, 4) times four rows of ``z``."""
    for k in range(4):
        e = load_vector(z, at + k * stride)
        x0, x1 = fma_vector(a[i, 0, k], e, x0), fma_vector(a[i, 1, k], e, x1)
        x2, x3 = fma_vector(a[i, 2, k], e, x2), fma_vector(a[i, 3, k], e, x3)
    return x0, x1, x2, x3


@njit(inline="always")
def store_vectors(z, at, stride, x0, x1, x2, x3):  # type: ignore[no-untyped-def]
    """Store four vectors in rows of ``z`` that are ``stride`` apart."""
    store_vector(z, at, x0)
    store_vector(z, at + stride, x1)
    store_vector(z, at + 2 * stride, x2)
    store_vector(z, at + 3 * stride, x3)


@njit(nogil=True, error_model="numpy")
def advance(x, s, z, lags, innovation, width):  # type: ignore[no-untyped-def]
    """Compute one step of the VAR process and store it in slot ``s`` of ``x`` (4 p, BATCH)."""
    wide_vectors()
    order = lags.shape[0]
    for j in range(0, width, VECTOR_WIDTH):
        x0, x1, x2, x3 = triangle_vectors(innovation, z, j, BATCH)
        for i in range(order):
            slot = s - 1 - i
            past = 4 * (slot if slot >= 0 else slot + order) * BATCH + j
            x0, x1, x2, x3 = product_vectors(lags, i, x, past, BATCH, x0, x1, x2, x3)
        store_vectors(x, 4 * s * BATCH + j, BATCH, x0, x1, x2, x3)


@njit(nogil=True, error_model="numpy")
def to_levels(row, width):  # type: ignore[no-untyped-def]
    """Round a row in place to the levels of an int16 history."""
    wide_vectors()
    for j in range(width):
        row[j] = np.rint(min(max(row[j], f4(-HIGHEST_LEVEL)), f4(HIGHEST_LEVEL)))


@njit(nogil=True, error_model="numpy")
def scale_row(numbers, factor, width):  # type: ignore[no-untyped-def]
    """Multiply a row in place by ``factor``."""
    for j in range(width):
        numbers[j] *= factor


@njit(inline="always")
def is_run(cells, count):  # type: ignore[no-untyped-def]
    """Return whether the cells are consecutive and form one half of a group."""
    first = cells[0]
    return count == BATCH and first % BATCH == 0 and cells[BATCH - 1] - first == BATCH - 1


@njit(nogil=True, error_model="numpy")
def load_blocks(history, cells, count, x, width):  # type: ignore[no-untyped-def]
    """Copy the blocks of the listed cells to ``x`` (4 p, BATCH), without scaling."""
    order = history.shape[1]
    if is_run(cells, count):
        group, tile = cells[0] >> GROUP_BITS, (cells[0] >> LANE_BITS) & LAST_TILE
        for s in range(order):
            near = ((group * order + s) * TILES + tile) * 4 * LANES
            for q in range(BATCH // LANES):
                for f in range(4):
                    move(x, (4 * s + f) * BATCH + q * LANES, history, near + (4 * q + f) * LANES)
        return
    for j in range(width):
        near = place(cells[j], order, 0)
        for s in range(order):
            for f in range(4):
                number = get(history, near + (s * TILES * 4 + f) * LANES)
                put(x, (4 * s + f) * BATCH + j, f4(number))


@njit(nogil=True, error_model="numpy")
def store_blocks(history, cells, count, x):  # type: ignore[no-untyped-def]
    """Store the blocks in ``x`` back to the history; the inverse of ``load_blocks``."""
    order = history.shape[1]
    if is_run(cells, count):
        group, tile = cells[0] >> GROUP_BITS, (cells[0] >> LANE_BITS) & LAST_TILE
        for s in range(order):
            near = ((group * order + s) * TILES + tile) * 4 * LANES
            for q in range(BATCH // LANES):
                for f in range(4):
                    move(history, near + (4 * q + f) * LANES, x, (4 * s + f) * BATCH + q * LANES)
        return
    for j in range(count):
        near = place(cells[j], order, 0)
        for s in range(order):
            for f in range(4):
                number = get(x, (4 * s + f) * BATCH + j)
                put(history, near + (s * TILES * 4 + f) * LANES, number)


@njit(nogil=True, error_model="numpy")
def next_blocks(  # type: ignore[no-untyped-def]
    history, cells, cycles, count, x, z, word, lags, innovation, quantise, first, key
):
    """Apply ``drawing.next_block`` to ``count`` <= BATCH cells at the end of their block.

    ``cells`` and ``cycles`` are padded to whole vectors. With an int16 history, all values are in
    levels, including ``innovation``.
    """
    order, width = history.shape[1], padded(count)
    for j in range(count, width):
        cells[j], cycles[j] = cells[0], cycles[0]
    load_blocks(history, cells, count, x, width)
    for s in range(order):
        draw_normals(z, int64(0), word, cells, cycles, s + 1, int64(2), first, key, int64(width))
        advance(x, s, z, lags, innovation, width)
        if quantise:
            for f in range(4):
                to_levels(x[4 * s + f], width)
    store_blocks(history, cells, count, x)


@njit(nogil=True, error_model="numpy")
def is_lockstep(status, cells, count):  # type: ignore[no-untyped-def]
    """Return whether the cells are a whole group and all are at the same cycle."""
    wide_vectors()
    if count != GROUP:
        return False
    first = cells[0]
    group = status[first : first + GROUP]
    different = uint32(0)
    for j in range(GROUP):
        different |= group[j] ^ group[0]
    return different >> uint32(CYCLE_BITS) == uint32(0)


@njit(nogil=True, error_model="numpy")
def gather_features(  # type: ignore[no-untyped-def]
    history, devices, status, cells, count, pair, quantise, out
):
    """Write x*_n, mu, sigma of features ``2 pair`` and ``2 pair + 1`` to the rows of ``out``."""
    order = history.shape[1]
    f = 2 * pair
    last, slot = uint32(0), order - 1
    if is_lockstep(status, cells, count):
        start = cells[0]
        slot = ((status[start] >> uint32(CYCLE_BITS)) + uint32(order - 1)) % uint32(order)
        near = ((start >> GROUP_BITS) * order + int64(slot)) * TILES
        device = (pair * devices.shape[1] + (start >> LANE_BITS)) * 4 * LANES
        for q in range(TILES):
            for k in range(2):
                move(out, k * GROUP + q * LANES, history, ((near + q) * 4 + f + k) * LANES)
            for k in range(4):
                move(out, (2 + k) * GROUP + q * LANES, devices, device + (4 * q + k) * LANES)
    else:
        for j in range(count):
            c = get(cells, j)
            cycle = get(status, c) >> uint32(CYCLE_BITS)
            if cycle != last:
                last = cycle
                slot = int32((cycle + uint32(order - 1)) % uint32(order))
            near = place(c, order, int64(slot)) + f * LANES
            device = pair * devices.shape[1] * 4 * LANES + row(c)
            put(out, j, f4(get(history, near)))
            put(out, GROUP + j, f4(get(history, near + LANES)))
            for k in range(4):
                put(out, (2 + k) * GROUP + j, get(devices, device + k * LANES))
    if quantise:
        scale_row(out[0], f4(1.0 / QUANTUM), padded(count))
        scale_row(out[1], f4(1.0 / QUANTUM), padded(count))


@njit(nogil=True, error_model="numpy")
def hrs_pair(buffer, marginals, constants, width):  # type: ignore[no-untyped-def]
    """Write r(R_HRS), limited to below r_max, to row 0 and u_set to row 1 (``rules.hrs_state``)."""
    wide_vectors()
    g_l, inverse, top = constants[G_LLRS], constants[INVERSE_SPAN], constants[TOP]
    x0, x1, m0, s0, m1, s1 = buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]
    p0, p1 = marginals[0], marginals[1]
    for j in range(width):
        y = fma(s0[j], marginal(p0, x0[j]), m0[j])
        r = (g_l - exp(-LN_10 * y)) * inverse
        x0[j] = min(r, top)
        x1[j] = fma(s1[j], marginal(p1, x1[j]), m1[j])


@njit(nogil=True, error_model="numpy")
def lrs_pair(buffer, marginals, constants, width):  # type: ignore[no-untyped-def]
    """Write r(R_LRS) to row 0 and u_reset to row 1."""
    wide_vectors()
    g_l, inverse = constants[G_LLRS], constants[INVERSE_SPAN]
    x2, x3, m2, s2, m3, s3 = buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]
    p2, p3 = marginals[2], marginals[3]
    for j in range(width):
        resistance = fma(s2[j], marginal(p2, x2[j]), m2[j])
        x2[j] = (g_l - f4(1.0) / resistance) * inverse
        x3[j] = fma(s3[j], marginal(p3, x3[j]), m3[j])
