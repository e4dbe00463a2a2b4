"""Kernels that switch cells: selection, SET, and RESET along the transition curve."""

from typing import Any, NamedTuple

import numpy as np
from numba import int64, njit, uint32, uint64

from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.drawing import (
    BATCH,
    gather_features,
    hrs_pair,
    lrs_pair,
    next_blocks,
    padded,
    place,
    row,
)
from synfab.engines.numba.intrinsics import get, move, prefetch, put, wide_vectors
from synfab.engines.numba.layout import (
    CYCLE_BITS,
    FLAGS,
    GROUP,
    IN_HRS,
    IN_LRS,
    LANE_BITS,
    LANES,
    R_HRS,
    STEEPNESS,
    THRESHOLD,
    TILES,
    U_MAX,
    U_SET,
)
from synfab.engines.numba.transition import FLOOR, PULSE, REST, SLOPE, STATE, transition


class Work(NamedTuple):
    """Working arrays of one thread, reused for all groups."""

    pulse: Any  # voltages of a group
    code: Any  # 0: no switching, 1: SET, 2: RESET
    selected: Any  # list of cells
    to_set: Any
    to_reset: Any
    spent: Any  # cells at the end of their history block …
    cycles: Any  # … and their cycle numbers
    drawn: Any  # cells that leave the LRS and begin a cycle
    begins: Any  # nonzero where a cell of ``to_reset`` begins a cycle
    buffer: Any  # (6, GROUP) features
    curve: Any  # (5, GROUP) r, threshold, voltage, r(R_HRS), steepness
    x: Any  # (4 p, BATCH) blocks
    z: Any  # (8, BATCH) normal numbers
    word: Any  # (4, BATCH) random words


@njit(nogil=True)
def make_work(order):  # type: ignore[no-untyped-def]
    """Return the arrays of a thread, initialised to values that are valid in unused elements."""
    return Work(
        np.zeros(GROUP, np.float32),
        np.zeros(GROUP, np.uint32),
        np.zeros(GROUP, np.int64),
        np.zeros(GROUP, np.int64),
        np.zeros(GROUP, np.int64),
        np.zeros(GROUP, np.int64),
        np.zeros(GROUP, np.uint32),
        np.zeros(GROUP, np.int64),
        np.zeros(GROUP, np.uint32),
        np.ones((6, GROUP), np.float32),
        np.zeros((5, GROUP), np.float32),
        np.zeros((4 * order, BATCH), np.float32),
        np.zeros((8, BATCH), np.float32),
        np.zeros((4, BATCH), np.uint32),
    )


@njit(inline="always")
def set_cells(cells, model, work, count):  # type: ignore[no-untyped-def]
    """SET the listed cells: r = r(R_LRS), threshold = u_reset (``rules.apply_voltage``)."""
    listed, buffer = work.to_set, work.buffer
    gather_features(
        cells.history, cells.devices, cells.status, listed, count, int64(1), model.quantise, buffer
    )
    lrs_pair(buffer, model.marginals, model.constants, padded(count))
    r, status, switch = cells.r, cells.status, cells.switch
    if count == GROUP:
        first = listed[0]
        for q in range(TILES):
            move(r, first + q * LANES, buffer, q * LANES)
            tile = ((first >> LANE_BITS) + q) * 4 * LANES
            move(switch, tile + THRESHOLD * LANES, buffer, GROUP + q * LANES)
        marks = status[first : first + GROUP]
        for j in range(GROUP):
            marks[j] = (marks[j] & uint32(~FLAGS)) | uint32(IN_LRS)
        return
    for j in range(count):
        c = get(listed, j)
        put(r, c, get(buffer, j))
        put(switch, row(c) + THRESHOLD * LANES, get(buffer, GROUP + j))
        put(status, c, (get(status, c) & uint32(~FLAGS)) | uint32(IN_LRS))


@njit(nogil=True, error_model="numpy")
def begin_cycles(cells, model, work, n_spent, n_drawn):  # type: ignore[no-untyped-def]
    """Draw new blocks for cells at the end of one, then r(R_HRS) and u_set of the new cycle."""
    order = cells.history.shape[1]
    if 0 < n_spent < GROUP:
        for j in range(n_spent):
            for s in range(order):
                line = place(work.spent[j], order, s)
                prefetch(cells.history, line)
                prefetch(cells.history, line + 2 * LANES)
    for low in range(0, n_spent, BATCH):
        high = min(low + BATCH, n_spent)
        next_blocks(
            cells.history, work.spent[low : low + BATCH], work.cycles[low : low + BATCH],
            high - low, work.x, work.z, work.word,
            model.lags, model.innovation, model.quantise, model.first, model.key,
        )  # fmt: skip
    gather_features(
        cells.history, cells.devices, cells.status, work.drawn, n_drawn, int64(0), model.quantise,
        work.buffer,
    )  # fmt: skip
    hrs_pair(work.buffer, model.marginals, model.constants, padded(n_drawn))


