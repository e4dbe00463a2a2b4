"""Numba kernels of conjugate gradients on a linearised crossbar, in a layout that the cache fits.

With tridiagonal matrices T_c = E_c E_c' of the column lines, T_r = E_r E_r' of the row lines
(E: lower bidiagonal) and conductances G of the cells, the rows are eliminated and the columns
preconditioned with T_c on both sides. What remains is (1 - K K') y = right-hand side, with
K = E_c^-1 G E_r^-T, for voltages x = E_c^-T y of the columns.

E is scaled by the square roots of its pivots to a unit diagonal, which leaves one array per
direction (``off``, the negated off-diagonal) and one for the cells (``coupling``).

A panel holds LANES parallel lines, node after node: (panels, nodes, LANES). A line solve is a
recurrence over vectors of LANES, and a block of LANES x LANES is contiguous, so that the other
direction is reached by transposing blocks. Only ``off`` of the row lines is stored in panels of
row lines; everything else is in panels of column lines. Unused nodes and lanes are zero.

Each panel adds its part of a sum to ``sums``; the number of threads does not change any result.
"""

import numpy as np

from synfab.engines.numba.compile import cached_njit
from synfab.network.vectors import (
    BLOCK,
    LANES,
    between,
    convert,
    fill,
    like,
    load,
    load_part,
    over,
    plus,
    root,
    store,
    store_part,
    times,
    times_plus,
    transpose_block,
)

# Range of the pivots, S.
SMALLEST, LARGEST = 1e-30, 1e30


@cached_njit(nogil=True, error_model="numpy")
def transpose(source, s, target, t):  # type: ignore[no-untyped-def]
    """Transpose LANES x LANES numbers between flat offsets."""
    for k in range(0, LANES, BLOCK):
        for lane in range(0, LANES, BLOCK):
            transpose_block(source, s + k * LANES + lane, target, t + lane * LANES + k)


@cached_njit(nogil=True, error_model="numpy")
def load_block(source, k0, l0, across, rest, work, block):  # type: ignore[no-untyped-def]
    """Copy nodes from ``k0`` of lines from ``l0`` into ``block`` (node, line).

    Unused lines are set to ``rest``; ``work`` is work memory.
    """
    n, m = source.shape
    first, start = (l0, k0) if across else (k0, l0)
    into = work if across else block
    for k in range(LANES):
        width = m - start if first + k < n else 0
        at = (first + k) * m + start if width > 0 else 0
        values = load_part(source, at, width if width > 0 else 0, rest, LANES)
        store(into, k * LANES, convert(block, values))
    if across:
        transpose(work, 0, block, 0)


