"""Kernels, one per operation; a thread computes one cell, unless stated otherwise."""

import warp as wp

from synfab.engines.warp.layout import Cells, Model
from synfab.engines.warp.physics import (
    begin_with,
    current,
    feature,
    is_stuck,
    limiting_currents,
    program_cell,
    reset_cell,
    set_cell,
)
from synfab.engines.warp.scalar import normal_pair, normals, philox
from synfab.random.streams import Stream

READ_NOISE = wp.constant(wp.uint32(Stream.READ_NOISE))
READOUT_NOISE = wp.constant(wp.uint32(Stream.READOUT_NOISE))

THREADS = 256  # of a block, the default of Warp

# Kernels are not differentiated, which halves the code to compile.
wp.set_module_options({"enable_backward": False})


@wp.func
def pulse(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, c: wp.int32, u: wp.array[wp.float32], listed: wp.array[wp.int32],
    counts: wp.array[wp.int32], turn: wp.int32, plain: wp.bool,
):  # fmt: skip
    """Apply ``rules.apply_voltage`` to a cell, or list it if it needs a new block of history.

    The conditions are nested, because ``and`` evaluates both sides in a kernel: a cell that does
    not switch loads as little as possible.
    """
    voltage = u[wp.min(c, u.shape[0] - 1)]
    in_lrs = cells.in_lrs[c]
    in_hrs = cells.in_hrs[c]
    if not in_lrs:
        if voltage <= cells.u_set[c]:
            set_cell(cells, model, c, plain)
            return
    if not in_hrs:
        threshold = cells.threshold[c]
        if voltage > threshold:
            cycle = cells.cycle[c]
            order = model.lags.shape[0]
            if in_lrs:
                cycle = cycle + 1
            slot = (cycle + order - 1) % order
            if in_lrs:
                if slot == 0:
                    listed[wp.atomic_add(counts, turn, 1)] = c
                    return
                begin_with(cells, model, c, cycle, cells.block[4 * slot + 1, c], plain)
            x = cells.block[4 * slot, c]
            reset_cell(cells, model, c, voltage, threshold, in_lrs, cycle, x, plain)


@wp.kernel(launch_bounds=THREADS, grid_stride=False)
def apply_voltage(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, u: wp.array[wp.float32], where: wp.array[wp.bool],
    listed: wp.array[wp.int32], counts: wp.array[wp.int32], turn: wp.int32,
):  # fmt: skip
    """Apply ``rules.apply_voltage``: select, draw, settle. ``u``: one or n; ``where``: n or none.

    Cells that need a new block of history are listed for ``blocks.resets``. Drawing it takes many
    registers, which would halve the number of threads that wait for the memory at a time here; and
    few of the threads that run together would do it in arrays whose cells are in different cycles.
    """
    c = wp.tid()
    if where:
        if not where[c]:
            return
    pulse(cells, model, c, u, listed, counts, turn, True)


@wp.kernel(launch_bounds=THREADS, grid_stride=False)
def apply_voltage_with_parts(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, u: wp.array[wp.float32], where: wp.array[wp.bool],
    listed: wp.array[wp.int32], counts: wp.array[wp.int32], turn: wp.int32,
):  # fmt: skip
    """Apply ``apply_voltage`` with the optional parts of a model."""
    c = wp.tid()
    if where:
        if not where[c]:
            return
    pulse(cells, model, c, u, listed, counts, turn, False)


@wp.func
def is_cell(cells: Cells, c: wp.int32):  # type: ignore[no-untyped-def]
    """Return whether there is a cell ``c``; JAX pads lists with numbers of none."""
    return c >= 0 and c < cells.r.shape[0]


@wp.kernel(grid_stride=False)
def program(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, listed: wp.array[wp.int32], r: wp.array[wp.float32]
):
    """Apply ``rules.program`` to the listed cells."""
    k = wp.tid()
    if is_cell(cells, listed[k]):
        if not is_stuck(cells, model, listed[k]):
            program_cell(cells, model, listed[k], r[k])


@wp.kernel(grid_stride=False)
def put(  # type: ignore[no-untyped-def]
    cells: Cells,
    listed: wp.array[wp.int32],
    r: wp.array[wp.float32],
    threshold: wp.array[wp.float32],
    steepness: wp.array[wp.float32],
    in_hrs: wp.array[wp.bool],
    in_lrs: wp.array[wp.bool],
):
    """Set the switching state of the listed cells, as ``Engine.put`` specifies."""
    k = wp.tid()
    c = listed[k]
    if is_cell(cells, c):
        cells.r[c] = r[k]
        cells.threshold[c] = threshold[k]
        cells.steepness[c] = steepness[k]
        cells.in_hrs[c] = in_hrs[k]
        cells.in_lrs[c] = in_lrs[k]


@wp.kernel(grid_stride=False)
def features(cells: Cells, model: Model, out: wp.array2d[wp.float32]):  # type: ignore[no-untyped-def]
    """Write ``drawing.cycle_features`` to ``out``, (4, n)."""
    c = wp.tid()
    for f in range(4):
        out[f, c] = feature(cells, model, c, f)


@wp.kernel(grid_stride=False)
def currents(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, u: wp.array[wp.float32], out: wp.array[wp.float32]
):
    """Write ``rules.current`` to ``out``, (n,)."""
    c = wp.tid()
    out[c] = current(model, cells.r[c], u[wp.min(c, u.shape[0] - 1)])


@wp.kernel(grid_stride=False)
def read(  # type: ignore[no-untyped-def]
    cells: Cells,
    model: Model,
    u: wp.array[wp.float32],
    number: wp.uint32,
    johnson: wp.float32,
    shot: wp.float32,
    out: wp.array[wp.float32],
):
    """Write ``noise.noisy_current`` to ``out``; a thread reads the four cells of a counter."""
    shift = wp.int32(model.first & wp.uint64(3))
    counter = (model.first >> wp.uint64(2)) + wp.uint64(wp.tid())
    z = normals(counter, number, READ_NOISE, model.key_low, model.key_high)
    voltage = u[0]
    llrs, hhrs = limiting_currents(model, voltage)
    for lane in range(4):
        c = 4 * wp.tid() - shift + lane
        if c >= 0 and c < out.shape[0]:
            r = cells.r[c]
            if u.shape[0] > 1:
                voltage = u[c]
                llrs, hhrs = limiting_currents(model, voltage)
            i = llrs + r * (hhrs - llrs)
            g = model.slope_llrs + r * model.slope_span
            if voltage != 0.0:
                g = wp.abs(i / voltage)
            out[c] = i + wp.sqrt(johnson * g + shot * wp.abs(i)) * z[lane]


@wp.kernel(grid_stride=False)
def readout_normals(  # type: ignore[no-untyped-def]
    first: wp.uint64, number: wp.uint32, k0: wp.uint32, k1: wp.uint32, out: wp.array2d[wp.float32]
):
    """Write ``Engine.readout_noise`` to ``out``, (rows, count); one thread per number."""
    row, b = wp.tid()  # type: ignore[misc]
    w0, w1, _w2, _w3 = philox(first + wp.uint64(row), number + wp.uint32(b), READOUT_NOISE, k0, k1)
    z, _z = normal_pair(w0, w1)
    out[row, b] = z
