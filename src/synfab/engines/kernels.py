"""Numba kernels that change cells: making them, drawing cycles, switching.

Memory: four cells (a tile) share a cache line, so that one cell touched alone costs few lines.
    history  (groups, p, 64 tiles, 4 features, 4 lanes)  the block of p vectors around the cycle
    devices  (2, tiles, 4, 4)   mu, sigma, mu, sigma of r_hrs and u_set | of r_lrs and u_reset
    switch   (tiles, 4, 4)      threshold, u_set, r(R_HRS), steepness
    status   (cells,)           cycle << 2 | in_lrs << 1 | in_hrs
    r        (cells,)
Work is done in groups of 256 cells: what a group needs is gathered into small arrays that stay in
the first-level cache, computed there in plain vector loops, and put back.
"""

import numpy as np
from numba import int32, int64, njit, uint32, uint64

from synfab.engines.scalar import exp, f4, fma, log, normal_pair, philox, polynomial

GROUP = 256
LANES = 4
TILES = GROUP // LANES
IN_HRS, IN_LRS = 1, 2
QUANTUM = 4096.0  # int16 history: x* in steps of 1/4096
LN_10 = f4(2.302585092994046)

# Rows of ``switch``.
THRESHOLD, U_SET, R_HRS, STEEPNESS = 0, 1, 2, 3

# Entries of the constants of a model.
G_LLRS, INVERSE_SPAN, TOP, U_MAX, ETA, LOW, HIGH = range(7)


@njit(nogil=True, error_model="numpy")
def draw_normals(  # type: ignore[no-untyped-def]
    z, row, word, cells, index, offset, stream, first, key, width
):
    """Equals ``streams.normals(streams.words(…))``: rows ``row`` … ``row + 3`` of ``z``."""
    w0, w1, w2, w3 = word[0], word[1], word[2], word[3]
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    for j in range(width):
        number = first + uint64(cells[j])
        low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
        w0[j], w1[j], w2[j], w3[j] = philox(
            low, high, uint32(index[j] + uint32(offset)), uint32(stream), k0, k1
        )
    za, zb, zc, zd = z[row], z[row + 1], z[row + 2], z[row + 3]
    for j in range(width):
        za[j], zb[j] = normal_pair(w0[j], w1[j])
    for j in range(width):
        zc[j], zd[j] = normal_pair(w2[j], w3[j])


@njit(inline="always")
def padded(count):  # type: ignore[no-untyped-def]
    """Round up to whole vectors of 16."""
    return (count + 15) & ~15


@njit(nogil=True, error_model="numpy")
def is_lockstep(status, cells, count):  # type: ignore[no-untyped-def]
    """Tell whether a whole group is meant and all its cells are at the same cycle."""
    if count != GROUP:
        return False
    first = cells[0]
    group = status[first : first + GROUP]
    different = uint32(0)
    for j in range(GROUP):
        different |= group[j] ^ group[0]
    return different >> uint32(2) == uint32(0)


