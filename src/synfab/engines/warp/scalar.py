"""Functions of one number or one random word for the kernels; float32 throughout."""

import math

import warp as wp

from synfab.random import streams

MULTIPLIER_0 = wp.constant(wp.uint64(streams.MULTIPLIERS[0]))
MULTIPLIER_1 = wp.constant(wp.uint64(streams.MULTIPLIERS[1]))
STEP_0 = wp.constant(wp.uint32(streams.KEY_STEPS[0]))
STEP_1 = wp.constant(wp.uint32(streams.KEY_STEPS[1]))
LOW_WORD = wp.constant(wp.uint64(streams.WORD))
ROUNDS = wp.constant(streams.ROUNDS)
LN_10 = wp.constant(wp.float32(math.log(10.0)))
ANGLE = wp.constant(wp.float32(math.pi * 2.0**-31))
UNIT = wp.constant(wp.float32(2.0**-31))


@wp.func
def philox(  # type: ignore[no-untyped-def]
    number: wp.uint64, index: wp.uint32, stream: wp.uint32, k0: wp.uint32, k1: wp.uint32
):
    """Return ``streams.words`` of one cell number."""
    a = wp.uint32(number & LOW_WORD)
    b = wp.uint32(number >> wp.uint64(32))
    c = index
    d = stream
    for _ in range(ROUNDS):
        p0 = wp.uint64(a) * MULTIPLIER_0
        p1 = wp.uint64(c) * MULTIPLIER_1
        a = wp.uint32(p1 >> wp.uint64(32)) ^ b ^ k0
        c = wp.uint32(p0 >> wp.uint64(32)) ^ d ^ k1
        b = wp.uint32(p1 & LOW_WORD)
        d = wp.uint32(p0 & LOW_WORD)
        k0 = k0 + STEP_0
        k1 = k1 + STEP_1
    return a, b, c, d


@wp.func
def uniform(word: wp.uint32):  # type: ignore[no-untyped-def]
    """Return ``streams.uniform`` of a word."""
    return (wp.float32(word >> wp.uint32(1)) + 0.5) * UNIT


@wp.func
def normal_pair(w_radius: wp.uint32, w_angle: wp.uint32):  # type: ignore[no-untyped-def]
    """Return two standard normal numbers from two words, as ``streams.normals`` does."""
    radius = wp.sqrt(-2.0 * wp.log(uniform(w_radius)))
    turn = wp.int32(w_angle)
    # The top bits select the quadrant; the rest is an angle between -pi/4 and pi/4.
    angle = wp.float32((turn << 2) >> 2) * ANGLE
    quarter = ((turn >> 29) + 1) >> 1
    # Polynomials (Cephes): the general functions would also reduce large arguments.
    z = angle * angle
    sine = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * (angle * z) + angle
    cosine = (2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2
    cosine = cosine * (z * z) + (1.0 - 0.5 * z)
    swap = (quarter & 1) != 0
    x = wp.where(swap, sine, cosine)
    y = wp.where(swap, cosine, sine)
    x = wp.where(((quarter + 1) & 2) != 0, -x, x)
    y = wp.where((quarter & 2) != 0, -y, y)
    return radius * x, radius * y


@wp.func
def normals(  # type: ignore[no-untyped-def]
    number: wp.uint64, index: wp.uint32, stream: wp.uint32, k0: wp.uint32, k1: wp.uint32
):
    """Return four standard normal numbers of one cell number (``drawing.draw_normals``)."""
    w0, w1, w2, w3 = philox(number, index, stream, k0, k1)
    z0, z1 = normal_pair(w0, w1)
    z2, z3 = normal_pair(w2, w3)
    return wp.vec4(z0, z1, z2, z3)


@wp.func
def polynomial(coefficients: wp.array[wp.float32], x: wp.float32):  # type: ignore[no-untyped-def]
    """Return ``drawing.polynomial``: highest power first."""
    value = coefficients[0]
    for k in range(1, coefficients.shape[0]):
        value = value * x + coefficients[k]
    return value
