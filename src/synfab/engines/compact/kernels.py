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
from numba import int64, uint32

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.drawing import (
    VECTOR_WIDTH,
    draw_normals,
    open_cells,
    row,
)
from synfab.engines.numba.fabrication import group_devices, open_population
from synfab.engines.numba.features import gather_features, hrs_pair
from synfab.engines.numba.intrinsics import (
    at,
    fma,
    fma_vector,
    load_vector,
    move,
    not_inlined,
    pointer,
    pointers,
    store_vector,
    wide_vectors,
)
from synfab.engines.numba.layout import (
    CYCLE_BITS,
    ETA,
    FLAGS,
    GROUP,
    IN_HRS,
    IN_LRS,
    LANES,
    R_HRS,
    STEEPNESS,
    THRESHOLD,
    TILES,
    U_MAX,
    U_SET,
    Storage,
)
from synfab.engines.numba.scalar import exp, f4, log
from synfab.engines.numba.switching import switch_group
from synfab.engines.numba.transition import span
from synfab.engines.numba.workspace import fabrication_work, per_thread
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
    log_spread: Any  # this and the next three as in ``fabrication.Mixture``
    bounds: Any
    means: Any
    factors: Any
    lowest: Any  # r of level 0
    r_step: Any
    u_step: Any


class Packed(NamedTuple):
    """Pointers that kernels need to unpack cells."""

    compact: Any
    process: Any
    population: Any
    states: Any  # k
    model: Any


class Scratch(NamedTuple):
    """Working arrays of one thread."""

    draw: Any  # FabricationWork
    local: Any  # 0 … GROUP - 1
    cycle: Any
    state: Any  # (k, GROUP) levels
    following: Any  # (k, GROUP) levels of the next cycle


@per_thread
def make_scratch(states: int) -> Scratch:
    """Return the working arrays for ``states`` state variables."""
    return Scratch(
        fabrication_work(1),
        np.arange(GROUP),
        np.zeros(GROUP, np.uint32),
        np.zeros((states, GROUP), np.float32),
        np.zeros((states, GROUP), np.float32),
    )


def make_storage(groups: int, order: int) -> Storage:
    """Return zero-filled storage for unpacked cells."""
    tiles = groups * TILES
    return Storage(
        np.zeros(groups * GROUP, np.float32),
        np.zeros(groups * GROUP, np.uint32),
        np.zeros((tiles, 4, LANES), np.float32),
        np.zeros((groups, order, TILES, 4, LANES), np.float32),
        np.zeros((2, tiles, 4, LANES), np.float32),
    )


@per_thread
def make_group(order: int) -> Storage:
    """Return storage for one unpacked group."""
    return make_storage(1, order)


@part_njit()
def add_product(matrix, count, vectors, total):  # type: ignore[no-untyped-def]
    """Add a row of a matrix times ``count`` rows of ``vectors`` to ``total``."""
    wide_vectors()
    for j in range(0, GROUP, VECTOR_WIDTH):
        x = load_vector(total, j)
        for m in range(count):
            x = fma_vector(matrix[m], load_vector(vectors, m * GROUP + j), x)
        store_vector(total, j, x)


@part_njit()
def write_vector(history, line, output, states, state, total):  # type: ignore[no-untyped-def]
    """Write x* = C z into one history slot of unpacked cells; ``line`` is a tile index."""
    for f in range(4):
        for j in range(GROUP):
            total[j] = f4(0.0)
        add_product(at(output, f * states), states, state, total)
        for q in range(TILES):
            move(history, ((line + q) * 4 + f) * LANES, total, q * LANES)


@part_njit()
def find_steepness(cells, place, llrs, hhrs, constants):  # type: ignore[no-untyped-def]
    """Set the steepness a of the curve through (threshold, r) for partially RESET cells."""
    u_max = constants[U_MAX]
    for j in range(GROUP):
        c = place * GROUP + j
        if cells.status[c] & uint32(FLAGS) == uint32(0):
            near = at(cells.switch, row(c))
            u = near[THRESHOLD * LANES]
            _, _, floor = span(llrs, hhrs, constants, near[R_HRS * LANES], u_max)
            _, _, here = span(llrs, hhrs, constants, cells.r[c], u)
            rise = max(u_max - u, f4(1e-6) * u_max)
            near[STEEPNESS * LANES] = (here - floor) / exp(constants[ETA] * log(rise))


@part_njit()
def open_packed(compact, process, model):  # type: ignore[no-untyped-def]
    """Return the pointers to the packed cells and to the parameters that unpack them."""
    return Packed(
        pointers(compact),
        pointers(process),
        open_population(process),
        compact.history.shape[1],
        model,
    )