@cached_njit(nogil=True, error_model="numpy")
def factor(low, high, g, line, first, last, across, off, scale, good):  # type: ignore[no-untyped-def]
    """Factor the lines of some panels; ``good``: whether all pivots of a panel are positive.

    ``scale`` (the inverse square roots of the pivots) is in panels of column lines; ``across``: the
    lines are the rows of ``g`` and ``line``.

    A pivot is the conductance to ground seen from its node, looking back along the line, plus the
    next segment's. Computed as conductances in series, it is free of cancellation, even on a
    floating line. Unused lines have segments of 1 S.
    """
    length, width = (g.shape[1], g.shape[0]) if across else g.shape
    cells, ahead, work = (
        np.empty((LANES, LANES), off.dtype),
        np.empty((LANES, LANES), off.dtype),
        np.empty((LANES, LANES), off.dtype),
    )
    nodes = off.shape[1] * LANES  # numbers in a panel of ``off``
    for panel in range(low, high):
        l0 = panel * LANES
        count = width - l0
        # Conductance seen from the node, segment before it and inverse root of the pivot before it.
        seen = convert(off, load_part(first, l0, count, 0.0, LANES))
        segment = before = fill(off, 0.0)
        positive = True
        for k0 in range(0, length, LANES):
            load_block(g, k0, l0, across, 0.0, work, cells)
            load_block(line, k0, l0, across, 1.0, work, ahead)
            if k0 + LANES >= length:
                end = (length - 1 - k0) * LANES
                store(ahead, end, convert(off, load_part(last, l0, count, 1.0, LANES)))
            for k in range(min(LANES, length - k0)):
                at = k * LANES
                total = plus(seen, load(cells, at))
                following = load(ahead, at)
                pivot = plus(total, following)
                positive = positive and between(pivot, SMALLEST, LARGEST)
                here = over(fill(off, 1.0), root(pivot))
                seen = times(total, times(following, times(here, here)))
                store(off, panel * nodes + k0 * LANES + at, times(times(segment, before), here))
                segment, before = following, here
                store(cells, at, here)
            if across:
                transpose(cells, 0, scale, (k0 // LANES * scale.shape[1] + l0) * LANES)
            else:
                for at in range(0, LANES * LANES, LANES):
                    store(scale, panel * nodes + k0 * LANES + at, load(cells, at))
        good[panel] = positive


@cached_njit(nogil=True, error_model="numpy")
def couple(low, high, g, column_scale, row_scale, coupling):  # type: ignore[no-untyped-def]
    """Scale the conductances of the cells, in bands of LANES rows."""
    rows, columns = g.shape
    for band in range(low, high):
        for panel in range(len(coupling)):
            l0 = panel * LANES
            for k in range(band * LANES, min((band + 1) * LANES, rows)):
                at = (panel * coupling.shape[1] + k) * LANES
                cells = convert(coupling, load_part(g, k * columns + l0, columns - l0, 0.0, LANES))
                scale = times(load(column_scale, at), load(row_scale, at))
                store(coupling, at, times(cells, scale))


@cached_njit(nogil=True, error_model="numpy")
def enter(  # type: ignore[no-untyped-def]
    low, high, f_column, f_row, unit, column_scale, row_scale, r, source, t
):
    """Scale the currents into column (``r``) and row nodes (``source`` and ``t``), by bands."""
    rows, columns = f_row.shape
    for band in range(low, high):
        for panel in range(len(t)):
            l0 = panel * LANES
            for k in range(band * LANES, min((band + 1) * LANES, rows)):
                at, node = (panel * t.shape[1] + k) * LANES, k * columns + l0
                into = load_part(f_column, node, columns - l0, 0.0, LANES)
                into = convert(t, times(into, like(into, unit)))
                store(r, at, times(into, load(column_scale, at)))
                into = load_part(f_row, node, columns - l0, 0.0, LANES)
                into = times(convert(t, times(into, like(into, unit))), load(row_scale, at))
                store(source, at, into)
                store(t, at, into)


@cached_njit(nogil=True, error_model="numpy")
def total_of(vector, lanes):  # type: ignore[no-untyped-def]
    """Return the sum of a vector; ``lanes`` is work memory."""
    store(lanes, 0, vector)
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@cached_njit(nogil=True, error_model="numpy")
def solve_rows(low, high, off, t, sums):  # type: ignore[no-untyped-def]
    """Solve the row lines for the currents ``t`` in place; ``sums``: of (E_r^-1 t)**2."""
    panels, rows = t.shape[0], t.shape[1]
    work, lanes = np.empty((panels * LANES, LANES), t.dtype), np.empty(LANES, t.dtype)
    for panel in range(low, high):
        base = panel * panels * LANES * LANES
        y = total = fill(t, 0.0)
        for other in range(panels):
            start = other * LANES * LANES
            transpose(t, (other * rows + panel * LANES) * LANES, work, start)
            for at in range(start, start + LANES * LANES, LANES):
                y = times_plus(load(off, base + at), y, load(work, at))
                total = times_plus(y, y, total)
                store(work, at, y)
        sums[panel] = total_of(total, lanes)
        y = o = fill(t, 0.0)
        for other in range(panels - 1, -1, -1):
            start = other * LANES * LANES
            for k in range(LANES - 1, -1, -1):
                at = start + k * LANES
                y = times_plus(o, y, load(work, at))
                o = load(off, base + at)
                store(work, at, y)
            transpose(work, start, t, (other * rows + panel * LANES) * LANES)


@cached_njit(nogil=True, error_model="numpy")
def begin(low, high, t, coupling, off, r, p, x):  # type: ignore[no-untyped-def]
    """Set the residual to E_c^-1 (r + G t), direction and solution to zero."""
    size, zero = t.shape[1] * LANES, fill(t, 0.0)
    for panel in range(low, high):
        y = zero
        for at in range(panel * size, panel * size + size, LANES):
            y = times_plus(load(off, at), y, load(r, at))
            y = times_plus(load(coupling, at), load(t, at), y)
            store(r, at, y)
            store(p, at, zero)
            store(x, at, zero)


@cached_njit(nogil=True, error_model="numpy")
def advance(low, high, alpha, t, coupling, off, p, r, x, sums):  # type: ignore[no-untyped-def]
    """Move by ``alpha`` along the direction ``p``; ``sums``: of the squared residual."""
    size, lanes = t.shape[1] * LANES, np.empty(LANES, t.dtype)
    forward, back = fill(t, alpha), fill(t, -alpha)
    for panel in range(low, high):
        y = total = fill(t, 0.0)
        for at in range(panel * size, panel * size + size, LANES):
            y = times_plus(load(off, at), y, times(load(coupling, at), load(t, at)))
            along = load(p, at)
            store(x, at, times_plus(forward, along, load(x, at)))
            left = times_plus(forward, y, times_plus(back, along, load(r, at)))
            store(r, at, left)
            total = times_plus(left, left, total)
        sums[panel] = total_of(total, lanes)


@cached_njit(nogil=True, error_model="numpy")
def turn(low, high, beta, r, coupling, off, p, t, sums):  # type: ignore[no-untyped-def]
    """Set p = r + beta p and t = G E_c^-T p; ``sums``: of p**2."""
    size, lanes, factor = t.shape[1] * LANES, np.empty(LANES, t.dtype), fill(t, beta)
    for panel in range(low, high):
        y = o = total = fill(t, 0.0)
        for k in range(t.shape[1] - 1, -1, -1):
            at = panel * size + k * LANES
            along = times_plus(factor, load(p, at), load(r, at))
            store(p, at, along)
            total = times_plus(along, along, total)
            y = times_plus(o, y, along)
            o = load(off, at)
            store(t, at, times(load(coupling, at), y))
        sums[panel] = total_of(total, lanes)


@cached_njit(nogil=True, error_model="numpy")
def finish(low, high, x, coupling, off, source, t):  # type: ignore[no-untyped-def]
    """Set x to E_c^-T x, and ``t`` to the currents into the row nodes, including those of cells."""
    size = t.shape[1] * LANES
    for panel in range(low, high):
        y = o = fill(t, 0.0)
        for k in range(t.shape[1] - 1, -1, -1):
            at = panel * size + k * LANES
            y = times_plus(o, y, load(x, at))
            o = load(off, at)
            store(x, at, y)
            store(t, at, times_plus(load(coupling, at), y, load(source, at)))


@cached_njit(nogil=True, error_model="numpy")
def move(  # type: ignore[no-untyped-def]
    low, high, size, x, t, column_scale, row_scale, column_nodes, row_nodes
):
    """Add ``size`` times the solution ``x`` and ``t`` to the voltages of the nodes."""
    rows, columns = column_nodes.shape
    for band in range(low, high):
        for panel in range(len(t)):
            l0 = panel * LANES
            count = columns - l0
            for k in range(band * LANES, min((band + 1) * LANES, rows)):
                at, node = (panel * t.shape[1] + k) * LANES, k * columns + l0
                change = convert(column_nodes, times(load(x, at), load(column_scale, at)))
                before = load_part(column_nodes, node, count, 0.0, LANES)
                after = times_plus(like(change, size), change, before)
                store_part(column_nodes, node, count, after)
                change = convert(row_nodes, times(load(t, at), load(row_scale, at)))
                before = load_part(row_nodes, node, count, 0.0, LANES)
                after = times_plus(like(change, size), change, before)
                store_part(row_nodes, node, count, after)


@cached_njit(nogil=True, error_model="numpy")
def solve(  # type: ignore[no-untyped-def]
    f_column, f_row, unit, tolerance, most,
    column_off, column_scale, row_off, row_scale, coupling, r, p, x, source, t, sums,
):  # fmt: skip
    """Solve for currents into the nodes, in one thread; return the iterations, -1 if it fails.

    Equals ``Linearised.solve_shared``, whose calls from Python take too long on small networks.
    """
    columns, rows = len(column_off), len(row_off)
    enter(0, rows, f_column, f_row, unit, column_scale, row_scale, r, source, t)
    solve_rows(0, rows, row_off, t, sums)
    begin(0, columns, t, coupling, column_off, r, p, x)
    first = rest = beta = 0.0
    for iteration in range(most):
        turn(0, columns, beta, r, coupling, column_off, p, t, sums)
        along = sums[:columns].sum()
        if iteration == 0:
            first = rest = along
        if rest <= tolerance * tolerance * first:
            finish(0, columns, x, coupling, column_off, source, t)
            solve_rows(0, rows, row_off, t, sums)
            return iteration
        solve_rows(0, rows, row_off, t, sums)
        curvature = along - sums[:rows].sum()
        if not curvature > 0.0:
            break
        before = rest
        advance(0, columns, rest / curvature, t, coupling, column_off, p, r, x, sums)
        rest = sums[:columns].sum()
        beta = rest / before
    return -1