@njit(nogil=True, error_model="numpy")
def next_blocks(  # type: ignore[no-untyped-def]
    history, cells, cycles, count, x, z, word, lags, innovation, quantise, first, key
):
    """Equals ``rules.next_block`` for ``count`` <= 256 cells whose block is used up."""
    order = history.shape[1]
    width = padded(count)
    scale = f4(1.0 / QUANTUM) if quantise else f4(1.0)
    for j in range(count, width):
        cells[j], cycles[j] = cells[0], cycles[0]
    if count == GROUP:
        near = history[cells[0] >> 8]
        for s in range(order):
            for q in range(TILES):
                for f in range(4):
                    for lane in range(LANES):
                        x[s, f, LANES * q + lane] = f4(near[s, q, f, lane]) * scale
    else:
        for j in range(width):
            group, tile, lane = cells[j] >> 8, (cells[j] >> 2) & 63, cells[j] & 3
            for s in range(order):
                for f in range(4):
                    x[s, f, j] = f4(history[group, s, tile, f, lane]) * scale
    b = innovation
    for s in range(order):
        draw_normals(z, 0, word, cells, cycles, s + 1, 2, first, key, width)
        z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
        x0, x1, x2, x3 = z[4], z[5], z[6], z[7]
        for j in range(width):
            x0[j] = b[0, 0] * z0[j]
            x1[j] = fma(b[1, 1], z1[j], b[1, 0] * z0[j])
            x2[j] = fma(b[2, 2], z2[j], fma(b[2, 1], z1[j], b[2, 0] * z0[j]))
            tail = fma(b[3, 2], z2[j], fma(b[3, 1], z1[j], b[3, 0] * z0[j]))
            x3[j] = fma(b[3, 3], z3[j], tail)
        for i in range(order):
            slot = s - 1 - i
            if slot < 0:
                slot += order
            past, a = x[slot], lags[i]
            a00, a01, a02, a03 = a[0, 0], a[0, 1], a[0, 2], a[0, 3]
            a10, a11, a12, a13 = a[1, 0], a[1, 1], a[1, 2], a[1, 3]
            a20, a21, a22, a23 = a[2, 0], a[2, 1], a[2, 2], a[2, 3]
            a30, a31, a32, a33 = a[3, 0], a[3, 1], a[3, 2], a[3, 3]
            for j in range(width):
                g0, g1, g2, g3 = past[0, j], past[1, j], past[2, j], past[3, j]
                x0[j] = fma(a03, g3, fma(a02, g2, fma(a01, g1, fma(a00, g0, x0[j]))))
                x1[j] = fma(a13, g3, fma(a12, g2, fma(a11, g1, fma(a10, g0, x1[j]))))
                x2[j] = fma(a23, g3, fma(a22, g2, fma(a21, g1, fma(a20, g0, x2[j]))))
                x3[j] = fma(a33, g3, fma(a32, g2, fma(a31, g1, fma(a30, g0, x3[j]))))
        for f in range(4):
            source, target = z[4 + f], x[s, f]
            for j in range(width):
                target[j] = source[j]
            if quantise:
                for j in range(width):
                    level = min(max(target[j] * f4(QUANTUM), f4(-32767.0)), f4(32767.0))
                    target[j] = np.rint(level) * scale
    put = f4(QUANTUM) if quantise else f4(1.0)
    if count == GROUP:
        near = history[cells[0] >> 8]
        for s in range(order):
            for q in range(TILES):
                for f in range(4):
                    for lane in range(LANES):
                        near[s, q, f, lane] = x[s, f, LANES * q + lane] * put
    else:
        for j in range(count):
            group, tile, lane = cells[j] >> 8, (cells[j] >> 2) & 63, cells[j] & 3
            for s in range(order):
                for f in range(4):
                    history[group, s, tile, f, lane] = x[s, f, j] * put


@njit(nogil=True, error_model="numpy")
def gather_features(  # type: ignore[no-untyped-def]
    history, devices, status, cells, count, pair, quantise, out
):
    """x*_n, mu and sigma of features ``2 pair`` and ``2 pair + 1`` into the six rows of ``out``."""
    order = history.shape[1]
    scale = f4(1.0 / QUANTUM) if quantise else f4(1.0)
    f = 2 * pair
    last, slot = uint32(0), order - 1
    if is_lockstep(status, cells, count):
        first = cells[0]
        slot = ((status[first] >> uint32(2)) + uint32(order - 1)) % uint32(order)
        tile = first >> 2
        now = history[first >> 8, slot]
        device = devices[pair, tile : tile + TILES]
        for q in range(TILES):
            for lane in range(LANES):
                j = LANES * q + lane
                out[0, j] = f4(now[q, f, lane]) * scale
                out[1, j] = f4(now[q, f + 1, lane]) * scale
                out[2, j] = device[q, 0, lane]
                out[3, j] = device[q, 1, lane]
                out[4, j] = device[q, 2, lane]
                out[5, j] = device[q, 3, lane]
        return
    for j in range(count):
        c = cells[j]
        group, tile, lane = c >> 8, (c >> 2) & 63, c & 3
        cycle = status[c] >> uint32(2)
        if cycle != last:
            last = cycle
            slot = int32((cycle + uint32(order - 1)) % uint32(order))
        out[0, j] = f4(history[group, slot, tile, f, lane]) * scale
        out[1, j] = f4(history[group, slot, tile, f + 1, lane]) * scale
        out[2, j] = devices[pair, c >> 2, 0, lane]
        out[3, j] = devices[pair, c >> 2, 1, lane]
        out[4, j] = devices[pair, c >> 2, 2, lane]
        out[5, j] = devices[pair, c >> 2, 3, lane]


