"""Numba kernels that read cells: currents, noise, crossbar sums."""

import numpy as np
from numba import int64, njit, uint32, uint64

from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.drawing import open_cells
from synfab.engines.numba.features import feature_pair, gather_features
from synfab.engines.numba.intrinsics import at, fma, pointer, pointers, wide_vectors
from synfab.engines.numba.layout import GROUP, GROUP_BITS, LANE_BITS, LAST_LANE, LAST_TILE
from synfab.engines.numba.scalar import f4, noise_variance, normal_pair, philox
from synfab.engines.numba.transition import span


@cached_njit(nogil=True, error_model="numpy")
def current(low, high, r, voltages, each, llrs, hhrs, constants, out):  # type: ignore[no-untyped-def]
    """Write ``rules.current`` of cells ``low`` … ``high`` to ``out``."""
    wide_vectors()  # inlined into another kernel, its loops would not be vectorised
    if each:
        for c in range(low, high):
            out[c] = span(llrs, hhrs, constants, r[c], voltages[c])[2]
    else:
        base, difference, _ = span(llrs, hhrs, constants, f4(0.0), voltages[0])
        for c in range(low, high):
            out[c] = fma(r[c], -difference, base)


@cached_njit(nogil=True, error_model="numpy")
def noisy_current(  # type: ignore[no-untyped-def]
    low, high, r, voltages, each, curves, coefficients, slopes, out, first, number, key, work
):
    """Write ``noise.noisy_current`` of cells ``low`` … ``high`` to ``out``.

    ``curves`` holds the last arguments of ``current``, ``slopes`` dI/dU at 0 V of r = 0, and the
    difference between r = 1 and r = 0.
    """
    wide_vectors()
    johnson, shot = coefficients
    llrs, hhrs, constants = curves
    slope_llrs, slope_span = slopes
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    z, noise, word = pointers(work)
    zb, zc, zd = at(z, GROUP), at(z, 2 * GROUP), at(z, 3 * GROUP)
    wa, wb, wc, wd = word, at(word, GROUP), at(word, 2 * GROUP), at(word, 3 * GROUP)
    states, currents = pointer(r), pointer(out)
    # One call serves the four cells of a counter; ``shift`` aligns the first cell to its counter.
    shift = int64(first & uint64(3))
    for call_low in range((low + shift) >> 2, (high + shift + 3) >> 2, GROUP):
        begin = (first >> uint64(2)) + uint64(call_low)
        # Only as many calls as needed, rounded up to whole vectors.
        calls = min(int64(GROUP), (((high + shift + 3) >> 2) - call_low + 15) & ~15)
        for j in range(calls):
            counter = begin + uint64(j)
            wa[j], wb[j], wc[j], wd[j] = philox(
                uint32(counter & uint64(0xFFFFFFFF)), uint32(counter >> uint64(32)),
                uint32(number), uint32(3), k0, k1,
            )  # fmt: skip
        for j in range(calls):
            z[j], zb[j] = normal_pair(wa[j], wb[j])
        for j in range(calls):
            zc[j], zd[j] = normal_pair(wc[j], wd[j])
        for j in range(calls):
            for lane in range(4):
                noise[4 * j + lane] = z[lane * GROUP + j]
        origin = 4 * call_low - shift
        begin_cell, end_cell = max(low, origin), min(high, origin + 4 * GROUP)
        state, current_of = at(states, begin_cell), at(currents, begin_cell)
        drawn = at(noise, begin_cell - origin)
        if each:
            voltage = at(pointer(voltages), begin_cell)
            for j in range(end_cell - begin_cell):
                u = voltage[j]
                i = span(llrs, hhrs, constants, state[j], u)[2]
                at_zero = fma(state[j], slope_span, slope_llrs)
                variance = noise_variance(johnson, shot, i, u, at_zero)
                current_of[j] = fma(f4(np.sqrt(variance)), drawn[j], i)
        else:
            u = voltages[0]
            base, difference, _ = span(llrs, hhrs, constants, f4(0.0), u)
            for j in range(end_cell - begin_cell):
                i = fma(state[j], -difference, base)
                at_zero = fma(state[j], slope_span, slope_llrs)
                variance = noise_variance(johnson, shot, i, u, at_zero)
                current_of[j] = fma(f4(np.sqrt(variance)), drawn[j], i)


@cached_njit(nogil=True, error_model="numpy")
def features(low, high, n_cells, state, model, work, out):  # type: ignore[no-untyped-def]
    """Write ``drawing.cycle_features`` of groups ``low`` … ``high`` to ``out``, (4, n_cells)."""
    cells, buffer, listed = open_cells(state, model), pointer(work.buffer), pointer(work.selected)
    for group in range(low, high):
        start = group * GROUP
        for j in range(GROUP):
            listed[j] = start + j
        for pair in range(2):
            gather_features(cells, listed, int64(GROUP), pair, buffer)
            feature_pair(model.parts, cells, listed, int64(GROUP), pair, model, buffer)
            for j in range(min(GROUP, n_cells - start)):
                out[2 * pair, start + j] = buffer[j]
                out[2 * pair + 1, start + j] = buffer[GROUP + j]


@njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def dot(a, b):  # type: ignore[no-untyped-def]
    """Return the float32 dot product; vectorised, but the result for a row is reproducible."""
    total = f4(0.0)
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@cached_njit(nogil=True, error_model="numpy")
def row_sums(low, high, r, columns, weights, out):  # type: ignore[no-untyped-def]
    """Write ``Engine.row_sums`` of rows ``low`` … ``high`` to ``out``, (rows, B)."""
    for row in range(low, high):
        line = r[row * columns : (row + 1) * columns]
        for b in range(weights.shape[0]):
            out[row, b] = dot(line, weights[b])


@cached_njit(nogil=True, error_model="numpy")
def pack(cells, history, out):  # type: ignore[no-untyped-def]
    """Copy the histories of the listed cells to ``out``, (cells, p, 4)."""
    for k in range(cells.shape[0]):
        c = cells[k]
        group, tile, lane = c >> GROUP_BITS, (c >> LANE_BITS) & LAST_TILE, c & LAST_LANE
        for s in range(history.shape[1]):
            for f in range(4):
                out[k, s, f] = history[group, s, tile, f, lane]


@cached_njit(nogil=True, error_model="numpy")
def row_normals(low, high, first, number, key, out, work):  # type: ignore[no-untyped-def]
    """Write ``Engine.readout_noise`` of readouts ``low`` … ``high`` to ``out``, (B, rows)."""
    wide_vectors()
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    wa, wb = work.word[0], work.word[1]
    for b in range(low, high):
        index = uint32((number + uint64(b)) & uint64(0xFFFFFFFF))
        line = out[b]
        for begin in range(0, out.shape[1], GROUP):
            # Only as many numbers as needed, rounded up to whole vectors.
            for j in range(min(GROUP, (out.shape[1] - begin + 15) & ~15)):
                row = first + uint64(begin + j)
                wa[j], wb[j], _, _ = philox(
                    uint32(row & uint64(0xFFFFFFFF)), uint32(row >> uint64(32)),
                    index, uint32(4), k0, k1,
                )  # fmt: skip
            part = line[begin : begin + GROUP]
            for j in range(len(part)):
                part[j] = normal_pair(wa[j], wb[j])[0]