@njit(inline="always")
def reset_group(cells, model, work):  # type: ignore[no-untyped-def]
    """RESET a whole group completely; all its cells leave the LRS at the same cycle."""
    first = work.to_reset[0]
    marks = cells.status[first : first + GROUP]
    cycle = marks[0] >> uint32(CYCLE_BITS)
    marks[:] = ((cycle + uint32(1)) << uint32(CYCLE_BITS)) | uint32(IN_HRS)
    work.drawn[0] = first
    n_spent = int64(GROUP) if cycle % uint32(cells.history.shape[1]) == uint32(0) else int64(0)
    for j in range(n_spent):
        work.spent[j] = first + j
        work.cycles[j] = cycle
    begin_cycles(cells, model, work, n_spent, int64(GROUP))
    switch, buffer = cells.switch, work.buffer
    for q in range(TILES):
        tile = ((first >> LANE_BITS) + q) * 4 * LANES
        move(cells.r, first + q * LANES, buffer, q * LANES)
        move(switch, tile + THRESHOLD * LANES, work.pulse, q * LANES)
        move(switch, tile + U_SET * LANES, buffer, GROUP + q * LANES)
        move(switch, tile + R_HRS * LANES, buffer, q * LANES)


@njit(nogil=True, error_model="numpy")
def reset_cells(cells, model, work, count):  # type: ignore[no-untyped-def]
    """RESET the listed cells: draw a cycle for those in the LRS, then follow the curve."""
    order = uint32(cells.history.shape[1])
    r, status, switch = cells.r, cells.status, cells.switch
    curve, begins, drawn = work.curve, work.begins, work.drawn
    u_max = model.constants[U_MAX]
    n_spent, n_drawn, any_partial = int64(0), int64(0), False
    last, ends = uint32(0), True
    for j in range(count):
        c = get(work.to_reset, j)
        near, mark = row(c), get(status, c)
        leaves = mark & uint32(IN_LRS)
        put(begins, j, leaves)
        put(curve, STATE * GROUP + j, get(r, c))
        put(curve, REST * GROUP + j, get(switch, near + THRESHOLD * LANES))
        put(curve, FLOOR * GROUP + j, get(switch, near + R_HRS * LANES))
        put(curve, SLOPE * GROUP + j, get(switch, near + STEEPNESS * LANES))
        any_partial |= get(curve, PULSE * GROUP + j) < u_max
        if leaves != 0:
            cycle = mark >> uint32(CYCLE_BITS)
            if cycle != last:
                last = cycle
                ends = cycle % order == uint32(0)
            if ends:
                put(work.spent, n_spent, c)
                put(work.cycles, n_spent, cycle)
                n_spent += 1
            put(status, c, ((cycle + uint32(1)) << uint32(CYCLE_BITS)) | uint32(IN_LRS))
            put(drawn, n_drawn, c)
            n_drawn += 1
    if n_drawn:
        begin_cycles(cells, model, work, n_spent, n_drawn)
        k = int64(0)
        for j in range(count):
            if get(begins, j) != 0:
                near, r_hrs = row(get(drawn, k)), get(work.buffer, k)
                put(switch, near + U_SET * LANES, get(work.buffer, GROUP + k))
                put(switch, near + R_HRS * LANES, r_hrs)
                put(curve, FLOOR * GROUP + j, r_hrs)
                k += 1
    if any_partial:
        transition(curve, begins, model.llrs, model.hhrs, model.constants, padded(count))
    else:
        curve[STATE] = curve[FLOOR]
    for j in range(count):
        c = get(work.to_reset, j)
        near, voltage = row(c), get(curve, PULSE * GROUP + j)
        put(r, c, get(curve, STATE * GROUP + j))
        put(switch, near + THRESHOLD * LANES, voltage)
        put(switch, near + STEEPNESS * LANES, get(curve, SLOPE * GROUP + j))
        full = uint32(IN_HRS) if voltage >= u_max else uint32(0)
        put(status, c, (get(status, c) & uint32(~FLAGS)) | full)


@njit(nogil=True, error_model="numpy")
def classify(status, switch, u, curve, code, start, size):  # type: ignore[no-untyped-def]
    """Write to ``code`` how each cell of a group switches; return the SET and RESET counts."""
    wide_vectors()
    marks = status[start : start + GROUP]
    u_set, threshold = curve[0], curve[1]
    for q in range(TILES):
        tile = ((start >> LANE_BITS) + q) * 4 * LANES
        move(curve, q * LANES, switch, tile + U_SET * LANES)
        move(curve, GROUP + q * LANES, switch, tile + THRESHOLD * LANES)
    for j in range(GROUP):
        no_lrs = (marks[j] & uint32(IN_LRS)) == uint32(0)
        no_hrs = (marks[j] & uint32(IN_HRS)) == uint32(0)
        sets = no_lrs & (u[j] <= u_set[j])
        resets = no_hrs & (u[j] > threshold[j])
        code[j] = uint32(1) if sets else (uint32(2) if resets else uint32(0))
    n_set, n_reset = uint32(0), uint32(0)
    for j in range(size):
        n_set += code[j] & uint32(1)
        n_reset += code[j] >> uint32(1)
    return int64(n_set), int64(n_reset)