@njit(nogil=True, error_model="numpy")
def hrs_pair(buffer, marginals, constants, width):  # type: ignore[no-untyped-def]
    """r(R_HRS) into row 0, kept below r_max, and u_set into row 1 (``rules.hrs_state``)."""
    g_l, inverse, top = constants[G_LLRS], constants[INVERSE_SPAN], constants[TOP]
    x0, x1, m0, s0, m1, s1 = buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]
    p0, p1 = marginals[0], marginals[1]
    for j in range(width):
        y = fma(s0[j], polynomial(p0, x0[j]), m0[j])
        r = (g_l - exp(-LN_10 * y)) * inverse
        x0[j] = min(r, top)
        x1[j] = fma(s1[j], polynomial(p1, x1[j]), m1[j])


@njit(nogil=True, error_model="numpy")
def set_cells(  # type: ignore[no-untyped-def]
    r, status, switch, history, devices, cells, count, buffer, marginals, constants, quantise
):
    """SET: r = r(R_LRS), threshold = u_reset (``rules.apply_voltage``)."""
    gather_features(history, devices, status, cells, count, 1, quantise, buffer)
    g_l, inverse = constants[G_LLRS], constants[INVERSE_SPAN]
    x2, x3, m2, s2, m3, s3 = buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]
    p2, p3 = marginals[2], marginals[3]
    for j in range(padded(count)):
        resistance = fma(s2[j], polynomial(p2, x2[j]), m2[j])
        x2[j] = (g_l - f4(1.0) / resistance) * inverse
        x3[j] = fma(s3[j], polynomial(p3, x3[j]), m3[j])
    if count == GROUP:
        first = cells[0]
        near, states, marks = (
            switch[first >> 2 : (first >> 2) + TILES],
            r[first : first + GROUP],
            status[first : first + GROUP],
        )
        for q in range(TILES):
            for lane in range(LANES):
                near[q, THRESHOLD, lane] = x3[LANES * q + lane]
        for j in range(GROUP):
            states[j] = x2[j]
            marks[j] = (marks[j] & uint32(0xFFFFFFFC)) | uint32(IN_LRS)
        return
    for j in range(count):
        c = cells[j]
        r[c] = x2[j]
        switch[c >> 2, THRESHOLD, c & 3] = x3[j]
        status[c] = (status[c] & uint32(0xFFFFFFFC)) | uint32(IN_LRS)


@njit(inline="always")
def span(llrs, hhrs, constants, r, u):  # type: ignore[no-untyped-def]
    """P_L(u), P_L(u) - P_H(u) and I(r, u); ohmic beyond the trained voltages."""
    bounded = constants[LOW] if u < constants[LOW] else u
    inside = constants[HIGH] if bounded > constants[HIGH] else bounded
    ratio = u / (inside if inside != u else f4(1.0))
    stretch = ratio if inside != u else f4(1.0)
    low, high = polynomial(llrs, inside) * stretch, polynomial(hhrs, inside) * stretch
    return low, low - high, fma(r, high - low, low)


