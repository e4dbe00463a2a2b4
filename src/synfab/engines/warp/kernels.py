"""Kernels, one per operation; a thread computes one cell, unless stated otherwise."""

import warp as wp

from synfab.engines.warp.layout import Cells, Model
from synfab.engines.warp.physics import (
    begin_cycle,
    current,
    feature,
    hrs_state,
    is_stuck,
    load_vector,
    program_cell,
    reset_cell,
    set_cell,
    store_vector,
)
from synfab.engines.warp.scalar import normal_pair, normals, philox
from synfab.random.streams import Stream

POPULATION = wp.constant(wp.uint32(Stream.POPULATION))
INITIAL_HISTORY = wp.constant(wp.uint32(Stream.INITIAL_HISTORY))
READ_NOISE = wp.constant(wp.uint32(Stream.READ_NOISE))
READOUT_NOISE = wp.constant(wp.uint32(Stream.READOUT_NOISE))

# Kernels are not differentiated, which halves the code to compile.
wp.set_module_options({"enable_backward": False})


@wp.func
def slot_of(order: wp.int32, i: wp.int32):  # type: ignore[no-untyped-def]
    """Return the slot in a block of vector ``i``: of a cycle, newest first, or an average."""
    slot = i
    if i < order:
        slot = order - 1 - i
    return slot


@wp.kernel
def fabricate(cells: Cells, model: Model):  # type: ignore[no-untyped-def]
    """Apply ``drawing.fabricate`` and ``rules.fresh_state``."""
    c = wp.tid()
    number = model.first + wp.uint64(c)
    k0 = model.key_low
    k1 = model.key_high
    pick, _w1, _w2, _w3 = philox(number, wp.uint32(0), POPULATION, k0, k1)
    k = wp.int32(0)
    for j in range(model.bounds.shape[0] - 1):
        if wp.uint64(pick) >= model.bounds[j]:
            k = j + 1
    z = normals(number, wp.uint32(1), POPULATION, k0, k1)
    z_more = normals(number, wp.uint32(2), POPULATION, k0, k1)
    mu = model.means[k, 0] + model.factors[k, 0] * z
    sigma = model.means[k, 1] + model.factors[k, 1] * z + model.factors[k, 2] * z_more
    for f in range(4):
        spread = sigma[f]
        if model.log_spread:
            spread = wp.exp(spread)
        cells.parameters[f, c] = mu[f]
        cells.parameters[4 + f, c] = spread

    # The block holds independent numbers first, which are then correlated: first the averages,
    # the last one first, then the cycles, the oldest first.
    order = model.lags.shape[0]
    slots = order + model.rates.shape[0]
    for i in range(slots):
        store_vector(
            cells, c, slot_of(order, i), normals(number, wp.uint32(i), INITIAL_HISTORY, k0, k1)
        )
    for k in range(slots):
        i = slots - 1 - k
        x = wp.vec4(0.0, 0.0, 0.0, 0.0)
        for m in range(i + 1):
            x = x + model.stationary[i, m] * load_vector(cells, c, slot_of(order, m))
        store_vector(cells, c, slot_of(order, i), x)

    cells.cycle[c] = 0
    cells.r[c] = hrs_state(cells, model, c)
    cells.u_set[c] = feature(cells, model, c, 1)
    cells.threshold[c] = 0.0
    cells.steepness[c] = 0.0
    cells.in_hrs[c] = True
    cells.in_lrs[c] = False


@wp.kernel
def apply_voltage(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, u: wp.array[wp.float32], where: wp.array[wp.bool]
):
    """Apply ``rules.apply_voltage``: select, draw, settle. ``u``: one or n; ``where``: n or none.

    The conditions are nested, because ``and`` evaluates both sides in a kernel: a cell that does
    not switch loads as little as possible.
    """
    c = wp.tid()
    if where:
        if not where[c]:
            return
    voltage = u[wp.min(c, u.shape[0] - 1)]
    in_lrs = cells.in_lrs[c]
    if not in_lrs:
        if voltage <= cells.u_set[c]:
            set_cell(cells, model, c)
            return
    if in_lrs or not cells.in_hrs[c]:
        if voltage > cells.threshold[c]:
            reset_cell(cells, model, c, voltage)


@wp.func
def is_cell(cells: Cells, c: wp.int32):  # type: ignore[no-untyped-def]
    """Return whether there is a cell ``c``; JAX pads lists with numbers of none."""
    return c >= 0 and c < cells.r.shape[0]


@wp.kernel
def begin_cycles(cells: Cells, model: Model, listed: wp.array[wp.int32]):  # type: ignore[no-untyped-def]
    """Apply ``drawing.draw_cycle`` to the listed cells."""
    c = listed[wp.tid()]
    if is_cell(cells, c):
        begin_cycle(cells, model, c)


@wp.kernel
def program(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, listed: wp.array[wp.int32], r: wp.array[wp.float32]
):
    """Apply ``rules.program`` to the listed cells."""
    k = wp.tid()
    if is_cell(cells, listed[k]):
        if not is_stuck(cells, model, listed[k]):
            program_cell(cells, model, listed[k], r[k])


@wp.kernel
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


@wp.kernel
def features(cells: Cells, model: Model, out: wp.array2d[wp.float32]):  # type: ignore[no-untyped-def]
    """Write ``drawing.cycle_features`` to ``out``, (4, n)."""
    c = wp.tid()
    for f in range(4):
        out[f, c] = feature(cells, model, c, f)


@wp.kernel
def currents(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, u: wp.array[wp.float32], out: wp.array[wp.float32]
):
    """Write ``rules.current`` to ``out``, (n,)."""
    c = wp.tid()
    out[c] = current(model, cells.r[c], u[wp.min(c, u.shape[0] - 1)])


@wp.kernel
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
    for lane in range(4):
        c = 4 * wp.tid() - shift + lane
        if c >= 0 and c < out.shape[0]:
            r = cells.r[c]
            voltage = u[wp.min(c, u.shape[0] - 1)]
            i = current(model, r, voltage)
            g = model.slope_llrs + r * model.slope_span
            if voltage != 0.0:
                g = wp.abs(i / voltage)
            out[c] = i + wp.sqrt(johnson * g + shot * wp.abs(i)) * z[lane]


@wp.kernel
def readout_normals(  # type: ignore[no-untyped-def]
    first: wp.uint64, number: wp.uint32, k0: wp.uint32, k1: wp.uint32, out: wp.array2d[wp.float32]
):
    """Write ``Engine.readout_noise`` to ``out``, (rows, count); one thread per number."""
    row, b = wp.tid()  # type: ignore[misc]
    w0, w1, _w2, _w3 = philox(first + wp.uint64(row), number + wp.uint32(b), READOUT_NOISE, k0, k1)
    z, _z = normal_pair(w0, w1)
    out[row, b] = z
