"""Kernels that draw cycles: normal numbers, history blocks, features of the current cycle."""

from numba import int64, uint32, uint64

from synfab.engines.numba.compile import part_njit
from synfab.engines.numba.intrinsics import (
    VectorType,
    at,
    fill_vector,
    fma,
    fma_vector,
    load_vector,
    move,
    not_inlined,
    pointer,
    store_vector,
    wide_vectors,
)
from synfab.engines.numba.layout import (
    BATCH,
    CYCLE_BITS,
    G_LLRS,
    GROUP,
    GROUP_BITS,
    INVERSE_SPAN,
    LANE_BITS,
    LANES,
    LAST_LANE,
    LAST_TILE,
    LN_10,
    TILES,
    TOP,
    Cells,
)
from synfab.engines.numba.scalar import exp, f4, marginal, normal_pair, philox

VECTOR_WIDTH = VectorType.width


@part_njit(forceinline=True)
def padded(count):  # type: ignore[no-untyped-def]
    """Return ``count`` rounded up to a multiple of the vector width."""
    return (count + VECTOR_WIDTH - 1) & -VECTOR_WIDTH


@part_njit(forceinline=True)
def row(c):  # type: ignore[no-untyped-def]
    """Return the flat offset of a cell in the first row of its tile."""
    return (c >> LANE_BITS) * 4 * LANES + (c & LAST_LANE)


@part_njit(forceinline=True)
def place(c, order, slot):  # type: ignore[no-untyped-def]
    """Return the flat offset of feature 0 of a cell in one slot of its block."""
    tile = ((c >> GROUP_BITS) * order + slot) * TILES + ((c >> LANE_BITS) & LAST_TILE)
    return tile * 4 * LANES + (c & LAST_LANE)


@part_njit()
def open_cells(storage):  # type: ignore[no-untyped-def]
    """Return the pointers to the arrays of ``storage``."""
    return Cells(
        pointer(storage.r),
        pointer(storage.status),
        pointer(storage.switch),
        pointer(storage.history),
        pointer(storage.devices),
        storage.history.shape[1],
        storage.devices.shape[1],
    )


@part_njit()
def draw_normals(  # type: ignore[no-untyped-def]
    z, word, stride, cells, index, offset, stream, first, key, width
):
    """Write ``streams.normals(streams.words(…))`` to four rows of ``z``; ``word`` is overwritten.

    ``stride`` is the distance between rows of ``z`` and of ``word``.
    """
    wide_vectors()
    w0, w1, w2, w3 = word, at(word, stride), at(word, 2 * stride), at(word, 3 * stride)
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    c3 = uint32(stream)
    for j in range(width):
        number = first + uint64(cells[j])
        low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
        w0[j], w1[j], w2[j], w3[j] = philox(
            low, high, uint32(index[j] + uint32(offset)), c3, k0, k1
        )
    z1, z2, z3 = at(z, stride), at(z, 2 * stride), at(z, 3 * stride)
    for j in range(width):
        z[j], z1[j] = normal_pair(w0[j], w1[j])
    for j in range(width):
        z2[j], z3[j] = normal_pair(w2[j], w3[j])


@part_njit(forceinline=True)
def zero_vectors():  # type: ignore[no-untyped-def]
    """Return four vectors of -0.0: a product added to it keeps its sign if it is zero."""
    zero = fill_vector(f4(-0.0))
    return zero, zero, zero, zero


@part_njit(forceinline=True)
def triangle_vectors(b, z, start, stride, x0, x1, x2, x3):  # type: ignore[no-untyped-def]
    """Return ``x0`` … ``x3`` plus the lower triangle of ``b`` (4, 4) times four rows of ``z``."""
    e0, e1 = load_vector(z, start), load_vector(z, start + stride)
    e2, e3 = load_vector(z, start + 2 * stride), load_vector(z, start + 3 * stride)
    x0, x1 = fma_vector(b[0], e0, x0), fma_vector(b[4], e0, x1)
    x2, x3 = fma_vector(b[8], e0, x2), fma_vector(b[12], e0, x3)
    x1, x2, x3 = fma_vector(b[5], e1, x1), fma_vector(b[9], e1, x2), fma_vector(b[13], e1, x3)
    x2, x3 = fma_vector(b[10], e2, x2), fma_vector(b[14], e2, x3)
    return x0, x1, x2, fma_vector(b[15], e3, x3)


