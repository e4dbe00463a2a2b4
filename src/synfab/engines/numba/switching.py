"""Kernels that switch cells: selection, SET, and RESET along the transition curve."""

from numba import int64, njit, uint32, uint64

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.drawing import next_blocks, open_cells, padded, place, row
from synfab.engines.numba.features import gather_features, hrs_pair, lrs_pair
from synfab.engines.numba.intrinsics import (
    at,
    move,
    not_inlined,
    pointer,
    pointers,
    prefetch,
    wide_vectors,
)
from synfab.engines.numba.layout import (
    BATCH,
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


@part_njit()
def set_cells(cells, model, work, count):  # type: ignore[no-untyped-def]
    """SET the listed cells: r = r(R_LRS), threshold = u_reset (``rules.apply_voltage``)."""
    not_inlined()
    listed, buffer = work.to_set, work.buffer
    gather_features(cells, listed, count, int64(1), buffer)
    lrs_pair(model.parts, cells, listed, count, model, buffer)
    r, status, switch = cells.r, cells.status, cells.switch
    if count == GROUP:
        first = listed[0]
        for q in range(TILES):
            move(r, first + q * LANES, buffer, q * LANES)
            tile = ((first >> LANE_BITS) + q) * 4 * LANES
            move(switch, tile + THRESHOLD * LANES, buffer, GROUP + q * LANES)
        marks = at(status, first)
        for j in range(GROUP):
            marks[j] = (marks[j] & uint32(~FLAGS)) | uint32(IN_LRS)
        return
    for j in range(count):
        c = listed[j]
        r[c] = buffer[j]
        switch[row(c) + THRESHOLD * LANES] = buffer[GROUP + j]
        status[c] = (status[c] & uint32(~FLAGS)) | uint32(IN_LRS)


@part_njit()
def begin_cycles(cells, model, work, n_spent, n_drawn):  # type: ignore[no-untyped-def]
    """Draw new blocks for cells at the end of one, then r(R_HRS) and u_set of the new cycle."""
    not_inlined()
    slots, process = cells.slots, pointers(model.process)
    if 0 < n_spent < GROUP:
        for j in range(n_spent):
            for s in range(slots):
                line = place(work.spent[j], slots, s)
                prefetch(cells.history, line)
                prefetch(cells.history, line + 2 * LANES)
    for low in range(0, n_spent, BATCH):
        high = min(low + BATCH, n_spent)
        next_blocks(
            cells, at(work.spent, low), at(work.cycles, low), high - low, work, process,
            model.first, model.key,
        )  # fmt: skip
    gather_features(cells, work.drawn, n_drawn, int64(0), work.buffer)
    hrs_pair(model.parts, cells, work.drawn, n_drawn, model, work.buffer)


@part_njit()
def reset_group(cells, model, work):  # type: ignore[no-untyped-def]
    """RESET a whole group completely; all its cells leave the LRS at the same cycle."""
    not_inlined()
    first = work.to_reset[0]
    marks = at(cells.status, first)
    cycle = marks[0] >> uint32(CYCLE_BITS)
    mark = ((cycle + uint32(1)) << uint32(CYCLE_BITS)) | uint32(IN_HRS)
    for j in range(GROUP):
        marks[j] = mark
    work.drawn[0] = first
    n_spent = GROUP if cycle % uint32(cells.order) == uint32(0) else 0
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


@part_njit()
def reset_cells(cells, model, work, count):  # type: ignore[no-untyped-def]
    """RESET the listed cells: draw a cycle for those in the LRS, then follow the curve."""
    not_inlined()
    order = uint32(cells.order)
    r, status, switch = cells.r, cells.status, cells.switch
    curve, begins, drawn = work.curve, work.begins, work.drawn
    u_max = model.constants[U_MAX]
    n_spent, n_drawn, any_partial = int64(0), int64(0), False
    last, ends = uint32(0), True
    for j in range(count):
        c = work.to_reset[j]
        near, mark = row(c), status[c]
        leaves = mark & uint32(IN_LRS)
        begins[j] = leaves
        curve[STATE * GROUP + j] = r[c]
        curve[REST * GROUP + j] = switch[near + THRESHOLD * LANES]
        curve[FLOOR * GROUP + j] = switch[near + R_HRS * LANES]
        curve[SLOPE * GROUP + j] = switch[near + STEEPNESS * LANES]
        any_partial |= curve[PULSE * GROUP + j] < u_max
        if leaves != 0:
            cycle = mark >> uint32(CYCLE_BITS)
            if cycle != last:
                last = cycle
                ends = cycle % order == uint32(0)
            if ends:
                work.spent[n_spent] = c
                work.cycles[n_spent] = cycle
                n_spent += 1
            status[c] = ((cycle + uint32(1)) << uint32(CYCLE_BITS)) | uint32(IN_LRS)
            drawn[n_drawn] = c
            n_drawn += 1
    if n_drawn:
        begin_cycles(cells, model, work, n_spent, n_drawn)
        k = int64(0)
        for j in range(count):
            if begins[j] != 0:
                near, r_hrs = row(drawn[k]), work.buffer[k]
                switch[near + U_SET * LANES] = work.buffer[GROUP + k]
                switch[near + R_HRS * LANES] = r_hrs
                curve[FLOOR * GROUP + j] = r_hrs
                k += 1
    if any_partial:
        transition(curve, begins, model.llrs, model.hhrs, model.constants, padded(count))
    else:
        for j in range(padded(count)):
            curve[STATE * GROUP + j] = curve[FLOOR * GROUP + j]
    for j in range(count):
        c = work.to_reset[j]
        near, voltage = row(c), curve[PULSE * GROUP + j]
        r[c] = curve[STATE * GROUP + j]
        switch[near + THRESHOLD * LANES] = voltage
        switch[near + STEEPNESS * LANES] = curve[SLOPE * GROUP + j]
        full = uint32(IN_HRS) if voltage >= u_max else uint32(0)
        status[c] = (status[c] & uint32(~FLAGS)) | full


@part_njit()
def classify(cells, u, curve, code, start, size):  # type: ignore[no-untyped-def]
    """Write to ``code`` how each cell of a group switches; return the SET and RESET counts."""
    wide_vectors()
    marks, switch = at(cells.status, start), cells.switch
    u_set, threshold = curve, at(curve, GROUP)
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
    total_set, total_reset = classify(cells, work.pulse, work.curve, work.code, start, size)
    if total_set == 0 and total_reset == 0:
        return
    u, pulses = work.pulse, at(work.curve, PULSE * GROUP)
    if total_reset == GROUP:
        work.to_reset[0] = start
        complete, leaving = uint32(1), uint32(IN_LRS)
        marks = at(cells.status, start)
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
        code = work.code[j]
        work.to_set[n_set] = start + j
        n_set += int64(code & uint32(1))
        work.to_reset[n_reset] = start + j
        pulses[n_reset] = u[j]
        n_reset += int64(code >> uint32(1))
    if n_set:
        set_cells(cells, model, work, n_set)
    if n_reset:
        reset_cells(cells, model, work, n_reset)


@part_njit()
def switch_selected(cells, model, work, voltages, each, count):  # type: ignore[no-untyped-def]
    """Apply voltages to the cells in ``work.selected``, fewer than a group."""
    not_inlined()
    order = cells.order
    pulses = at(work.curve, PULSE * GROUP)
    n_set, n_reset = int64(0), int64(0)
    for j in range(count):
        c = work.selected[j]
        v, mark, near = voltages[c * each], cells.status[c], row(c)
        no_lrs = (mark & uint32(IN_LRS)) == uint32(0)
        no_hrs = (mark & uint32(IN_HRS)) == uint32(0)
        sets = no_lrs and v <= cells.switch[near + U_SET * LANES]
        resets = (not sets) and no_hrs and v > cells.switch[near + THRESHOLD * LANES]
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
            prefetch(cells.history, place(c, cells.slots, slot) + 2 * pair * LANES)
            device = pair * cells.tiles * 4 * LANES + near
            prefetch(cells.devices, device)
            prefetch(cells.devices, device + 2 * LANES)
            prefetch(cells.r, c)
    if n_set:
        set_cells(cells, model, work, n_set)
    if n_reset:
        reset_cells(cells, model, work, n_reset)


@cached_njit(nogil=True, error_model="numpy")
def apply_voltage(  # type: ignore[no-untyped-def]
    group_low, group_high, n_cells, voltages, each, cells, model, work
):
    """Apply ``rules.apply_voltage`` to groups ``group_low`` … ``group_high``."""
    wide_vectors()
    cells, work, given = open_cells(cells, model), pointers(work), pointer(voltages)
    u = work.pulse
    for j in range(GROUP):
        u[j] = given[0]
    for group in range(group_low, group_high):
        start = group * GROUP
        size = min(GROUP, n_cells - start)
        if each:
            for j in range(size):
                u[j] = given[start + j]
        switch_group(cells, model, work, start, size)


@cached_njit(nogil=True, error_model="numpy")
def apply_voltage_where(  # type: ignore[no-untyped-def]
    group_low, group_high, voltages, each, mask, cells, model, work
):
    """Apply ``rules.apply_voltage`` to the selected cells of groups.

    ``mask`` holds eight booleans per word. Cells of several groups are collected, so that their
    data can be prefetched.
    """
    words = mask.shape[0]
    cells, work = open_cells(cells, model), pointers(work)
    given, eights = pointer(voltages), pointer(mask)
    busy, count = work.busy, int64(0)
    for group in range(group_low, group_high):
        low, n_busy = group * (GROUP // 8), 0
        for word in range(low, min(low + GROUP // 8, words)):
            busy[n_busy] = word
            n_busy += int64(eights[word] != uint64(0))
        for k in range(n_busy):
            eight = eights[busy[k]]
            for byte in range(8):
                if (eight >> uint64(8 * byte)) & uint64(1):
                    c = 8 * busy[k] + byte
                    work.selected[count] = c
                    count += 1
                    prefetch(cells.status, c)
                    prefetch(cells.switch, (c >> LANE_BITS) * 4 * LANES)
            if count >= GROUP - 8:
                switch_selected(cells, model, work, given, each, count)
                count = int64(0)
    if count:
        switch_selected(cells, model, work, given, each, count)
