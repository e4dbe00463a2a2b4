"""Numba kernels of the solver: currents of the cells, and current residuals of the nodes.

Unknowns are the deviation ``x`` of a column node from its driver's voltage ``v`` and ``b`` of a row
node from the voltage ``w`` at the row's end, (rows, columns) each. All kernels work on the rows
``low`` … ``high`` - 1.
"""

import numpy as np

from synfab.engines.numba.compile import cached_njit

CHUNK = 64
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

    Equals ``iv_curve``, in chunks of cells so that all loops over cells are vectorised.
    """
    columns = x.shape[1]
    u, inside = np.empty(CHUNK), np.empty(CHUNK)
    p, dp = np.empty(CHUNK), np.empty(CHUNK)
    for i in range(low, high):
        if linear:
            for j in range(columns):
                g[i, j] = r[i, j]
                current[i, j] = r[i, j] * (v[j] - w[i] + x[i, j] - b[i, j])
            continue
        for j0 in range(0, columns, CHUNK):
            count = min(CHUNK, columns - j0)
            for k in range(count):
                j = j0 + k
                u[k] = v[j] - w[i] + x[i, j] - b[i, j]
                inside[k] = min(max(u[k], lowest), highest)
                p[k], dp[k] = 0.0, 0.0
            for power in range(len(llrs)):
                level, span = llrs[power], hhrs[power] - llrs[power]
                for k in range(count):
                    dp[k] = dp[k] * inside[k] + p[k]
                    p[k] = p[k] * inside[k] + (level + r[i, j0 + k] * span)
            for k in range(count):
                ohmic = p[k] / inside[k]
                outside = inside[k] != u[k]
                current[i, j0 + k] = ohmic * u[k] if outside else p[k]
                g[i, j0 + k] = ohmic if outside else dp[k]


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
    end, ground = columns - 1, np.zeros(columns)
    for i in range(low, high):
        back, above = (column[i - 1], x[i - 1]) if i > 0 else (top, ground)
        ahead, below = (column[i], x[i + 1]) if i < rows - 1 else (bottom, ground)
        for j in range(columns):
            up, down = back[j] * (x[i, j] - above[j]), ahead[j] * (x[i, j] - below[j])
            f_column[i, j] = -current[i, j] - up - down
        for j in range(1, end):
            here = b[i, j]
            before, after = row[i, j - 1] * (here - b[i, j - 1]), row[i, j] * (here - b[i, j + 1])
            f_row[i, j] = current[i, j] - before - after
        f_row[i, 0] = current[i, 0]
        f_row[i, end] = current[i, end]
        f_row[i, 0] -= left[i] * b[i, 0]
        f_row[i, end] -= right[i] * b[i, end]
        if end > 0:
            f_row[i, 0] -= row[i, 0] * (b[i, 0] - b[i, 1])
            f_row[i, end] -= row[i, end - 1] * (b[i, end] - b[i, end - 1])
        worst = highest = 0.0
        for j in range(columns):
            for value in (abs(f_column[i, j]), abs(f_row[i, j])):
                if value > worst or np.isnan(value):
                    worst = value
            highest = max(highest, abs(x[i, j]), abs(b[i, j]))
        extremes[0, i], extremes[1, i] = worst, highest