@part_njit()
def unpack(group, place, packed, cells, scratch, rebased):  # type: ignore[no-untyped-def]
    """Unpack group ``group`` into group ``place`` of ``cells``; ``rebased`` sets cycle 1."""
    not_inlined()
    compact, process, states, model = packed.compact, packed.process, packed.states, packed.model
    draw, local, start = scratch.draw, place * GROUP, group * GROUP
    for j in range(GROUP):
        draw.cells[j] = start + j
        scratch.local[j] = local + j
        mark = compact.status[start + j]
        scratch.cycle[j] = mark >> uint32(CYCLE_BITS)
        cells.status[local + j] = (mark & uint32(FLAGS)) | uint32(REBASED) if rebased else mark
        cells.r[local + j] = fma(f4(compact.r[start + j]), process.r_step, process.lowest)
        draw.picked[j] = f4(compact.threshold[start + j]) * process.u_step
    for q in range(TILES):
        move(cells.switch, ((place * TILES + q) * 4 + THRESHOLD) * LANES, draw.picked, q * LANES)
    group_devices(cells, place * TILES, packed.population, model.first, model.key, draw)
    levels = at(compact.history, start * states)
    for m in range(states * GROUP):
        scratch.state[m] = f4(levels[m])
    line = place * cells.order * TILES
    write_vector(cells.history, line, process.output, states, scratch.state, draw.total)
    gather_features(cells, scratch.local, int64(GROUP), int64(0), draw.buffer)
    hrs_pair(model.parts, cells, scratch.local, int64(GROUP), model, draw.buffer)
    for q in range(TILES):
        tile = (place * TILES + q) * 4
        move(cells.switch, (tile + U_SET) * LANES, draw.buffer, GROUP + q * LANES)
        move(cells.switch, (tile + R_HRS) * LANES, draw.buffer, q * LANES)
    find_steepness(cells, place, model.llrs, model.hhrs, model.constants)


@part_njit()
def draw_following(packed, cells, scratch):  # type: ignore[no-untyped-def]
    """Compute the state variables and x* of the next cycle for an unpacked group."""
    not_inlined()
    process, states, model, draw = packed.process, packed.states, packed.model, scratch.draw
    draw_normals(
        draw.z,
        draw.word,
        int64(GROUP),
        draw.cells,
        scratch.cycle,
        int64(1),
        int64(2),
        model.first,
        model.key,
        int64(GROUP),
    )
    for i in range(states):
        line = at(scratch.following, i * GROUP)
        for j in range(GROUP):
            line[j] = f4(0.0)
        add_product(at(process.step, i * states), states, scratch.state, line)
        add_product(at(process.innovation, 4 * i), 4, draw.z, line)
        for j in range(GROUP):
            line[j] = np.rint(min(max(line[j], f4(-HIGHEST_LEVEL)), f4(HIGHEST_LEVEL)))
    write_vector(cells.history, TILES, process.output, states, scratch.following, draw.total)


@part_njit()
def pack_switch(group, place, packed, cells, writes, picked):  # type: ignore[no-untyped-def]
    """Quantise state and threshold of the cells of a group for which ``writes`` is nonzero.

    The threshold is rounded up, so that repeating the same pulse has no effect.
    """
    wide_vectors()
    process = packed.process
    levels, steps = at(packed.compact.r, group * GROUP), at(packed.compact.threshold, group * GROUP)
    r, lowest, r_step, u_step = (
        at(cells.r, place * GROUP), process.lowest, process.r_step, process.u_step,
    )  # fmt: skip
    for q in range(TILES):
        move(picked, q * LANES, cells.switch, ((place * TILES + q) * 4 + THRESHOLD) * LANES)
    for j in range(GROUP):
        level = min(max(np.rint((r[j] - lowest) / r_step), f4(0.0)), f4(LEVELS))
        levels[j] = np.uint16(level) if writes[j] else levels[j]
    for j in range(GROUP):
        threshold, old = picked[j], steps[j]
        step = np.ceil(threshold / u_step)
        step += f4(1.0) if step * u_step < threshold else f4(0.0)
        step = min(max(step, f4(-32767.0)), f4(32767.0))
        changed = (writes[j] != uint32(0)) & (threshold != f4(old) * u_step)
        steps[j] = np.int16(step) if changed else old


@part_njit()
def pack_cycles(group, packed, cells, scratch):  # type: ignore[no-untyped-def]
    """Store flags, cycle and history of the cells that ``pack_switch`` writes."""
    wide_vectors()
    status, marks = at(packed.compact.status, group * GROUP), cells.status
    writes, states = scratch.draw.chosen, packed.states
    for j in range(GROUP):
        started = (marks[j] >> uint32(CYCLE_BITS)) - uint32(1)
        new = ((scratch.cycle[j] + started) << uint32(CYCLE_BITS)) | (marks[j] & uint32(FLAGS))
        status[j] = new if writes[j] else status[j]
        writes[j] = writes[j] & started
    for m in range(states):
        levels = at(packed.compact.history, (group * states + m) * GROUP)
        following = at(scratch.following, m * GROUP)
        for j in range(GROUP):
            levels[j] = np.int8(following[j]) if writes[j] else levels[j]


