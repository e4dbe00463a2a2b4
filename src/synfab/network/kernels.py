"""Numba kernels of the solver: current residuals, line solves, conjugate gradients.

Unknowns are the deviation ``x`` of a column node from its driver's voltage ``v``, (rows, columns),
and ``b`` of a row node from the voltage ``w`` at the row's end, stored transposed, (columns, rows).
In both arrays the first axis runs along the line, so a line solve is a recurrence over whole
vectors.
"""

import numpy as np

from synfab.engines.numba.compile import cached_njit

BLOCK = 32
# Cell voltages behind access devices: relative error, and limit of Newton or bisection steps.
INNER_TOLERANCE = 2e-15
MAX_INNER = 60


@cached_njit(nogil=True)
def transpose(source, target):  # type: ignore[no-untyped-def]
    """Copy the transpose of ``source`` into ``target``, in blocks that fit the cache."""
    n, m = source.shape
    for i0 in range(0, n, BLOCK):
        for j0 in range(0, m, BLOCK):
            for j in range(j0, min(j0 + BLOCK, m)):
                for i in range(i0, min(i0 + BLOCK, n)):
                    target[j, i] = source[i, j]


@cached_njit(nogil=True)
def diagonal(g, line, first, last, out):  # type: ignore[no-untyped-def]
    """Sum the conductances at each node of parallel lines into ``out``, including cells ``g``."""
    n, m = g.shape
    for k in range(n):
        for j in range(m):
            total = g[k, j]
            total += line[k - 1, j] if k > 0 else first[j]
            total += line[k, j] if k < n - 1 else last[j]
            out[k, j] = total


@cached_njit(nogil=True)
def factor(g, line, first, last, inverse):  # type: ignore[no-untyped-def]
    """Compute inverse pivots of the tridiagonal lines; return False if a pivot is not positive.

    A pivot is the conductance to ground seen from its node, looking back along the line, plus the
    next segment's. Computed as conductances in series, it is free of cancellation, even on a
    floating line.
    """
    n, m = g.shape
    good = True
    seen = first.copy()
    for k in range(n):
        for j in range(m):
            seen[j] += g[k, j]
            ahead = line[k, j] if k < n - 1 else last[j]
            d = seen[j] + ahead
            good &= d > 0.0
            inverse[k, j] = 1.0 / d
            seen[j] *= ahead * inverse[k, j]
    return good


@cached_njit(nogil=True)
def line_solve(y, line, inverse):  # type: ignore[no-untyped-def]
    """Solve the tridiagonal systems of all lines in place, in ``y``."""
    n, m = y.shape
    for k in range(1, n):
        above, here, g, p = y[k - 1], y[k], line[k - 1], inverse[k - 1]
        for j in range(m):
            here[j] += g[j] * p[j] * above[j]
    here, p = y[n - 1], inverse[n - 1]
    for j in range(m):
        here[j] *= p[j]
    for k in range(n - 2, -1, -1):
        below, here, g, p = y[k + 1], y[k], line[k], inverse[k]
        for j in range(m):
            here[j] = (here[j] + g[j] * below[j]) * p[j]


@cached_njit(nogil=True)
def multiply_lines(p, diag, line, out):  # type: ignore[no-untyped-def]
    """Multiply ``p`` by the tridiagonal matrices of the lines, into ``out``."""
    n, m = p.shape
    for k in range(n):
        for j in range(m):
            value = diag[k, j] * p[k, j]
            if k > 0:
                value -= line[k - 1, j] * p[k - 1, j]
            if k < n - 1:
                value -= line[k, j] * p[k + 1, j]
            out[k, j] = value


@cached_njit(nogil=True)
def through_rows(p, g, row_line, row_inverse, across, out):  # type: ignore[no-untyped-def]
    """Compute G T_b^-1 G ``p`` into ``out``: the coupling of the columns through the rows."""
    n, m = p.shape
    for i in range(n):
        for j in range(m):
            out[i, j] = g[i, j] * p[i, j]
    transpose(out, across)
    line_solve(across, row_line, row_inverse)
    transpose(across, out)
    for i in range(n):
        for j in range(m):
            out[i, j] *= g[i, j]


@cached_njit(nogil=True)
def iv_curve(u, r, llrs, hhrs, low, high):  # type: ignore[no-untyped-def]
    """Return current and slope of state ``r`` at ``u``, as ``Conduction.current`` and ``slope``."""
    inside = min(max(u, low), high)
    p, dp, q, dq = 0.0, 0.0, 0.0, 0.0
    for k in range(len(llrs)):
        dp, p = dp * inside + p, p * inside + llrs[k]
        dq, q = dq * inside + q, q * inside + hhrs[k]
    current, slope = p + r * (q - p), dp + r * (dq - dp)
    if inside != u:
        slope = current / inside
        current = slope * u
    return current, slope


