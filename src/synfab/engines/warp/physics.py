"""The rules for one cell: conduction, features, history, switching. See ``synfab.physics``."""

import warp as wp

from synfab.engines.warp.layout import Cells, Model
from synfab.engines.warp.parts import NEVER, SCALE, failed, scaled, worn_in
from synfab.engines.warp.scalar import LN_10, normals, polynomial
from synfab.model import cell_model
from synfab.random.streams import Stream

PIECES_END = wp.constant(wp.float32(cell_model.PIECES_END))
INNOVATION = wp.constant(wp.uint32(Stream.INNOVATION))


# ---- conduction ---------------------------------------------------------------------------------


@wp.func
def limiting_currents(model: Model, u: wp.float32):  # type: ignore[no-untyped-def]
    """Return P_LLRS(u), P_HHRS(u) (``rules.limiting_currents``)."""
    inside = wp.clamp(u, model.low, model.high)
    stretch = wp.float32(1.0)
    if inside != u:
        stretch = u / inside
    return polynomial(model.llrs, inside) * stretch, polynomial(model.hhrs, inside) * stretch


@wp.func
def current(model: Model, r: wp.float32, u: wp.float32):  # type: ignore[no-untyped-def]
    """Return I(r, U) (``rules.current``)."""
    llrs, hhrs = limiting_currents(model, u)
    return llrs + r * (hhrs - llrs)


@wp.func
def transition_state(  # type: ignore[no-untyped-def]
    model: Model, r: wp.float32, steepness: wp.float32, floor: wp.float32, u: wp.float32
):
    """Return the state after a partial RESET (``rules.transition_state``)."""
    llrs, hhrs = limiting_currents(model, u)
    solved = r
    if llrs != hhrs:
        falling = steepness * wp.pow(model.u_max - u, model.eta) + floor
        solved = wp.min((llrs - falling) / (llrs - hhrs), model.top)
    return wp.max(solved, r)


# ---- features -----------------------------------------------------------------------------------


@wp.func
def marginal(model: Model, f: wp.int32, x: wp.float32):  # type: ignore[no-untyped-def]
    """Return Gamma(x) of feature ``f`` (``drawing.marginal``)."""
    count = model.marginals.shape[1]
    t = x
    piece = wp.int32(0)
    if model.piecewise:
        position = (wp.clamp(x, -PIECES_END, PIECES_END) + PIECES_END) * per_unit(count)
        piece = wp.min(wp.int32(position), count - 1)
        t = position - wp.float32(piece)
    value = wp.float32(0.0)
    slope = wp.float32(0.0)
    for k in range(model.marginals.shape[2]):
        slope = slope * t + value
        value = value * t + model.marginals[f, piece, k]
    if model.piecewise:
        beyond = x - wp.clamp(x, -PIECES_END, PIECES_END)
        value = value + slope * per_unit(count) * beyond
    return value


@wp.func
def per_unit(pieces: wp.int32):  # type: ignore[no-untyped-def]
    """Return the number of pieces of a marginal per unit of x*."""
    return wp.float32(pieces) / (2.0 * PIECES_END)


@wp.func
def scale_value(cells: Cells, model: Model, c: wp.int32, f: wp.int32):  # type: ignore[no-untyped-def]
    """Return y_f = mu + sigma Gamma(x*) of the current cycle, with wear-in if there is any."""
    order = model.lags.shape[0]
    slot = (cells.cycle[c] + order - 1) % order
    deviation = marginal(model, f, cells.block[4 * slot + f, c])
    if not model.plain:
        deviation = worn_in(model, f, wp.float32(cells.cycle[c]), deviation)
    return cells.parameters[f, c] + cells.parameters[4 + f, c] * deviation


@wp.func
def feature(cells: Cells, model: Model, c: wp.int32, f: wp.int32):  # type: ignore[no-untyped-def]
    """Return a feature of the current cycle in ohm or V (``drawing.cycle_features``)."""
    value = scale_value(cells, model, c, f)
    if model.plain:
        if f == 0:
            value = wp.exp(LN_10 * value)
    else:
        value = scaled(model, f, value)
        if model.failure[SCALE] > 0.0:
            number = model.first + wp.uint64(c)
            value = failed(model, number, f, wp.float32(cells.cycle[c]), value)
    return value


@wp.func
def hrs_state(cells: Cells, model: Model, c: wp.int32):  # type: ignore[no-untyped-def]
    """Return r(R_HRS) of the current cycle, limited to below r_max (``rules.hrs_state``)."""
    conductance = wp.float32(0.0)
    if model.plain:
        conductance = wp.exp(-LN_10 * scale_value(cells, model, c, 0))
    else:
        conductance = 1.0 / feature(cells, model, c, 0)
    return wp.min((model.g_llrs - conductance) * model.inverse_span, model.top)


@wp.func
def lrs_state(cells: Cells, model: Model, c: wp.int32):  # type: ignore[no-untyped-def]
    """Return r(R_LRS) of the current cycle (``rules.lrs_state``)."""
    return (model.g_llrs - 1.0 / feature(cells, model, c, 2)) * model.inverse_span


