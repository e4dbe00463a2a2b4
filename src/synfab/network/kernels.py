"""Numba kernels of the solver: currents of the cells, and current residuals of the nodes.

Unknowns are the deviation ``x`` of a column node from its driver's voltage ``v`` and ``b`` of a row
node from the voltage ``w`` at the row's end, (rows, columns) each. All kernels work on the rows
``low`` … ``high`` - 1.
"""

import numpy as np

from synfab.engines.numba.compile import cached_njit
from synfab.network.vectors import (
    between,
    clamp,
    larger,
    like,
    load_part,
    minus,
    over,
    plus,
    store,
    store_part,
    times,
    times_plus,
    where_equal,
)

CELLS = 8  # cells of a row that are computed together
ROWS = 8  # rows that are evaluated together
# Cell voltages behind access devices: relative error, and limit of Newton or bisection steps.
INNER_TOLERANCE = 2e-15
MAX_INNER = 60


@cached_njit(nogil=True, error_model="numpy")
def iv_curve(u, r, llrs, hhrs, lowest, highest):  # type: ignore[no-untyped-def]
    """Return current and slope of state ``r`` at ``u``, as ``Conduction.current`` and ``slope``."""
    inside = min(max(u, lowest), highest)
    p, dp, q, dq = 0.0, 0.0, 0.0, 0.0
    for k in range(len(llrs)):
        dp, p = dp * inside + p, p * inside + llrs[k]
        dq, q = dq * inside + q, q * inside + hhrs[k]
    current, slope = p + r * (q - p), dp + r * (dq - dp)
    if inside != u:
        slope = current / inside
        current = slope * u
    return current, slope


@cached_njit(nogil=True, error_model="numpy")
def cell_currents(  # type: ignore[no-untyped-def]
    low, high, x, b, v, w, r, llrs, hhrs, lowest, highest, linear, g, current
):
    """Compute current and slope of every cell; for ``linear`` cells, r holds conductances.

    Equals ``iv_curve``, for CELLS cells at a time.
    """
    columns = x.shape[1]
    for i in range(low, high):
        for j in range(0, columns, CELLS):
            count, at = min(CELLS, columns - j), i * columns + j
            u = load_part(v, j, count, w[i], CELLS)
            u = plus(minus(u, like(u, w[i])), load_part(x, at, count, 0.0, CELLS))
            u = minus(u, load_part(b, at, count, 0.0, CELLS))
            state = load_part(r, at, count, 0.0, CELLS)
            if linear:
                store_part(g, at, count, state)
                store_part(current, at, count, times(state, u))
                continue
            inside = clamp(u, lowest, highest)
            p = slope = like(u, 0.0)
            for power in range(len(llrs)):
                level = like(u, llrs[power])
                level = times_plus(state, like(u, hhrs[power] - llrs[power]), level)
                slope, p = times_plus(slope, inside, p), times_plus(p, inside, level)
            if not between(u, lowest, highest):
                ohmic = over(p, inside)
                slope = where_equal(inside, u, slope, ohmic)
                p = where_equal(inside, u, p, times(ohmic, u))
            store_part(g, at, count, slope)
            store_part(current, at, count, p)


@cached_njit(nogil=True, error_model="numpy")
def barred_currents(  # type: ignore[no-untyped-def]
    low, high, x, b, v, w, r, llrs, hhrs, lowest, highest, linear,
    resistance, stuck, saturation, voltage, inner, g, current,
):  # fmt: skip
    """Compute currents as ``cell_currents`` does, for cells with access devices or defects.

    ``inner`` holds the cells' own voltages: an initial guess on entry, the solution of
    u = u_cell + R I(u_cell) + voltage asinh(I(u_cell) / saturation) on return.
    """
    for i in range(low, high):
        for j in range(x.shape[1]):
            u = v[j] - w[i] + x[i, j] - b[i, j]
            if resistance[i, j] == np.inf:
                inner[i, j], g[i, j], current[i, j] = 0.0, 0.0, 0.0
                continue
            low_end, high_end = min(u, 0.0), max(u, 0.0)
            here = min(max(inner[i, j], low_end), high_end)
            ohmic = linear or not np.isnan(stuck[i, j])
            for _ in range(MAX_INNER):
                if ohmic:
                    slope = r[i, j] if np.isnan(stuck[i, j]) else stuck[i, j]
                    i_cell = slope * here
                else:
                    i_cell, slope = iv_curve(here, r[i, j], llrs, hhrs, lowest, highest)
                drop, rise = resistance[i, j] * i_cell, resistance[i, j]
                if saturation > 0.0:
                    drop += voltage * np.arcsinh(i_cell / saturation)
                    rise += voltage / np.hypot(i_cell, saturation)
                missing = here + drop - u
                if abs(missing) <= INNER_TOLERANCE * abs(u):
                    break
                if missing > 0.0:
                    high_end = here
                else:
                    low_end = here
                steep = 1.0 + rise * slope
                here -= missing / steep if steep > 0.0 else 0.0
                if steep <= 0.0 or not low_end < here < high_end:
                    here = 0.5 * (low_end + high_end)
            inner[i, j], current[i, j] = here, i_cell
            g[i, j] = slope / (1.0 + rise * slope)


