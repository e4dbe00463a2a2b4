"""Kernels of compact cells: unpack a group, switch it with the kernels of ``switching``, pack it.

A compact cell takes 16 bytes (with eight history variables):

    r          (cells,)            uint16, steps of 1/65535 of the allowed range
    threshold  (cells,)            int16, steps of U_max / 16384
    status     (cells,)            as in ``layout``
    history    (groups, k, GROUP)  int8, state variables of ``reduction``

All other values are recomputed when needed: device parameters are drawn again, u_set and r(R_HRS)
follow from the history, and the steepness of a transition curve from the cell's point on it.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import int64, njit, uint32

from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.drawing import draw_normals, gather_features, hrs_pair
from synfab.engines.numba.fabrication import group_devices
from synfab.engines.numba.intrinsics import fma, move, wide_vectors
from synfab.engines.numba.layout import (
    CYCLE_BITS,
    ETA,
    FLAGS,
    GROUP,
    IN_HRS,
    IN_LRS,
    LANE_BITS,
    LANES,
    LAST_LANE,
    R_HRS,
    STEEPNESS,
    THRESHOLD,
    TILES,
    U_MAX,
    U_SET,
    Storage,
)
from synfab.engines.numba.scalar import exp, f4, log
from synfab.engines.numba.switching import make_work, switch_group
from synfab.engines.numba.transition import span
from synfab.model.reduction import HIGHEST_LEVEL, QUANTUM

LEVELS = 65535.0
# An unpacked cell is at cycle 1 of a block of two: slot 0 holds x*_n, slot 1 holds x*_{n+1}.
REBASED = 1 << CYCLE_BITS


class Compact(NamedTuple):
    """Packed state of all cells; see the module docstring."""

    r: Any
    threshold: Any
    status: Any
    history: Any


class Process(NamedTuple):
    """Model data for unpacking cells; all float32, the history in quantisation levels."""

    step: Any  # A
    innovation: Any  # B
    output: Any  # C
    bounds: Any
    means: Any
    factors: Any
    lowest: Any  # r of level 0
    r_step: Any
    u_step: Any


class Scratch(NamedTuple):
    """Working arrays of one thread."""

    cells: Any  # indices of a group's cells in the array
    local: Any  # 0 … GROUP - 1
    cycle: Any
    zero: Any
    chosen: Any
    word: Any
    z: Any  # (8, GROUP) normal numbers
    state: Any  # (k, GROUP) levels
    following: Any  # (k, GROUP) levels of the next cycle
    row: Any
    total: Any
    buffer: Any  # (6, GROUP)


@njit(nogil=True)
def make_scratch(states):  # type: ignore[no-untyped-def]
    """Return the working arrays of one thread."""
    return Scratch(
        np.zeros(GROUP, np.int64),
        np.arange(GROUP),
        np.zeros(GROUP, np.uint32),
        np.zeros(GROUP, np.uint32),
        np.zeros(GROUP, np.uint32),
        np.zeros((4, GROUP), np.uint32),
        np.zeros((8, GROUP), np.float32),
        np.zeros((states, GROUP), np.float32),
        np.zeros((states, GROUP), np.float32),
        np.zeros(GROUP, np.float32),
        np.zeros(GROUP, np.float32),
        np.ones((6, GROUP), np.float32),
    )


@njit(nogil=True)
def make_storage(groups, order):  # type: ignore[no-untyped-def]
    """Return zero-filled storage for unpacked cells."""
    tiles = groups * TILES
    return Storage(
        np.zeros(groups * GROUP, np.float32),
        np.zeros(groups * GROUP, np.uint32),
        np.zeros((tiles, 4, LANES), np.float32),
        np.zeros((groups, order, TILES, 4, LANES), np.float32),
        np.zeros((2, tiles, 4, LANES), np.float32),
    )


@njit(nogil=True, error_model="numpy")
def add_product(matrix, i, vectors, total):  # type: ignore[no-untyped-def]
    """Add row ``i`` of ``matrix`` times ``vectors`` to ``total`` for all cells of a group."""
    wide_vectors()
    for m in range(matrix.shape[1]):
        row, weight = vectors[m], matrix[i, m]
        for j in range(GROUP):
            total[j] = fma(weight, row[j], total[j])


@njit(nogil=True, error_model="numpy")
def write_vector(history, line, process, state, total):  # type: ignore[no-untyped-def]
    """Write x* = C z into one history slot of unpacked cells; ``line`` is a tile index."""
    for f in range(4):
        total[:] = f4(0.0)
        add_product(process.output, f, state, total)
        for q in range(TILES):
            move(history, ((line + q) * 4 + f) * LANES, total, q * LANES)


@njit(nogil=True, error_model="numpy")
def find_steepness(storage, at, llrs, hhrs, constants):  # type: ignore[no-untyped-def]
    """Set the steepness a of the curve through (threshold, r) for partially RESET cells."""
    for j in range(GROUP):
        c = at * GROUP + j
        if storage.status[c] & uint32(FLAGS) == uint32(0):
            near = storage.switch[c >> LANE_BITS, :, c & LAST_LANE]
            u, u_max = near[THRESHOLD], constants[U_MAX]
            _, _, floor = span(llrs, hhrs, constants, near[R_HRS], u_max)
            _, _, here = span(llrs, hhrs, constants, storage.r[c], u)
            rise = max(u_max - u, f4(1e-6) * u_max)
            near[STEEPNESS] = (here - floor) / exp(constants[ETA] * log(rise))


@njit(nogil=True, error_model="numpy")
def unpack(group, at, compact, storage, process, model, scratch, rebased):  # type: ignore[no-untyped-def]
    """Unpack group ``group`` into group ``at`` of ``storage``; ``rebased`` sets cycle 1."""
    cells, order = scratch.cells, storage.history.shape[1]
    start = group * GROUP
    for j in range(GROUP):
        cells[j] = start + j
        scratch.local[j] = at * GROUP + j
        mark = compact.status[start + j]
        scratch.cycle[j] = mark >> uint32(CYCLE_BITS)
        storage.status[at * GROUP + j] = (
            (mark & uint32(FLAGS)) | uint32(REBASED) if rebased else mark
        )
        storage.r[at * GROUP + j] = fma(f4(compact.r[start + j]), process.r_step, process.lowest)
        scratch.row[j] = f4(compact.threshold[start + j]) * process.u_step
    for q in range(TILES):
        move(storage.switch, ((at * TILES + q) * 4 + THRESHOLD) * LANES, scratch.row, q * LANES)
    group_devices(
        storage.devices, at * TILES, process.bounds, process.means, process.factors, cells,
        scratch.zero, scratch.chosen, scratch.z, scratch.word, scratch.row, scratch.total,
        model.first, model.key,
    )  # fmt: skip
    for m in range(compact.history.shape[1]):
        levels, state = compact.history[group, m], scratch.state[m]
        for j in range(GROUP):
            state[j] = f4(levels[j])
    write_vector(storage.history, at * order * TILES, process, scratch.state, scratch.total)
    buffer = scratch.buffer
    gather_features(
        storage.history, storage.devices, storage.status, scratch.local, int64(GROUP), int64(0),
        False, buffer,
    )  # fmt: skip
    hrs_pair(buffer, model.marginals, model.constants, int64(GROUP))
    for q in range(TILES):
        tile = (at * TILES + q) * 4
        move(storage.switch, (tile + U_SET) * LANES, buffer, GROUP + q * LANES)
        move(storage.switch, (tile + R_HRS) * LANES, buffer, q * LANES)
    find_steepness(storage, at, model.llrs, model.hhrs, model.constants)


@njit(nogil=True, error_model="numpy")
def draw_following(storage, process, model, scratch):  # type: ignore[no-untyped-def]
    """Compute the state variables and x* of the next cycle for an unpacked group."""
    draw_normals(
        scratch.z, int64(0), scratch.word, scratch.cells, scratch.cycle, int64(1), int64(2),
        model.first, model.key, int64(GROUP),
    )  # fmt: skip
    for i in range(scratch.following.shape[0]):
        row = scratch.following[i]
        row[:] = f4(0.0)
        add_product(process.step, i, scratch.state, row)
        add_product(process.innovation, i, scratch.z, row)
        for j in range(GROUP):
            row[j] = np.rint(min(max(row[j], f4(-HIGHEST_LEVEL)), f4(HIGHEST_LEVEL)))
    write_vector(storage.history, TILES, process, scratch.following, scratch.total)


@njit(nogil=True, error_model="numpy")
def pack_switch(group, at, j, compact, storage, process):  # type: ignore[no-untyped-def]
    """Quantise the state and the threshold of one cell.

    The threshold is rounded up, so that repeating the same pulse has no effect.
    """
    c = group * GROUP + j
    local = at * GROUP + j
    level = np.rint((storage.r[local] - process.lowest) / process.r_step)
    compact.r[c] = np.uint16(min(max(level, f4(0.0)), f4(LEVELS)))
    threshold = storage.switch[local >> LANE_BITS, THRESHOLD, local & LAST_LANE]
    if threshold != f4(compact.threshold[c]) * process.u_step:
        steps = np.ceil(threshold / process.u_step)
        steps += f4(steps * process.u_step < threshold)
        compact.threshold[c] = np.int16(min(max(steps, f4(-32767.0)), f4(32767.0)))


@cached_njit(nogil=True, error_model="numpy")
def fabricate(group_low, group_high, compact, process, model):  # type: ignore[no-untyped-def]
    """Initialise cells, as ``Engine.fabricate``; the state variables have covariance 1."""
    states = compact.history.shape[1]
    scratch, storage = make_scratch(states), make_storage(1, 2)
    quantum = f4(QUANTUM)
    for group in range(group_low, group_high):
        for j in range(GROUP):
            scratch.cells[j] = group * GROUP + j
            compact.status[group * GROUP + j] = uint32(IN_HRS)
        for m in range(states):
            if m % 4 == 0:
                draw_normals(
                    scratch.z, int64(0), scratch.word, scratch.cells, scratch.zero,
                    int64(m // 4), int64(1), model.first, model.key, int64(GROUP),
                )  # fmt: skip
            row = scratch.z[m % 4]
            for j in range(GROUP):
                level = min(max(row[j] * quantum, f4(-HIGHEST_LEVEL)), f4(HIGHEST_LEVEL))
                compact.history[group, m, j] = np.int8(np.rint(level))
        unpack(group, int64(0), compact, storage, process, model, scratch, True)
        for j in range(GROUP):
            storage.r[j] = storage.switch[j >> LANE_BITS, R_HRS, j & LAST_LANE]
            pack_switch(group, int64(0), j, compact, storage, process)


@cached_njit(nogil=True, error_model="numpy")
def apply_voltage(  # type: ignore[no-untyped-def]
    group_low, group_high, n_cells, voltages, each, mask, masked, compact, process, model
):
    """Apply ``rules.apply_voltage`` with the reduced history; ``mask`` is used if ``masked``."""
    states = compact.history.shape[1]
    scratch, storage, work = make_scratch(states), make_storage(1, 2), make_work(2)
    u = work.pulse
    u[:] = voltages[0]
    for group in range(group_low, group_high):
        start = group * GROUP
        size = min(GROUP, n_cells - start)
        touched, any_lrs = not masked, uint32(0)
        for j in range(size):
            any_lrs |= compact.status[start + j] & uint32(IN_LRS)
            if masked:
                touched |= mask[start + j]
            if each:
                u[j] = voltages[start + j]
        if not touched:
            continue
        unpack(group, int64(0), compact, storage, process, model, scratch, True)
        if any_lrs != uint32(0):
            draw_following(storage, process, model, scratch)
        switch_group(storage, model, work, int64(0), size)
        for j in range(size):
            if masked and not mask[start + j]:
                continue
            pack_switch(group, int64(0), j, compact, storage, process)
            mark = storage.status[j]
            started = (mark >> uint32(CYCLE_BITS)) - uint32(1)
            compact.status[start + j] = ((scratch.cycle[j] + started) << uint32(CYCLE_BITS)) | (
                mark & uint32(FLAGS)
            )
            if started != uint32(0):
                for m in range(states):
                    compact.history[group, m, j] = np.int8(scratch.following[m, j])


@cached_njit(nogil=True, error_model="numpy")
def open_groups(low, high, groups, compact, storage, process, model):  # type: ignore[no-untyped-def]
    """Unpack the listed groups contiguously into ``storage``, with blocks of one cycle."""
    scratch = make_scratch(compact.history.shape[1])
    for k in range(low, high):
        unpack(groups[k], k, compact, storage, process, model, scratch, False)


@cached_njit(nogil=True, error_model="numpy")
def close_groups(low, high, groups, compact, storage, process):  # type: ignore[no-untyped-def]
    """Pack state, threshold and flags of the listed groups; cycle numbers are unchanged."""
    for k in range(low, high):
        for j in range(GROUP):
            pack_switch(groups[k], k, j, compact, storage, process)
            compact.status[groups[k] * GROUP + j] = storage.status[k * GROUP + j]