@njit(inline="always")
def switch_group(cells, model, work, start, size):  # type: ignore[no-untyped-def]
    """Apply the voltages ``work.pulse`` to a group."""
    total_set, total_reset = classify(
        cells.status, cells.switch, work.pulse, work.curve, work.code, start, size
    )
    if total_set == 0 and total_reset == 0:
        return
    u, pulses = work.pulse, work.curve[PULSE]
    if total_reset == GROUP:
        work.to_reset[0] = start
        complete, leaving = uint32(1), uint32(IN_LRS)
        marks = cells.status[start : start + GROUP]
        different = uint32(0)
        for j in range(GROUP):
            complete &= uint32(u[j] >= model.constants[U_MAX])
            leaving &= marks[j]
            different |= marks[j] ^ marks[0]
        if complete != 0 and leaving != 0 and different >> uint32(CYCLE_BITS) == uint32(0):
            reset_group(cells, model, work)
            return
    n_set, n_reset = int64(0), int64(0)
    for j in range(size):
        code = get(work.code, j)
        put(work.to_set, n_set, start + j)
        n_set += int64(code & uint32(1))
        put(work.to_reset, n_reset, start + j)
        put(pulses, n_reset, get(u, j))
        n_reset += int64(code >> uint32(1))
    if n_set:
        set_cells(cells, model, work, n_set)
    if n_reset:
        reset_cells(cells, model, work, n_reset)


@njit(nogil=True, error_model="numpy")
def switch_selected(cells, model, work, voltages, each, count):  # type: ignore[no-untyped-def]
    """Apply voltages to the cells in ``work.selected``, fewer than a group."""
    order = cells.history.shape[1]
    pulses = work.curve[PULSE]
    n_set, n_reset = int64(0), int64(0)
    for j in range(count):
        c = get(work.selected, j)
        v, mark, near = get(voltages, c * each), get(cells.status, c), row(c)
        no_lrs = (mark & uint32(IN_LRS)) == uint32(0)
        no_hrs = (mark & uint32(IN_HRS)) == uint32(0)
        sets = no_lrs and v <= get(cells.switch, near + U_SET * LANES)
        resets = (not sets) and no_hrs and v > get(cells.switch, near + THRESHOLD * LANES)
        if sets or resets:
            slot = int64(((mark >> uint32(CYCLE_BITS)) + uint32(order - 1)) % uint32(order))
            pair = int64(1)
            if sets:
                work.to_set[n_set] = c
                n_set += 1
            else:
                work.to_reset[n_reset] = c
                pulses[n_reset] = v
                n_reset += 1
                pair, slot = int64(0), slot + 1 if slot + 1 < order else int64(0)
                prefetch(cells.switch, near + R_HRS * LANES)
            prefetch(cells.history, place(c, order, slot) + 2 * pair * LANES)
            device = pair * cells.devices.shape[1] * 4 * LANES + near
            prefetch(cells.devices, device)
            prefetch(cells.devices, device + 2 * LANES)
            prefetch(cells.r, c)
    if n_set:
        set_cells(cells, model, work, n_set)
    if n_reset:
        reset_cells(cells, model, work, n_reset)


@cached_njit(nogil=True, error_model="numpy")
def apply_voltage(  # type: ignore[no-untyped-def]
    group_low, group_high, n_cells, voltages, each, cells, model
):
    """Apply ``rules.apply_voltage`` to groups ``group_low`` … ``group_high``."""
    wide_vectors()
    work = make_work(cells.history.shape[1])
    u = work.pulse
    u[:] = voltages[0]
    for group in range(group_low, group_high):
        start = group * GROUP
        size = min(GROUP, n_cells - start)
        if each:
            for j in range(size):
                u[j] = voltages[start + j]
        switch_group(cells, model, work, start, size)


@cached_njit(nogil=True, error_model="numpy")
def apply_voltage_where(  # type: ignore[no-untyped-def]
    group_low, group_high, voltages, each, mask, cells, model
):
    """Apply ``rules.apply_voltage`` to the selected cells of groups.

    ``mask`` holds eight booleans per word. Cells of several groups are collected, so that their
    data can be prefetched.
    """
    work = make_work(cells.history.shape[1])
    busy = np.empty(GROUP // 8, np.int64)
    count = int64(0)
    for group in range(group_low, group_high):
        low, n_busy = group * (GROUP // 8), 0
        for word in range(low, min(low + GROUP // 8, mask.shape[0])):
            busy[n_busy] = word
            n_busy += int64(mask[word] != uint64(0))
        for k in range(n_busy):
            eight = mask[busy[k]]
            for byte in range(8):
                if (eight >> uint64(8 * byte)) & uint64(1):
                    c = 8 * busy[k] + byte
                    work.selected[count] = c
                    count += 1
                    prefetch(cells.status, c)
                    prefetch(cells.switch, (c >> LANE_BITS) * 4 * LANES)
            if count >= GROUP - 8:
                switch_selected(cells, model, work, voltages, each, count)
                count = int64(0)
    if count:
        switch_selected(cells, model, work, voltages, each, count)
