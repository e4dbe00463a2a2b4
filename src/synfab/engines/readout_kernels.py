"""Numba kernels that read cells: currents, noise, crossbar sums."""

import numpy as np
from numba import njit, uint32, uint64

from synfab.engines.kernels import GROUP, gather_features, span
from synfab.engines.scalar import exp, f4, fma, normal_pair, philox, polynomial

LN_10 = f4(2.302585092994046)
DOT_LANES = 32  # partial sums of a crossbar row, added in a fixed order


@njit(nogil=True, cache=True, error_model="numpy")
def current(low, high, r, voltages, each, llrs, hhrs, constants, out):  # type: ignore[no-untyped-def]
    """Equals ``rules.current`` for cells ``low`` … ``high``."""
    if each:
        for c in range(low, high):
            out[c] = span(llrs, hhrs, constants, r[c], voltages[c])[2]
    else:
        base, difference, _ = span(llrs, hhrs, constants, f4(0.0), voltages[0])
        for c in range(low, high):
            out[c] = fma(r[c], -difference, base)


@njit(nogil=True, cache=True, error_model="numpy")
def add_read_noise(  # type: ignore[no-untyped-def]
    low, high, r, voltages, each, johnson, shot, slope_llrs, slope_span, out, first, number, key
):
    """Add the noise of ``readout.noise_variance`` to cells ``low`` … ``high``, whole fours."""
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    z = np.empty((4, GROUP), np.float32)
    word = np.empty((4, GROUP), np.uint32)
    # Four cells of one counter share a call; a first cell in between shifts where calls begin.
    shift = int(first & uint64(3))
    n = out.shape[0]
    for call_low in range((low + shift) >> 2, (high + shift + 3) >> 2, GROUP):
        width = min(GROUP, ((high + shift + 3) >> 2) - call_low)
        begin = (first >> uint64(2)) + uint64(call_low)
        for j in range(width):
            counter = begin + uint64(j)
            word[0, j], word[1, j], word[2, j], word[3, j] = philox(
                uint32(counter & uint64(0xFFFFFFFF)), uint32(counter >> uint64(32)),
                uint32(number), uint32(3), k0, k1,
            )  # fmt: skip
        for j in range(width):
            z[0, j], z[1, j] = normal_pair(word[0, j], word[1, j])
        for j in range(width):
            z[2, j], z[3, j] = normal_pair(word[2, j], word[3, j])
        for j in range(width):
            for lane in range(4):
                c = 4 * (call_low + j) + lane - shift
                if low <= c < high and c < n:
                    u, i = voltages[c * each], out[c]
                    conductance = abs(i / u) if u != f4(0.0) else fma(r[c], slope_span, slope_llrs)
                    variance = fma(johnson, conductance, shot * abs(i))
                    out[c] = fma(f4(np.sqrt(variance)), z[lane, j], i)


@njit(nogil=True, cache=True, error_model="numpy")
def features(  # type: ignore[no-untyped-def]
    low, high, n_cells, history, devices, status, marginals, quantise, out
):
    """Equals ``rules.cycle_features`` for the cells of some groups; ``out`` is (4, n_cells)."""
    cells = np.empty(GROUP, np.int64)
    buffer = np.empty((6, GROUP), np.float32)
    for group in range(low, high):
        for j in range(GROUP):
            cells[j] = group * GROUP + j
        size = min(GROUP, n_cells - group * GROUP)
        for pair in range(2):
            gather_features(history, devices, status, cells, GROUP, pair, quantise, buffer)
            for j in range(size):
                x0, x1 = buffer[0, j], buffer[1, j]
                if pair == 0:
                    y = fma(buffer[3, j], polynomial(marginals[0], x0), buffer[2, j])
                    out[0, cells[j]] = exp(LN_10 * y)
                    out[1, cells[j]] = fma(buffer[5, j], polynomial(marginals[1], x1), buffer[4, j])
                else:
                    out[2, cells[j]] = fma(buffer[3, j], polynomial(marginals[2], x0), buffer[2, j])
                    out[3, cells[j]] = fma(buffer[5, j], polynomial(marginals[3], x1), buffer[4, j])


@njit(nogil=True, cache=True, error_model="numpy")
def row_sums(low, high, r, columns, weights, out):  # type: ignore[no-untyped-def]
    """Rows ``low`` … ``high`` of r (rows x columns) times each row of ``weights`` (B, columns)."""
    partial = np.empty(DOT_LANES, np.float32)
    whole = columns - columns % DOT_LANES
    for row in range(low, high):
        line = r[row * columns : (row + 1) * columns]
        for b in range(weights.shape[0]):
            weight = weights[b]
            partial[:] = f4(0.0)
            for start in range(0, whole, DOT_LANES):
                for lane in range(DOT_LANES):
                    partial[lane] = fma(line[start + lane], weight[start + lane], partial[lane])
            total = 0.0
            for lane in range(DOT_LANES):
                total += partial[lane]
            for j in range(whole, columns):
                total += line[j] * weight[j]
            out[row, b] = total


@njit(nogil=True, cache=True, error_model="numpy")
def pack(low, high, n_cells, cells, history, out, put):  # type: ignore[no-untyped-def]
    """Histories of the listed cells, cell by cell (cells, p, 4); ``put`` writes them back."""
    for k in range(low, high):
        c = cells[k]
        tile, lane = c >> 2, c & 3
        for s in range(history.shape[1]):
            for f in range(4):
                if put:
                    history[tile, s, f, lane] = out[k, s, f]
                else:
                    out[k, s, f] = history[tile, s, f, lane]