@njit(nogil=True, error_model="numpy")
def transition(w, begins, llrs, hhrs, constants, width):  # type: ignore[no-untyped-def]
    """Equals ``rules.transition_state`` on the work rows: r, threshold, u, r_hrs, steepness.

    Leaves the new state in row 0 and the steepness in row 4. A RESET at U_max or above is complete.
    """
    r, threshold, u, r_hrs, steepness = w[0], w[1], w[2], w[3], w[4]
    u_max, eta, top = constants[U_MAX], constants[ETA], constants[TOP]
    for j in range(width):
        r_old, voltage, at_rest, old = r[j], u[j], threshold[j], steepness[j]
        partial = voltage < u_max
        start_here = partial & (begins[j] != uint32(0))
        _, _, floor = span(llrs, hhrs, constants, r_hrs[j], u_max)
        _, _, start = span(llrs, hhrs, constants, r_old, at_rest)
        rise = u_max - at_rest if start_here else f4(1.0)
        a = (start - floor) / exp(eta * log(rise))
        a = a if start_here else old
        at = voltage if partial else f4(0.0)
        low, difference, _ = span(llrs, hhrs, constants, r_old, at)
        carries = difference != f4(0.0)
        solved = low - fma(a, exp(eta * log(u_max - at)), floor)
        solved = solved / (difference if carries else f4(1.0))
        solved = solved if carries else r_old
        solved = top if solved > top else solved
        solved = solved if solved > r_old else r_old
        r[j] = solved if partial else r_hrs[j]
        steepness[j] = a


@njit(nogil=True, error_model="numpy")
def load_group(r, status, switch, first, u, w, begins, u_max):  # type: ignore[no-untyped-def]
    """Gather the state of a whole group; tells of any partial RESET and counts cells in LRS."""
    near = switch[first >> 2 : (first >> 2) + TILES]
    states, marks = r[first : first + GROUP], status[first : first + GROUP]
    for q in range(TILES):
        for lane in range(LANES):
            w[1, LANES * q + lane] = near[q, THRESHOLD, lane]
            w[3, LANES * q + lane] = near[q, R_HRS, lane]
            w[4, LANES * q + lane] = near[q, STEEPNESS, lane]
    held, pulse = w[0], w[2]
    partial, lrs = uint32(0), uint32(0)
    for j in range(GROUP):
        held[j], pulse[j] = states[j], u[j]
        partial |= uint32(1) if u[j] < u_max else uint32(0)
    for j in range(GROUP):
        begins[j] = marks[j] & uint32(IN_LRS)
        lrs += (marks[j] >> uint32(1)) & uint32(1)
    return partial != uint32(0), int64(lrs)


@njit(nogil=True, error_model="numpy")
def store_group(r, status, switch, first, w, u_max):  # type: ignore[no-untyped-def]
    """Put back the state of a whole group after a RESET."""
    near = switch[first >> 2 : (first >> 2) + TILES]
    states, marks = r[first : first + GROUP], status[first : first + GROUP]
    for q in range(TILES):
        for lane in range(LANES):
            near[q, THRESHOLD, lane] = w[2, LANES * q + lane]
            near[q, STEEPNESS, lane] = w[4, LANES * q + lane]
    found, pulse = w[0], w[2]
    for j in range(GROUP):
        states[j] = found[j]
        full = uint32(IN_HRS) if pulse[j] >= u_max else uint32(0)
        marks[j] = (marks[j] & uint32(0xFFFFFFFC)) | full