@cached_njit(nogil=True)
def cell_currents(  # type: ignore[no-untyped-def]
    x, b_across, v, w, r, llrs, hhrs, low, high, linear, g, current
):
    """Compute current and slope of every cell; for ``linear`` cells, r holds conductances."""
    rows, columns = x.shape
    for i in range(rows):
        for j in range(columns):
            u = v[j] - w[i] + x[i, j] - b_across[j, i]
            if linear:
                g[i, j] = r[i, j]
                current[i, j] = r[i, j] * u
                continue
            current[i, j], g[i, j] = iv_curve(u, r[i, j], llrs, hhrs, low, high)


@cached_njit(nogil=True)
def barred_currents(  # type: ignore[no-untyped-def]
    x, b_across, v, w, r, llrs, hhrs, low, high, linear,
    resistance, stuck, saturation, voltage, inner, g, current,
):  # fmt: skip
    """Compute currents as ``cell_currents`` does, for cells with access devices or defects.

    ``inner`` holds the cells' own voltages: an initial guess on entry, the solution of
    u = u_cell + R I(u_cell) + voltage asinh(I(u_cell) / saturation) on return.
    """
    rows, columns = x.shape
    for i in range(rows):
        for j in range(columns):
            u = v[j] - w[i] + x[i, j] - b_across[j, i]
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
                    i_cell, slope = iv_curve(here, r[i, j], llrs, hhrs, low, high)
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


@cached_njit(nogil=True)
def residuals(  # type: ignore[no-untyped-def]
    x, b_across, current, column, top, bottom, row_line, left, right, f_column, f_row
):
    """Compute the current residual at every node, A; return the largest magnitude."""
    rows, columns = x.shape
    worst = 0.0
    for i in range(rows):
        for j in range(columns):
            value = -current[i, j]
            value -= column[i - 1, j] * (x[i, j] - x[i - 1, j]) if i > 0 else top[j] * x[i, j]
            if i < rows - 1:
                value -= column[i, j] * (x[i, j] - x[i + 1, j])
            else:
                value -= bottom[j] * x[i, j]
            f_column[i, j] = value
            worst = max(worst, abs(value))
    transpose(current, f_row)
    for j in range(columns):
        for i in range(rows):
            value = f_row[j, i]
            here = b_across[j, i]
            value -= row_line[j - 1, i] * (here - b_across[j - 1, i]) if j > 0 else left[i] * here
            if j < columns - 1:
                value -= row_line[j, i] * (here - b_across[j + 1, i])
            else:
                value -= right[i] * here
            f_row[j, i] = value
            worst = max(worst, abs(value))
    return worst


@cached_njit(nogil=True)
def newton_step(  # type: ignore[no-untyped-def]
    g, f_column, f_row, column, top, bottom, row_line, left, right, tolerance, most, dx, db
):
    """Solve the linearised network by conjugate gradients on the column nodes.

    Return the number of iterations; negative: not positive definite, or more than ``most``.
    """
    diag, inverse = np.empty_like(g), np.empty_like(g)
    g_across, row_inverse = np.empty_like(f_row), np.empty_like(f_row)
    transpose(g, g_across)
    diagonal(g, column, top, bottom, diag)
    if not factor(g, column, top, bottom, inverse):
        return -1
    if not factor(g_across, row_line, left, right, row_inverse):
        return -1
    across, q = np.empty_like(f_row), np.empty_like(g)
    # Right-hand side with the rows eliminated.
    across[:] = f_row
    line_solve(across, row_line, row_inverse)
    transpose(across, q)
    residual = f_column + g * q
    z = residual.copy()
    line_solve(z, column, inverse)
    p = z.copy()
    dx[:] = 0.0
    rz = np.sum(residual * z)
    start, iterations = rz, 0
    while rz > tolerance * tolerance * start and rz > 0.0:
        if iterations >= most:
            return -2
        iterations += 1
        through_rows(p, g, row_line, row_inverse, across, z)
        multiply_lines(p, diag, column, q)
        q -= z
        pq = np.sum(p * q)
        if not pq > 0.0:
            return -1
        alpha = rz / pq
        dx += alpha * p
        residual -= alpha * q
        z[:] = residual
        line_solve(z, column, inverse)
        before, rz = rz, np.sum(residual * z)
        p *= rz / before
        p += z
    q[:] = g * dx
    transpose(q, db)
    db += f_row
    line_solve(db, row_line, row_inverse)
    return iterations
