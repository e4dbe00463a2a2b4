"""The rules for one cell: conduction, features, history, switching. See ``synfab.physics``."""

import warp as wp

from synfab.engines.warp.layout import Cells, Model
from synfab.engines.warp.parts import NEVER, SCALE, failed, scaled, worn_in
from synfab.engines.warp.scalar import LN_10, polynomial
from synfab.model import cell_model

PIECES_END = wp.constant(wp.float32(cell_model.PIECES_END))


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
def slot_of_cycle(model: Model, cycle: wp.int32):  # type: ignore[no-untyped-def]
    """Return the slot in a block of the vector of a cycle."""
    order = model.lags.shape[0]
    return (cycle + order - 1) % order


@wp.func
def load_feature(cells: Cells, c: wp.int32, f: wp.int32, slot: wp.int32):  # type: ignore[no-untyped-def]
    """Return mu and sigma of feature ``f``, and its x* in a slot of the block.

    Kernels load what they need before they compute, so that they wait for the memory only once.
    """
    return cells.parameters[f, c], cells.parameters[4 + f, c], cells.block[4 * slot + f, c]


@wp.func
def scale_value(  # type: ignore[no-untyped-def]
    model: Model, f: wp.int32, cycle: wp.int32, mu: wp.float32, sigma: wp.float32, x: wp.float32,
    plain: wp.bool,
):  # fmt: skip
    """Return y_f = mu + sigma Gamma(x*) of a cycle, with wear-in if there is any."""
    deviation = marginal(model, f, x)
    if not plain:
        deviation = worn_in(model, f, wp.float32(cycle), deviation)
    return mu + sigma * deviation


@wp.func
def feature_of(  # type: ignore[no-untyped-def]
    model: Model, c: wp.int32, f: wp.int32, cycle: wp.int32, y: wp.float32, plain: wp.bool
):
    """Return a feature in ohm or V from y_f (``drawing.features_of``)."""
    value = y
    if plain:
        if f == 0:
            value = wp.exp(LN_10 * y)
    else:
        value = scaled(model, f, y)
        if model.failure[SCALE] > 0.0:
            number = model.first + wp.uint64(c)
            value = failed(model, number, f, wp.float32(cycle), value)
    return value


@wp.func
def hrs_state_of(  # type: ignore[no-untyped-def]
    model: Model, c: wp.int32, cycle: wp.int32, y: wp.float32, plain: wp.bool
):
    """Return r(R_HRS) from y_0, limited to below r_max (``rules.hrs_state``)."""
    conductance = wp.exp(-LN_10 * y)
    if not plain:
        conductance = 1.0 / feature_of(model, c, 0, cycle, y, plain)
    return wp.min((model.g_llrs - conductance) * model.inverse_span, model.top)


@wp.func
def lrs_state_of(model: Model, resistance: wp.float32):  # type: ignore[no-untyped-def]
    """Return r(R_LRS) (``rules.lrs_state``)."""
    return (model.g_llrs - 1.0 / resistance) * model.inverse_span


@wp.func
def feature(cells: Cells, model: Model, c: wp.int32, f: wp.int32):  # type: ignore[no-untyped-def]
    """Return a feature of the current cycle in ohm or V (``drawing.cycle_features``)."""
    cycle = cells.cycle[c]
    mu, sigma, x = load_feature(cells, c, f, slot_of_cycle(model, cycle))
    y = scale_value(model, f, cycle, mu, sigma, x, model.plain)
    return feature_of(model, c, f, cycle, y, model.plain)


@wp.func
def hrs_state(cells: Cells, model: Model, c: wp.int32):  # type: ignore[no-untyped-def]
    """Return r(R_HRS) of the current cycle (``rules.hrs_state``)."""
    cycle = cells.cycle[c]
    mu, sigma, x = load_feature(cells, c, 0, slot_of_cycle(model, cycle))
    y = scale_value(model, 0, cycle, mu, sigma, x, model.plain)
    return hrs_state_of(model, c, cycle, y, model.plain)


# ---- switching ----------------------------------------------------------------------------------


@wp.func
def set_cell(cells: Cells, model: Model, c: wp.int32, plain: wp.bool):  # type: ignore[no-untyped-def]
    """SET a cell (``rules.settle``)."""
    cycle = cells.cycle[c]
    slot = slot_of_cycle(model, cycle)
    mu, sigma, x = load_feature(cells, c, 2, slot)
    mu_reset, sigma_reset, x_reset = load_feature(cells, c, 3, slot)
    y = scale_value(model, 2, cycle, mu, sigma, x, plain)
    y_reset = scale_value(model, 3, cycle, mu_reset, sigma_reset, x_reset, plain)
    cells.r[c] = lrs_state_of(model, feature_of(model, c, 2, cycle, y, plain))
    cells.threshold[c] = feature_of(model, c, 3, cycle, y_reset, plain)
    cells.in_hrs[c] = False
    cells.in_lrs[c] = True


@wp.func
def begin_with(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, c: wp.int32, cycle: wp.int32, x: wp.float32, plain: wp.bool
):
    """Begin a cycle whose vector is drawn: ``x`` is x* of u_set (``drawing.draw_cycle``)."""
    y = scale_value(model, 1, cycle, cells.parameters[1, c], cells.parameters[5, c], x, plain)
    cells.cycle[c] = cycle
    cells.u_set[c] = feature_of(model, c, 1, cycle, y, plain)


@wp.func
def reset_cell(  # type: ignore[no-untyped-def]
    cells: Cells, model: Model, c: wp.int32, u: wp.float32, threshold: wp.float32,
    starts: wp.bool, cycle: wp.int32, x: wp.float32, plain: wp.bool,
):  # fmt: skip
    """RESET a cell, completely or partially (``rules.settle``); ``x`` is x* of R_HRS."""
    y = scale_value(model, 0, cycle, cells.parameters[0, c], cells.parameters[4, c], x, plain)
    r_hrs = hrs_state_of(model, c, cycle, y, plain)
    if u >= model.u_max:
        cells.r[c] = r_hrs
        cells.in_hrs[c] = True
    else:
        r = cells.r[c]
        floor = current(model, r_hrs, model.u_max)
        steepness = cells.steepness[c]
        if starts:
            rise = wp.pow(model.u_max - threshold, model.eta)
            steepness = (current(model, r, threshold) - floor) / rise
            cells.steepness[c] = steepness
        cells.r[c] = transition_state(model, r, steepness, floor, u)
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
    r_lrs = lrs_state_of(model, feature(cells, model, c, 2))
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