@njit(nogil=True, error_model="numpy")
def reset_cells(  # type: ignore[no-untyped-def]
    r, status, switch, history, devices, cells, count, u,
    begins, spent, spent_cycles, drawn, buffer, w, x, z, word,
    lags, innovation, marginals, llrs, hhrs, constants, quantise, first, key,
):  # fmt: skip
    """RESET: draw the next cycle where the LRS is left, then follow the transition curve."""
    order = uint32(history.shape[1])
    n_spent, n_drawn, any_partial = 0, 0, False
    u_max = constants[U_MAX]
    last, ends = uint32(0), True
    lockstep = is_lockstep(status, cells, count)
    if count == GROUP:
        any_partial, n_drawn = load_group(r, status, switch, cells[0], u, w, begins, u_max)
    if lockstep and n_drawn == GROUP:
        cycle = status[cells[0]] >> uint32(2)
        n_spent = GROUP if cycle % order == uint32(0) else 0
        for j in range(GROUP):
            drawn[j] = spent[j] = cells[j]
            spent_cycles[j] = cycle
        marks = status[cells[0] : cells[0] + GROUP]
        for j in range(GROUP):
            marks[j] = ((cycle + uint32(1)) << uint32(2)) | uint32(IN_LRS)
    else:
        n_drawn = 0
        for j in range(count):
            c = cells[j]
            tile, lane = c >> 2, c & 3
            st = status[c]
            begins[j] = st & uint32(IN_LRS)
            w[0, j] = r[c]
            w[1, j] = switch[tile, THRESHOLD, lane]
            v = u[j]
            w[2, j] = v
            w[3, j] = switch[tile, R_HRS, lane]
            w[4, j] = switch[tile, STEEPNESS, lane]
            any_partial |= v < u_max
            if begins[j] != 0:
                cycle = st >> uint32(2)
                if cycle != last:
                    last = cycle
                    ends = cycle % order == uint32(0)
                if ends:
                    spent[n_spent] = c
                    spent_cycles[n_spent] = cycle
                    n_spent += 1
                status[c] = ((cycle + uint32(1)) << uint32(2)) | uint32(IN_LRS)
                drawn[n_drawn] = c
                n_drawn += 1
    if n_spent:
        next_blocks(
            history, spent, spent_cycles, n_spent, x, z, word,
            lags, innovation, quantise, first, key,
        )  # fmt: skip
    if n_drawn:
        gather_features(history, devices, status, drawn, n_drawn, 0, quantise, buffer)
        hrs_pair(buffer, marginals, constants, padded(n_drawn))
        k = 0
        if n_drawn == GROUP:
            near = switch[cells[0] >> 2 : (cells[0] >> 2) + TILES]
            for q in range(TILES):
                for lane in range(LANES):
                    near[q, U_SET, lane] = buffer[1, LANES * q + lane]
                    near[q, R_HRS, lane] = buffer[0, LANES * q + lane]
                    w[3, LANES * q + lane] = buffer[0, LANES * q + lane]
        for j in range(count if n_drawn < GROUP else 0):
            if begins[j] != 0:
                c = drawn[k]
                switch[c >> 2, U_SET, c & 3] = buffer[1, k]
                switch[c >> 2, R_HRS, c & 3] = buffer[0, k]
                w[3, j] = buffer[0, k]
                k += 1
    if any_partial:
        transition(w, begins, llrs, hhrs, constants, padded(count))
    else:
        for j in range(count):
            w[0, j] = w[3, j]
    if count == GROUP:
        store_group(r, status, switch, cells[0], w, u_max)
        return
    for j in range(count):
        c = cells[j]
        tile, lane = c >> 2, c & 3
        r[c] = w[0, j]
        switch[tile, THRESHOLD, lane] = w[2, j]
        switch[tile, STEEPNESS, lane] = w[4, j]
        full = uint32(IN_HRS) if w[2, j] >= u_max else uint32(0)
        status[c] = (status[c] & uint32(0xFFFFFFFC)) | full