@part_njit()
def open_scratch(scratch):  # type: ignore[no-untyped-def]
    """Return the pointers to the working arrays."""
    return Scratch(
        pointers(scratch.draw),
        pointer(scratch.local),
        pointer(scratch.cycle),
        pointer(scratch.state),
        pointer(scratch.following),
    )


@cached_njit(nogil=True, error_model="numpy")
def fabricate(  # type: ignore[no-untyped-def]
    group_low, group_high, compact, process, model, scratch, storage
):
    """Initialise cells, as ``Engine.fabricate``; the state variables have covariance 1."""
    packed, cells = open_packed(compact, process, model), open_cells(storage, model)
    scratch = open_scratch(scratch)
    draw, states, compact = scratch.draw, packed.states, packed.compact
    quantum = f4(QUANTUM)
    for group in range(group_low, group_high):
        for j in range(GROUP):
            draw.cells[j] = group * GROUP + j
            compact.status[group * GROUP + j] = uint32(IN_HRS)
        for m in range(states):
            if m % 4 == 0:
                draw_normals(
                    draw.z, draw.word, int64(GROUP), draw.cells, draw.cycle, m // 4, int64(1),
                    model.first, model.key, int64(GROUP),
                )  # fmt: skip
            z = at(draw.z, (m % 4) * GROUP)
            levels = at(compact.history, (group * states + m) * GROUP)
            for j in range(GROUP):
                level = min(max(z[j] * quantum, f4(-HIGHEST_LEVEL)), f4(HIGHEST_LEVEL))
                levels[j] = np.int8(np.rint(level))
        unpack(group, 0, packed, cells, scratch, True)
        for j in range(GROUP):
            cells.r[j] = cells.switch[row(j) + R_HRS * LANES]
            draw.chosen[j] = uint32(1)
        pack_switch(group, int64(0), packed, cells, draw.chosen, draw.picked)


@cached_njit(nogil=True, error_model="numpy")
def apply_voltage(  # type: ignore[no-untyped-def]
    group_low, group_high, n_cells, voltages, each, mask, masked, compact, process, model,
    scratch, storage, work,
):  # fmt: skip
    """Apply ``rules.apply_voltage`` with the reduced history; ``mask`` is used if ``masked``."""
    packed, cells = open_packed(compact, process, model), open_cells(storage, model)
    scratch, work = open_scratch(scratch), pointers(work)
    given, selected = pointer(voltages), pointer(mask)
    compact, u = packed.compact, work.pulse
    for j in range(GROUP):
        u[j] = given[0]
    for group in range(group_low, group_high):
        start = group * GROUP
        size = min(GROUP, n_cells - start)
        touched, any_lrs = not masked, uint32(0)
        for j in range(size):
            any_lrs |= compact.status[start + j] & uint32(IN_LRS)
            if masked:
                touched |= selected[start + j] != 0
            if each:
                u[j] = given[start + j]
        if not touched:
            continue
        unpack(group, 0, packed, cells, scratch, True)
        if any_lrs != uint32(0):
            draw_following(packed, cells, scratch)
        switch_group(cells, model, work, 0, size)
        writes = scratch.draw.chosen
        for j in range(GROUP):
            writes[j] = uint32(j < size)
        if masked:
            for j in range(size):
                writes[j] = uint32(selected[start + j])
        pack_switch(group, int64(0), packed, cells, writes, scratch.draw.picked)
        pack_cycles(group, packed, cells, scratch)


@cached_njit(nogil=True, error_model="numpy")
def open_groups(  # type: ignore[no-untyped-def]
    low, high, groups, compact, storage, process, model, scratch
):
    """Unpack the listed groups contiguously into ``storage``, with blocks of one cycle."""
    packed, cells = open_packed(compact, process, model), open_cells(storage, model)
    scratch = open_scratch(scratch)
    for k in range(low, high):
        unpack(groups[k], k, packed, cells, scratch, False)


@cached_njit(nogil=True, error_model="numpy")
def close_groups(  # type: ignore[no-untyped-def]
    low, high, groups, compact, storage, process, model, scratch
):
    """Pack state, threshold and flags of the listed groups; cycle numbers are unchanged."""
    packed, cells = open_packed(compact, process, model), open_cells(storage, model)
    draw = pointers(scratch.draw)
    for k in range(low, high):
        for j in range(GROUP):
            draw.chosen[j] = uint32(1)
            packed.compact.status[groups[k] * GROUP + j] = cells.status[k * GROUP + j]
        pack_switch(groups[k], k, packed, cells, draw.chosen, draw.picked)
