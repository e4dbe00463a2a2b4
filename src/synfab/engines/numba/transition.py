"""Kernels of the I-V curves and the RESET transition between them."""

from numba import uint32

from synfab.engines.numba.compile import part_njit
from synfab.engines.numba.intrinsics import at, fma, wide_vectors
from synfab.engines.numba.layout import ETA, GROUP, HIGH, LOW, TOP, U_MAX
from synfab.engines.numba.scalar import exp, f4, log, polynomial

# Rows of the work array of a RESET.
STATE, REST, PULSE, FLOOR, SLOPE = range(5)


@part_njit(forceinline=True)
def span(llrs, hhrs, constants, r, u):  # type: ignore[no-untyped-def]
    """Return P_L(u), P_L(u) - P_H(u) and I(r, u); ohmic outside the trained voltage range."""
    bounded = constants[LOW] if u < constants[LOW] else u
    inside = constants[HIGH] if bounded > constants[HIGH] else bounded
    ratio = u / (inside if inside != u else f4(1.0))
    stretch = ratio if inside != u else f4(1.0)
    low, high = polynomial(llrs, inside) * stretch, polynomial(hhrs, inside) * stretch
    return low, low - high, fma(r, high - low, low)


@part_njit()
def transition(curve, begins, llrs, hhrs, constants, width):  # type: ignore[no-untyped-def]
    """Update state and steepness in place, as ``rules.transition_state`` does.

    A RESET at U_max or above is complete.
    """
    wide_vectors()
    r, threshold, u = at(curve, STATE * GROUP), at(curve, REST * GROUP), at(curve, PULSE * GROUP)
    r_hrs, steepness = at(curve, FLOOR * GROUP), at(curve, SLOPE * GROUP)
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
        applied = voltage if partial else f4(0.0)
        low, difference, _ = span(llrs, hhrs, constants, r_old, applied)
        carries = difference != f4(0.0)
        solved = low - fma(a, exp(eta * log(u_max - applied)), floor)
        solved = solved / (difference if carries else f4(1.0))
        solved = solved if carries else r_old
        solved = top if solved > top else solved
        solved = solved if solved > r_old else r_old
        r[j] = solved if partial else r_hrs[j]
        steepness[j] = a