@njit(nogil=True, cache=True, error_model="numpy")
def apply_voltage(  # type: ignore[no-untyped-def]
    group_low, group_high, n_cells, voltages, each, mask, masked,
    r, status, switch, history, devices,
    lags, innovation, marginals, llrs, hhrs, constants, quantise, first, key,
):  # fmt: skip
    """Equals ``rules.apply_voltage`` for the cells of some groups."""
    u = np.empty(GROUP, np.float32)
    pulses = np.zeros(GROUP, np.float32)
    to_set, to_reset = np.empty(GROUP, np.int64), np.empty(GROUP, np.int64)
    begins, spent_cycles = np.zeros(GROUP, np.uint32), np.empty(GROUP, np.uint32)
    spent, drawn = np.zeros(GROUP, np.int64), np.zeros(GROUP, np.int64)
    buffer, w = np.ones((6, GROUP), np.float32), np.zeros((5, GROUP), np.float32)
    x = np.zeros((history.shape[1], 4, GROUP), np.float32)
    z, word = np.zeros((8, GROUP), np.float32), np.zeros((4, GROUP), np.uint32)
    code = np.empty(GROUP, np.uint32)
    n_set, n_reset = 0, 0
    for group in range(group_low, group_high):
        start = group * GROUP
        size = min(GROUP, n_cells - start)
        if not masked:
            n_set, n_reset = 0, 0
        if masked:
            # Selected cells of several groups are collected, until a list could overflow.
            for eight in range(start >> 3, (start + size + 7) >> 3):
                if mask[eight] == uint64(0):
                    continue
                for byte in range(8):
                    c = 8 * eight + byte
                    if (mask[eight] >> uint64(8 * byte)) & uint64(1):
                        v, st = voltages[c * each], status[c]
                        no_lrs = (st & uint32(IN_LRS)) == uint32(0)
                        no_hrs = (st & uint32(IN_HRS)) == uint32(0)
                        if no_lrs and v <= switch[c >> 2, U_SET, c & 3]:
                            to_set[n_set] = c
                            n_set += 1
                        elif no_hrs and v > switch[c >> 2, THRESHOLD, c & 3]:
                            to_reset[n_reset] = c
                            pulses[n_reset] = v
                            n_reset += 1
                        if n_set == GROUP - 1:
                            set_cells(
                                r, status, switch, history, devices, to_set, n_set,
                                buffer, marginals, constants, quantise,
                            )  # fmt: skip
                            n_set = 0
                        if n_reset == GROUP - 1:
                            reset_cells(
                                r, status, switch, history, devices, to_reset, n_reset, pulses,
                                begins, spent, spent_cycles, drawn, buffer, w, x, z, word,
                                lags, innovation, marginals, llrs, hhrs, constants,
                                quantise, first, key,
                            )  # fmt: skip
                            n_reset = 0
            if group < group_high - 1:
                continue
        else:
            if each:
                for j in range(size):
                    u[j] = voltages[start + j]
            else:
                u[:] = voltages[0]
            tile = start >> 2
            near, marks = switch[tile : tile + TILES], status[start : start + GROUP]
            for q in range(TILES):
                for lane in range(LANES):
                    w[0, LANES * q + lane] = near[q, U_SET, lane]
                    w[1, LANES * q + lane] = near[q, THRESHOLD, lane]
            u_set, threshold = w[0], w[1]
            for j in range(GROUP):
                no_lrs = (marks[j] & uint32(IN_LRS)) == uint32(0)
                no_hrs = (marks[j] & uint32(IN_HRS)) == uint32(0)
                sets = no_lrs & (u[j] <= u_set[j])
                resets = no_hrs & (u[j] > threshold[j])
                code[j] = uint32(1) if sets else (uint32(2) if resets else uint32(0))
            total_set, total_reset = uint32(0), uint32(0)
            for j in range(size):
                total_set += code[j] & uint32(1)
                total_reset += code[j] >> uint32(1)
            if total_set == uint32(GROUP) or total_reset == uint32(GROUP):
                whole = to_set if total_set else to_reset
                for j in range(GROUP):
                    whole[j] = start + j
                pulses[:] = u
                n_set, n_reset = int64(total_set), int64(total_reset)
            elif total_set or total_reset:
                for j in range(size):
                    to_set[n_set] = start + j
                    n_set += code[j] & uint32(1)
                    to_reset[n_reset] = start + j
                    pulses[n_reset] = u[j]
                    n_reset += code[j] >> uint32(1)
        if n_set:
            set_cells(
                r, status, switch, history, devices, to_set, n_set,
                buffer, marginals, constants, quantise,
            )  # fmt: skip
        if n_reset:
            reset_cells(
                r, status, switch, history, devices, to_reset, n_reset, pulses,
                begins, spent, spent_cycles, drawn, buffer, w, x, z, word,
                lags, innovation, marginals, llrs, hhrs, constants, quantise, first, key,
            )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def fabricate(  # type: ignore[no-untyped-def]
    group_low, group_high, r, status, switch, history, devices,
    bounds, means, factors, stationary, marginals, constants, quantise, first, key,
):  # fmt: skip
    """Equals ``rules.fabricate`` and ``rules.fresh_state``; whole groups, the arrays are padded."""
    order = history.shape[1]
    size = 4 * order
    eps = np.empty((size, GROUP), np.float32)
    x, total = np.zeros(GROUP, np.float32), np.empty(GROUP, np.float32)
    picks, chosen = np.empty(GROUP, np.uint32), np.empty(GROUP, np.uint32)
    z, word = np.empty((8, GROUP), np.float32), np.empty((4, GROUP), np.uint32)
    cells, zero = np.empty(GROUP, np.int64), np.zeros(GROUP, np.uint32)
    buffer = np.empty((6, GROUP), np.float32)
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    for group in range(group_low, group_high):
        for j in range(GROUP):
            cells[j] = group * GROUP + j
        draw_normals(z, 0, word, cells, zero, 1, 0, first, key, GROUP)
        draw_normals(z, 4, word, cells, zero, 2, 0, first, key, GROUP)
        for j in range(GROUP):
            number = first + uint64(cells[j])
            low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
            picks[j], _, _, _ = philox(low, high, uint32(0), uint32(0), k0, k1)
        # Walking down the bounds leaves the smallest component whose bound exceeds the word.
        for j in range(GROUP):
            chosen[j] = uint32(bounds.shape[0] - 1)
        for k in range(bounds.shape[0] - 2, -1, -1):
            for j in range(GROUP):
                chosen[j] = uint32(k) if uint64(picks[j]) < bounds[k] else chosen[j]
        near = devices[:, group * TILES : (group + 1) * TILES]
        for i in range(8):
            for k in range(bounds.shape[0]):
                total[:] = means[k, i]
                for m in range(i + 1):
                    row, weight = z[m], factors[k, i, m]
                    for j in range(GROUP):
                        total[j] = fma(weight, row[j], total[j])
                for j in range(GROUP):
                    x[j] = total[j] if chosen[j] == uint32(k) else x[j]
            for q in range(TILES):
                for lane in range(LANES):
                    near[(i & 2) >> 1, q, 2 * (i & 1) + (i >> 2), lane] = x[LANES * q + lane]
        for i in range(order):
            draw_normals(eps, 4 * i, word, cells, zero, i, 1, first, key, GROUP)
        for i in range(size):
            x[:] = f4(0.0)
            for m in range(0, i + 1, 4):  # the factor is zero above its diagonal
                a0, a1 = stationary[i, m], stationary[i, m + 1]
                a2, a3 = stationary[i, m + 2], stationary[i, m + 3]
                for j in range(GROUP):
                    later = fma(a1, eps[m + 1, j], fma(a0, eps[m, j], x[j]))
                    x[j] = fma(a3, eps[m + 3, j], fma(a2, eps[m + 2, j], later))
            if quantise:
                for j in range(GROUP):
                    level = min(max(x[j] * f4(QUANTUM), f4(-32767.0)), f4(32767.0))
                    x[j] = np.rint(level)
            slot, feature = order - 1 - (i >> 2), i & 3
            for q in range(TILES):
                for lane in range(LANES):
                    history[group, slot, q, feature, lane] = x[LANES * q + lane]
        for j in range(GROUP):
            status[cells[j]] = uint32(IN_HRS)
        gather_features(history, devices, status, cells, GROUP, 0, quantise, buffer)
        hrs_pair(buffer, marginals, constants, GROUP)
        for j in range(GROUP):
            c = cells[j]
            r[c] = buffer[0, j]
            switch[c >> 2, THRESHOLD, c & 3] = f4(0.0)
            switch[c >> 2, U_SET, c & 3] = buffer[1, j]
            switch[c >> 2, R_HRS, c & 3] = buffer[0, j]
            switch[c >> 2, STEEPNESS, c & 3] = f4(0.0)