# ---- history ------------------------------------------------------------------------------------


@wp.func
def load_vector(cells: Cells, c: wp.int32, slot: wp.int32):  # type: ignore[no-untyped-def]
    """Return the vector in a slot of the block of a cell: x*, or an average."""
    k = 4 * slot
    block = cells.block
    return wp.vec4(block[k, c], block[k + 1, c], block[k + 2, c], block[k + 3, c])


@wp.func
def store_vector(cells: Cells, c: wp.int32, slot: wp.int32, x: wp.vec4):  # type: ignore[no-untyped-def]
    """Store a vector in a slot of the block of a cell."""
    for f in range(4):
        cells.block[4 * slot + f, c] = x[f]


@wp.func
def next_block(cells: Cells, model: Model, c: wp.int32):  # type: ignore[no-untyped-def]
    """Replace a block by the next p vectors, the oldest one first (``drawing.next_block``)."""
    order = model.lags.shape[0]
    number = model.first + wp.uint64(c)
    cycle = cells.cycle[c]
    for s in range(order):
        index = wp.uint32(cycle + 1 + s)
        eps = normals(number, index, INNOVATION, model.key_low, model.key_high)
        x = model.innovation * eps
        for i in range(order):
            slot = s - 1 - i
            if slot < 0:
                slot = slot + order
            x = x + model.lags[i] * load_vector(cells, c, slot)
        for j in range(model.rates.shape[0]):
            x = x + model.couplings[j] * load_vector(cells, c, order + j)
        store_vector(cells, c, s, x)
        for j in range(model.rates.shape[0]):
            average = load_vector(cells, c, order + j)
            store_vector(cells, c, order + j, average + model.rates[j] * (x - average))


@wp.func
def begin_cycle(cells: Cells, model: Model, c: wp.int32):  # type: ignore[no-untyped-def]
    """Advance the history of a cell by one cycle (``drawing.draw_cycle``)."""
    cycle = cells.cycle[c]
    if cycle % model.lags.shape[0] == 0:
        next_block(cells, model, c)
    cells.cycle[c] = cycle + 1
    cells.u_set[c] = feature(cells, model, c, 1)


# ---- switching ----------------------------------------------------------------------------------


@wp.func
def set_cell(cells: Cells, model: Model, c: wp.int32):  # type: ignore[no-untyped-def]
    """SET a cell (``rules.settle``)."""
    cells.r[c] = lrs_state(cells, model, c)
    cells.threshold[c] = feature(cells, model, c, 3)
    cells.in_hrs[c] = False
    cells.in_lrs[c] = True


@wp.func
def reset_cell(cells: Cells, model: Model, c: wp.int32, u: wp.float32):  # type: ignore[no-untyped-def]
    """RESET a cell, completely or partially (``rules.settle``)."""
    starts = cells.in_lrs[c]
    if starts:
        begin_cycle(cells, model, c)
    r_hrs = hrs_state(cells, model, c)
    if u >= model.u_max:
        cells.r[c] = r_hrs
        cells.in_hrs[c] = True
    else:
        r = cells.r[c]
        floor = current(model, r_hrs, model.u_max)
        if starts:
            threshold = cells.threshold[c]
            rise = wp.pow(model.u_max - threshold, model.eta)
            cells.steepness[c] = (current(model, r, threshold) - floor) / rise
        cells.r[c] = transition_state(model, r, cells.steepness[c], floor, u)
    cells.threshold[c] = u
    cells.in_lrs[c] = False


@wp.func
def is_stuck(cells: Cells, model: Model, c: wp.int32):  # type: ignore[no-untyped-def]
    """Return whether a cell failed, so that it keeps its state."""
    stuck = wp.bool(False)
    if model.failure[SCALE] > 0.0:
        stuck = cells.u_set[c] <= -NEVER or feature(cells, model, c, 3) >= NEVER
    return stuck


@wp.func
def program_cell(cells: Cells, model: Model, c: wp.int32, r: wp.float32):  # type: ignore[no-untyped-def]
    """Set a cell ideally to the state ``r`` (``rules.program``)."""
    r_lrs = lrs_state(cells, model, c)
    r_hrs = hrs_state(cells, model, c)
    u_reset = feature(cells, model, c, 3)
    in_lrs = r <= r_lrs
    in_hrs = r >= r_hrs and not in_lrs
    floor = current(model, r_hrs, model.u_max)
    rise = model.u_max - u_reset
    if rise <= 0.0:
        rise = wp.float32(1.0)
    steepness = (current(model, r_lrs, u_reset) - floor) / wp.pow(rise, model.eta)
    low = wp.min(u_reset, model.u_max)
    high = model.u_max
    for _ in range(30):  # bisection to float32 precision
        middle = (low + high) * 0.5
        if transition_state(model, r_lrs, steepness, floor, middle) < r:
            low = middle
        else:
            high = middle
    cells.r[c] = r
    cells.threshold[c] = wp.where(in_lrs or in_hrs, u_reset, high)
    cells.steepness[c] = steepness
    cells.in_hrs[c] = in_hrs
    cells.in_lrs[c] = in_lrs