@part_njit(forceinline=True)
def product_vectors(a, z, start, stride, x0, x1, x2, x3):  # type: ignore[no-untyped-def]
    """Return ``x0`` … ``x3`` plus the matrix ``a`` (4, 4) times four rows of ``z``."""
    for k in range(4):
        e = load_vector(z, start + k * stride)
        x0, x1 = fma_vector(a[k], e, x0), fma_vector(a[4 + k], e, x1)
        x2, x3 = fma_vector(a[8 + k], e, x2), fma_vector(a[12 + k], e, x3)
    return x0, x1, x2, x3


@part_njit(forceinline=True)
def store_vectors(z, start, stride, x0, x1, x2, x3):  # type: ignore[no-untyped-def]
    """Store four vectors in rows of ``z`` that are ``stride`` apart."""
    store_vector(z, start, x0)
    store_vector(z, start + stride, x1)
    store_vector(z, start + 2 * stride, x2)
    store_vector(z, start + 3 * stride, x3)


@part_njit()
def advance(x, s, z, lags, innovation, order, width):  # type: ignore[no-untyped-def]
    """Compute one step of the VAR process and store it in slot ``s`` of ``x`` (4 p, BATCH)."""
    wide_vectors()
    for j in range(0, width, VECTOR_WIDTH):
        x0, x1, x2, x3 = zero_vectors()
        x0, x1, x2, x3 = triangle_vectors(innovation, z, j, BATCH, x0, x1, x2, x3)
        for i in range(order):
            slot = s - 1 - i
            past = 4 * (slot if slot >= 0 else slot + order) * BATCH + j
            x0, x1, x2, x3 = product_vectors(at(lags, 16 * i), x, past, BATCH, x0, x1, x2, x3)
        store_vectors(x, 4 * s * BATCH + j, BATCH, x0, x1, x2, x3)


@part_njit(forceinline=True)
def is_run(cells, count):  # type: ignore[no-untyped-def]
    """Return whether the cells are consecutive and form one half of a group."""
    first = cells[0]
    return count == BATCH and first % BATCH == 0 and cells[BATCH - 1] - first == BATCH - 1


@part_njit()
def load_blocks(history, order, cells, count, x, width):  # type: ignore[no-untyped-def]
    """Copy the blocks of the listed cells to ``x`` (4 p, BATCH)."""
    not_inlined()
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
                x[(4 * s + f) * BATCH + j] = history[near + (s * TILES * 4 + f) * LANES]


@part_njit()
def store_blocks(history, order, cells, count, x):  # type: ignore[no-untyped-def]
    """Store the blocks in ``x`` back to the history; the inverse of ``load_blocks``."""
    not_inlined()
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
                history[near + (s * TILES * 4 + f) * LANES] = x[(4 * s + f) * BATCH + j]


@part_njit()
def next_blocks(  # type: ignore[no-untyped-def]
    history, order, cells, cycles, count, x, z, word, lags, innovation, first, key
):
    """Apply ``drawing.next_block`` to ``count`` <= BATCH cells at the end of their block.

    ``cells`` and ``cycles`` are padded to whole vectors.
    """
    not_inlined()
    width = padded(count)
    for j in range(count, width):
        cells[j], cycles[j] = cells[0], cycles[0]
    load_blocks(history, order, cells, count, x, width)
    for s in range(order):
        draw_normals(z, word, int64(BATCH), cells, cycles, s + 1, int64(2), first, key, width)
        advance(x, s, z, lags, innovation, order, width)
    store_blocks(history, order, cells, count, x)


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
    order, status, f = cells.order, cells.status, 2 * pair
    last, slot = uint32(0), order - 1
    if is_lockstep(status, listed, count):
        start = listed[0]
        slot = int64(((status[start] >> uint32(CYCLE_BITS)) + uint32(order - 1)) % uint32(order))
        near = ((start >> GROUP_BITS) * order + slot) * TILES
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
            near = place(c, order, slot) + f * LANES
            device = pair * cells.tiles * 4 * LANES + row(c)
            out[j] = cells.history[near]
            out[GROUP + j] = cells.history[near + LANES]
            for k in range(4):
                out[(2 + k) * GROUP + j] = cells.devices[device + k * LANES]


@part_njit()
def hrs_pair(buffer, marginals, constants, width):  # type: ignore[no-untyped-def]
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
def lrs_pair(buffer, marginals, constants, width):  # type: ignore[no-untyped-def]
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
