"""Kernel that fabricates cells: device parameters, stationary history, initial state."""

import numpy as np
from numba import int64, njit, uint32, uint64

from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.drawing import (
    VECTOR_WIDTH,
    draw_normals,
    gather_features,
    hrs_pair,
    product_vectors,
    store_vectors,
    to_levels,
    triangle_vectors,
)
from synfab.engines.numba.intrinsics import fma, move, wide_vectors
from synfab.engines.numba.layout import (
    GROUP,
    IN_HRS,
    LANES,
    R_HRS,
    STEEPNESS,
    THRESHOLD,
    TILES,
    U_SET,
)
from synfab.engines.numba.scalar import philox


@njit(nogil=True, error_model="numpy")
def pick_components(chosen, bounds, cells, first, key):  # type: ignore[no-untyped-def]
    """Draw the mixture component of each cell (``drawing.fabricate``)."""
    wide_vectors()
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    components = bounds.shape[0]
    # The descending loop ends at the smallest component whose bound exceeds the word.
    for j in range(GROUP):
        number = first + uint64(cells[j])
        low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
        word, _, _, _ = philox(low, high, uint32(0), uint32(0), k0, k1)
        pick = uint32(components - 1)
        for k in range(components - 2, -1, -1):
            pick = uint32(k) if uint64(word) < bounds[k] else pick
        chosen[j] = pick


@njit(nogil=True, error_model="numpy")
def draw_devices(devices, tile, means, factors, chosen, z, x, total):  # type: ignore[no-untyped-def]
    """Draw mu and sigma of a group from the mean and factor of the chosen components."""
    wide_vectors()
    tiles = devices.shape[1]
    for i in range(8):
        for k in range(means.shape[0]):
            total[:] = means[k, i]
            for m in range(i + 1):
                row, weight = z[m], factors[k, i, m]
                for j in range(GROUP):
                    total[j] = fma(weight, row[j], total[j])
            for j in range(GROUP):
                x[j] = total[j] if chosen[j] == uint32(k) else x[j]
        # Parameter i is mu or sigma of feature i & 3; mu and sigma of a feature are adjacent rows.
        pair, row_in_tile = (i & 2) >> 1, 2 * (i & 1) + (i >> 2)
        for q in range(TILES):
            move(devices, ((pair * tiles + tile + q) * 4 + row_in_tile) * LANES, x, q * LANES)


@njit(nogil=True, error_model="numpy")
def group_devices(  # type: ignore[no-untyped-def]
    devices, tile, bounds, means, factors, cells, zero, chosen, z, word, x, total, first, key
):
    """Draw the device parameters of a group and store them in tiles starting at ``tile``."""
    draw_normals(z, int64(0), word, cells, zero, int64(1), int64(0), first, key, int64(GROUP))
    draw_normals(z, int64(4), word, cells, zero, int64(2), int64(0), first, key, int64(GROUP))
    pick_components(chosen, bounds, cells, first, key)
    draw_devices(devices, tile, means, factors, chosen, z, x, total)


@njit(nogil=True, error_model="numpy")
def correlate(x, stationary, eps):  # type: ignore[no-untyped-def]
    """Multiply independent normals by the factor of the stationary history; newest first."""
    wide_vectors()
    for i in range(stationary.shape[0]):
        for j in range(0, GROUP, VECTOR_WIDTH):
            x0, x1, x2, x3 = triangle_vectors(stationary[i, i], eps, 4 * i * GROUP + j, GROUP)
            for m in range(i):
                at = 4 * m * GROUP + j
                x0, x1, x2, x3 = product_vectors(stationary[i], m, eps, at, GROUP, x0, x1, x2, x3)
            store_vectors(x, 4 * i * GROUP + j, GROUP, x0, x1, x2, x3)


@cached_njit(nogil=True, error_model="numpy")
def fabricate(  # type: ignore[no-untyped-def]
    group_low, group_high, bounds, means, factors, stationary, storage, model
):
    """Apply ``drawing.fabricate`` and ``rules.fresh_state`` to whole groups of padded arrays.

    ``stationary`` (p, p, 4, 4) is the lower Cholesky factor of the history in blocks, in levels
    if the history is int16.
    """
    r, status, switch, history, devices = storage
    quantise, first, key = model.quantise, model.first, model.key
    order = history.shape[1]
    eps = np.empty((4 * order, GROUP), np.float32)
    x = np.empty((4 * order, GROUP), np.float32)
    picked, total = np.zeros(GROUP, np.float32), np.empty(GROUP, np.float32)
    chosen = np.empty(GROUP, np.uint32)
    z, word = np.empty((8, GROUP), np.float32), np.empty((4, GROUP), np.uint32)
    cells, zero = np.empty(GROUP, np.int64), np.zeros(GROUP, np.uint32)
    buffer, nought = np.empty((6, GROUP), np.float32), np.zeros(LANES, np.float32)
    for group in range(group_low, group_high):
        for j in range(GROUP):
            cells[j] = group * GROUP + j
            status[group * GROUP + j] = uint32(IN_HRS)
        group_devices(
            devices, group * TILES, bounds, means, factors, cells, zero, chosen, z, word, picked,
            total, first, key,
        )  # fmt: skip
        for i in range(order):
            draw_normals(eps, 4 * i, word, cells, zero, i, int64(1), first, key, int64(GROUP))
        correlate(x, stationary, eps)
        for i in range(order):
            near = (group * order + order - 1 - i) * TILES
            for f in range(4):
                if quantise:
                    to_levels(x[4 * i + f], int64(GROUP))
                for q in range(TILES):
                    at = (4 * i + f) * GROUP + q * LANES
                    move(history, ((near + q) * 4 + f) * LANES, x, at)
        gather_features(history, devices, status, cells, int64(GROUP), int64(0), quantise, buffer)
        hrs_pair(buffer, model.marginals, model.constants, int64(GROUP))
        for q in range(TILES):
            tile = (group * TILES + q) * 4 * LANES
            move(r, group * GROUP + q * LANES, buffer, q * LANES)
            move(switch, tile + THRESHOLD * LANES, nought, 0)
            move(switch, tile + U_SET * LANES, buffer, GROUP + q * LANES)
            move(switch, tile + R_HRS * LANES, buffer, q * LANES)
            move(switch, tile + STEEPNESS * LANES, nought, 0)