@cached_njit(nogil=True, error_model="numpy")
def residuals(  # type: ignore[no-untyped-def]
    low, high, x, b, current, column, top, bottom, row, left, right, f_column, f_row, extremes
):
    """Compute the current residual at every node, A.

    ``extremes`` (2, rows): largest magnitudes per row, of the residuals and of the unknowns.
    """
    rows, columns = x.shape
    end, lanes = columns - 1, np.empty(CELLS)
    for i in range(low, high):
        start, segment = i * columns, i * end
        worst = highest = like(load_part(x, start, 0, 0.0, CELLS), 0.0)
        for j in range(0, columns, CELLS):
            count, at = min(CELLS, columns - j), start + j
            here = load_part(x, at, count, 0.0, CELLS)
            missing = minus(like(here, 0.0), load_part(current, at, count, 0.0, CELLS))
            if i > 0:
                drop = minus(load_part(x, at - columns, count, 0.0, CELLS), here)
                back = load_part(column, at - columns, count, 0.0, CELLS)
            else:
                drop = minus(like(here, 0.0), here)
                back = load_part(top, j, count, 0.0, CELLS)
            missing = times_plus(back, drop, missing)
            if i < rows - 1:
                drop = minus(load_part(x, at + columns, count, 0.0, CELLS), here)
                ahead = load_part(column, at, count, 0.0, CELLS)
            else:
                drop = minus(like(here, 0.0), here)
                ahead = load_part(bottom, j, count, 0.0, CELLS)
            missing = times_plus(ahead, drop, missing)
            store_part(f_column, at, count, missing)
            worst, highest = larger(worst, missing), larger(highest, here)
            highest = larger(highest, load_part(b, at, count, 0.0, CELLS))
        for j in range(1, end, CELLS):
            count, at = min(CELLS, end - j), start + j
            here = load_part(b, at, count, 0.0, CELLS)
            missing = load_part(current, at, count, 0.0, CELLS)
            drop = minus(load_part(b, at - 1, count, 0.0, CELLS), here)
            missing = times_plus(load_part(row, segment + j - 1, count, 0.0, CELLS), drop, missing)
            drop = minus(load_part(b, at + 1, count, 0.0, CELLS), here)
            missing = times_plus(load_part(row, segment + j, count, 0.0, CELLS), drop, missing)
            store_part(f_row, at, count, missing)
            worst = larger(worst, missing)
        f_row[i, 0] = current[i, 0]
        f_row[i, end] = current[i, end]
        f_row[i, 0] -= left[i] * b[i, 0]
        f_row[i, end] -= right[i] * b[i, end]
        if end > 0:
            f_row[i, 0] -= row[i, 0] * (b[i, 0] - b[i, 1])
            f_row[i, end] -= row[i, end - 1] * (b[i, end] - b[i, end - 1])
        worst = larger(worst, like(worst, f_row[i, 0]))
        store(lanes, 0, larger(worst, like(worst, f_row[i, end])))
        extremes[0, i] = lanes.max()  # NaN if one of them is
        store(lanes, 0, highest)
        extremes[1, i] = lanes.max()


@cached_njit(nogil=True, error_model="numpy")
def measure(  # type: ignore[no-untyped-def]
    low, high, x, b, v, w, r, llrs, hhrs, lowest, highest, linear, g, current,
    column, top, bottom, row, left, right, f_column, f_row, extremes,
):  # fmt: skip
    """Compute ``cell_currents`` and ``residuals`` of some rows at a time, which the cache holds."""
    lines, found = (column, top, bottom, row, left, right), (f_column, f_row, extremes)
    for i in range(low, high, ROWS):
        end = min(i + ROWS, high)
        cell_currents(i, end, x, b, v, w, r, llrs, hhrs, lowest, highest, linear, g, current)
        residuals(i, end, x, b, current, *lines, *found)


@cached_njit(nogil=True, error_model="numpy")
def keep_larger(u, extreme):  # type: ignore[no-untyped-def]
    """Replace the elements of ``extreme`` whose magnitude is less than that of ``u``."""
    for i in range(len(u)):
        for j in range(u.shape[1]):
            extreme[i, j] = u[i, j] if abs(u[i, j]) > abs(extreme[i, j]) else extreme[i, j]
