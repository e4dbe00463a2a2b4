"""Scalar float32 functions and random words for the kernels.

None of these functions uses fast-math: fused multiply-adds are explicit, and all other operations
follow IEEE 754. Results are bit-identical with or without vectorisation, for any slice and number
of threads.
"""

from typing import Any

import numpy as np
from numba import int32, int64, types, uint32, uint64
from numba.extending import overload

from synfab.engines.numba.compile import part_njit
from synfab.engines.numba.intrinsics import bits, fma, from_bits
from synfab.model.cell_model import PIECES_END
from synfab.physics import drawing

f4 = np.float32

LN2_HIGH, LN2_LOW = f4(0.693359375), f4(-2.12194440e-4)
LOG2_E = f4(1.4426950408889634)
ROUND = f4(12582912.0)  # 1.5 * 2**23: adding and subtracting it rounds to an integer
SQRT_HALF_BITS = np.int32(0x3F3504F3)
QUARTER = f4(np.pi * 2.0**-31)


@part_njit(forceinline=True)
def log(x: Any) -> Any:
    """Return the logarithm of a normal positive float32, to about 1 ulp (minimax, after Cephes)."""
    i = bits(x)
    e = int32(int32(i - SQRT_HALF_BITS) >> int32(23))
    f = from_bits(int32(i - int32(e << int32(23)))) - f4(1.0)
    q = fma(f4(7.0376836292e-2), f, f4(-1.1514610310e-1))
    q = fma(q, f, f4(1.1676998740e-1))
    q = fma(q, f, f4(-1.2420140846e-1))
    q = fma(q, f, f4(1.4249322787e-1))
    q = fma(q, f, f4(-1.6668057665e-1))
    q = fma(q, f, f4(2.0000714765e-1))
    q = fma(q, f, f4(-2.4999993993e-1))
    q = fma(q, f, f4(3.3333331174e-1))
    z = f * f
    tail = fma(q * f, z, fma(f4(e), LN2_LOW, f4(-0.5) * z))
    return fma(f4(e), LN2_HIGH, f + tail)


@part_njit(forceinline=True)
def exp(x: Any) -> Any:
    """Return e**x of a float32 clipped to -87 … 88, to about 1 ulp (minimax, after Cephes)."""
    x = f4(-87.0) if x < f4(-87.0) else x
    x = f4(88.0) if x > f4(88.0) else x
    k = (x * LOG2_E + ROUND) - ROUND
    f = fma(k, -LN2_LOW, fma(k, -LN2_HIGH, x))
    q = fma(f4(1.9875691500e-4), f, f4(1.3981999507e-3))
    q = fma(q, f, f4(8.3334519073e-3))
    q = fma(q, f, f4(4.1665795894e-2))
    q = fma(q, f, f4(1.6666665459e-1))
    q = fma(q, f, f4(5.0000001201e-1))
    value = fma(q, f * f, f) + f4(1.0)
    return value * from_bits(int32((int32(k) + int32(127)) << int32(23)))


@part_njit(forceinline=True)
def polynomial(coefficients: Any, x: Any) -> Any:
    """Return ``drawing.polynomial``, with fused steps; a tuple unrolls the loop."""
    value = coefficients[0]
    for k in range(1, len(coefficients)):
        value = fma(value, x, coefficients[k])
    return value


def marginal(coefficients: Any, x: Any) -> Any:
    """Return ``drawing.marginal``; kernels use the compiled version below."""
    return drawing.marginal(coefficients, x)


@overload(marginal)
def _marginal(coefficients: Any, x: Any) -> Any:
    if isinstance(coefficients, types.BaseTuple):

        def whole(coefficients: Any, x: Any) -> Any:
            return polynomial(coefficients, x)

        return whole

    def pieces(coefficients: Any, x: Any) -> Any:
        count = coefficients.shape[0]
        per_unit = f4(count) * f4(0.5 / PIECES_END)
        inside = min(max(x, f4(-PIECES_END)), f4(PIECES_END))
        position = (inside + f4(PIECES_END)) * per_unit
        piece = min(int64(position), int64(count - 1))
        t = position - f4(piece)
        value, slope = f4(0.0), f4(0.0)
        for k in range(coefficients.shape[1]):
            slope = fma(slope, t, value)
            value = fma(value, t, coefficients[piece, k])
        return fma(slope * per_unit, x - inside, value)

    return pieces


@part_njit(forceinline=True)
def noise_variance(johnson: Any, shot: Any, i: Any, u: Any, slope: Any) -> Any:
    """Return ``ReadNoise.variance`` at ``static_conductance`` for linear noise (``noise``)."""
    ratio = abs(i) / (abs(u) if u != f4(0.0) else f4(1.0))
    conductance = ratio if u != f4(0.0) else slope
    return fma(johnson, conductance, shot * abs(i))


@part_njit(forceinline=True)
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Return ``streams.philox`` of one counter of uint32 words.

    The words are held in uint64 whose upper halves are arbitrary; only lower halves are multiplied.
    """
    low = uint64(0xFFFFFFFF)
    a, b, c, d = uint64(c0), uint64(c1), uint64(c2), uint64(c3)
    key0, key1 = uint64(k0), uint64(k1)
    for _ in range(10):
        p0 = (a & low) * uint64(0xD2511F53)
        p1 = (c & low) * uint64(0xCD9E8D57)
        a = (p1 >> uint64(32)) ^ b ^ key0
        c = (p0 >> uint64(32)) ^ d ^ key1
        b, d = p1, p0
        key0 += uint64(0x9E3779B9)
        key1 += uint64(0xBB67AE85)
    return uint32(a & low), uint32(b & low), uint32(c & low), uint32(d & low)


@part_njit(forceinline=True)
def uniform(word: Any) -> Any:
    """Return a uniform number in (0, 1] from a word, as ``streams.uniform`` does."""
    return (f4(int32(word >> uint32(1))) + f4(0.5)) * f4(4.656612873077393e-10)


@part_njit(forceinline=True)
def normal_pair(w_radius: Any, w_angle: Any) -> Any:
    """Return two standard normal numbers from two words, as ``streams.normals`` does."""
    radius = f4(np.sqrt(f4(-2.0) * log(uniform(w_radius))))
    turn = int32(w_angle)
    # The top two bits select the quadrant; the rest is an angle between -pi/4 and pi/4.
    angle = f4(int32(int32(turn << int32(2)) >> int32(2))) * QUARTER
    quarter = int32(int32(int32(turn >> int32(29)) + int32(1)) >> int32(1))
    z = angle * angle
    sine = fma(f4(-1.9515295891e-4), z, f4(8.3321608736e-3))
    sine = fma(fma(sine, z, f4(-1.6666654611e-1)), angle * z, angle)
    cosine = fma(f4(2.443315711809948e-5), z, f4(-1.388731625493765e-3))
    cosine = fma(fma(cosine, z, f4(4.166664568298827e-2)), z * z, fma(f4(-0.5), z, f4(1.0)))
    swap = int32(quarter & int32(1)) != int32(0)
    x = sine if swap else cosine
    y = cosine if swap else sine
    x = -x if int32(int32(quarter + int32(1)) & int32(2)) != int32(0) else x
    y = -y if int32(quarter & int32(2)) != int32(0) else y
    return radius * x, radius * y
