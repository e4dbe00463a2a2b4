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
    GROUP_BITS,
    LANE_BITS,
    LANES,
    LAST_LANE,
    LAST_TILE,
    TILES,
    Cells,
)
from synfab.engines.numba.scalar import f4, normal_pair, philox

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
def place(c, slots, slot):  # type: ignore[no-untyped-def]
    """Return the flat offset of feature 0 of a cell in one slot of its block."""
    tile = ((c >> GROUP_BITS) * slots + slot) * TILES + ((c >> LANE_BITS) & LAST_TILE)
    return tile * 4 * LANES + (c & LAST_LANE)


@part_njit()
def open_cells(storage, model):  # type: ignore[no-untyped-def]
    """Return the pointers to the arrays of ``storage``."""
    slots = storage.history.shape[1]
    return Cells(
        pointer(storage.r),
        pointer(storage.status),
        pointer(storage.switch),
        pointer(storage.history),
        pointer(storage.devices),
        slots - model.process.rates.shape[0],
        slots,
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
def advance(x, s, z, process, order, slots, width):  # type: ignore[no-untyped-def]
    """Compute one step of the VAR process and store it in slot ``s`` of ``x`` (4 slots, BATCH).

    The slots behind the first ``order`` hold the averages, which follow the step.
    """
    wide_vectors()
    lags, innovation, couplings, rates = process
    for j in range(0, width, VECTOR_WIDTH):
        x0, x1, x2, x3 = zero_vectors()
        x0, x1, x2, x3 = triangle_vectors(innovation, z, j, BATCH, x0, x1, x2, x3)
        for i in range(order):
            slot = s - 1 - i
            past = 4 * (slot if slot >= 0 else slot + order) * BATCH + j
            x0, x1, x2, x3 = product_vectors(at(lags, 16 * i), x, past, BATCH, x0, x1, x2, x3)
        for k in range(slots - order):
            past = 4 * (order + k) * BATCH + j
            x0, x1, x2, x3 = product_vectors(at(couplings, 16 * k), x, past, BATCH, x0, x1, x2, x3)
        store_vectors(x, 4 * s * BATCH + j, BATCH, x0, x1, x2, x3)
    new = at(x, 4 * s * BATCH)
    for k in range(slots - order):
        average, rate = at(x, 4 * (order + k) * BATCH), rates[k]
        for f in range(4):
            for j in range(f * BATCH, f * BATCH + width):
                average[j] = fma(rate, new[j] - average[j], average[j])


@part_njit(forceinline=True)
def is_run(cells, count):  # type: ignore[no-untyped-def]
    """Return whether the cells are consecutive and form one half of a group."""
    first = cells[0]
    return count == BATCH and first % BATCH == 0 and cells[BATCH - 1] - first == BATCH - 1


@part_njit()
def load_blocks(history, slots, cells, count, x, width):  # type: ignore[no-untyped-def]
    """Copy the blocks of the listed cells to ``x`` (4 slots, BATCH)."""
    not_inlined()
    if is_run(cells, count):
        group, tile = cells[0] >> GROUP_BITS, (cells[0] >> LANE_BITS) & LAST_TILE
        for s in range(slots):
            near = ((group * slots + s) * TILES + tile) * 4 * LANES
            for q in range(BATCH // LANES):
                for f in range(4):
                    move(x, (4 * s + f) * BATCH + q * LANES, history, near + (4 * q + f) * LANES)
        return
    for j in range(width):
        near = place(cells[j], slots, 0)
        for s in range(slots):
            for f in range(4):
                x[(4 * s + f) * BATCH + j] = history[near + (s * TILES * 4 + f) * LANES]


@part_njit()
def store_blocks(history, slots, cells, count, x):  # type: ignore[no-untyped-def]
    """Store the blocks in ``x`` back to the history; the inverse of ``load_blocks``."""
    not_inlined()
    if is_run(cells, count):
        group, tile = cells[0] >> GROUP_BITS, (cells[0] >> LANE_BITS) & LAST_TILE
        for s in range(slots):
            near = ((group * slots + s) * TILES + tile) * 4 * LANES
            for q in range(BATCH // LANES):
                for f in range(4):
                    move(history, near + (4 * q + f) * LANES, x, (4 * s + f) * BATCH + q * LANES)
        return
    for j in range(count):
        near = place(cells[j], slots, 0)
        for s in range(slots):
            for f in range(4):
                history[near + (s * TILES * 4 + f) * LANES] = x[(4 * s + f) * BATCH + j]


@part_njit()
def next_blocks(opened, cells, cycles, count, work, process, first, key):  # type: ignore[no-untyped-def]
    """Apply ``drawing.next_block`` to ``count`` <= BATCH cells at the end of their block.

    ``opened`` are the ``Cells``; the lists ``cells`` and ``cycles`` are padded to whole vectors.
    """
    not_inlined()
    x, z, width, history, slots = work.x, work.z, padded(count), opened.history, opened.slots
    for j in range(count, width):
        cells[j], cycles[j] = cells[0], cycles[0]
    load_blocks(history, slots, cells, count, x, width)
    for s in range(opened.order):
        draw_normals(z, work.word, int64(BATCH), cells, cycles, s + 1, int64(2), first, key, width)
        advance(x, s, z, process, opened.order, slots, width)
    store_blocks(history, slots, cells, count, x)
