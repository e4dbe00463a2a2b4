"""Kernel of ideal programming, which sets cells directly to target states."""

from numba import uint32

from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.intrinsics import fma, wide_vectors
from synfab.engines.numba.layout import (
    ETA,
    G_LLRS,
    GROUP,
    IN_HRS,
    IN_LRS,
    INVERSE_SPAN,
    LANE_BITS,
    LAST_LANE,
    STEEPNESS,
    THRESHOLD,
    TOP,
    U_MAX,
)
from synfab.engines.numba.scalar import exp, f4, log
from synfab.engines.numba.transition import span
from synfab.physics.drawing import NEVER

BISECTIONS = 30


@cached_njit(nogil=True, error_model="numpy")
def program(  # type: ignore[no-untyped-def]
    low, high, state, cells, targets, features, r, status, switch, llrs, hhrs, constants
):
    """Apply ``rules.program`` to entries ``low`` … ``high`` of the list ``cells``."""
    wide_vectors()
    u_max, eta, top = constants[U_MAX], constants[ETA], constants[TOP]
    g_l, inverse = constants[G_LLRS], constants[INVERSE_SPAN]
    wanted, r_lrs, r_hrs, floor = state[0], state[1], state[2], state[3]
    steepness, below, above, rest = state[4], state[5], state[6], state[7]
    for begin in range(low, high, GROUP):
        width = min(GROUP, high - begin)
        for j in range(width):
            c = cells[begin + j]
            wanted[j] = targets[begin + j]
            hrs = (g_l - f4(1.0) / features[0, c]) * inverse
            r_hrs[j] = top if hrs > top else hrs
            r_lrs[j] = (g_l - f4(1.0) / features[2, c]) * inverse
            rest[j] = features[3, c]
        for j in range(width):
            _, _, floor[j] = span(llrs, hhrs, constants, r_hrs[j], u_max)
            _, _, start = span(llrs, hhrs, constants, r_lrs[j], rest[j])
            rise = u_max - rest[j]
            rise = rise if rise > f4(0.0) else f4(1.0)
            steepness[j] = (start - floor[j]) / exp(eta * log(rise))
            below[j], above[j] = min(rest[j], u_max), u_max
        for _ in range(BISECTIONS):
            for j in range(width):
                middle = (below[j] + above[j]) * f4(0.5)
                lowest, difference, _ = span(llrs, hhrs, constants, f4(0.0), middle)
                left = u_max - middle
                falling = exp(eta * log(left)) if left > f4(0.0) else f4(0.0)
                solved = lowest - fma(steepness[j], falling, floor[j])
                carries = difference != f4(0.0)
                solved = solved / (difference if carries else f4(1.0))
                solved = top if solved > top else solved
                moves = carries & (solved > r_lrs[j])
                short = (solved if moves else r_lrs[j]) < wanted[j]
                below[j] = middle if short else below[j]
                above[j] = above[j] if short else middle
        for j in range(width):
            c = cells[begin + j]
            if features[1, c] <= f4(-NEVER) or features[3, c] >= f4(NEVER):
                continue  # failed cells keep their state
            tile, lane = c >> LANE_BITS, c & LAST_LANE
            in_lrs = wanted[j] <= r_lrs[j]
            in_hrs = (not in_lrs) and wanted[j] >= r_hrs[j]
            flags = uint32(IN_LRS) if in_lrs else uint32(IN_HRS) if in_hrs else uint32(0)
            r[c] = wanted[j]
            switch[tile, THRESHOLD, lane] = rest[j] if in_lrs or in_hrs else above[j]
            switch[tile, STEEPNESS, lane] = steepness[j]
            status[c] = (status[c] & uint32(0xFFFFFFFC)) | flags
