"""Numba kernels of layers in neural networks: what surrounds the matrix products of a readout.

They compute what ``synfab.torch.readout`` and ``synfab.torch.reading`` compute with operations of
PyTorch in about twenty passes. Vectors are rows of (B, inputs), or columns of
(units, inputs, places), as patches of images are. ``shape`` is an array (4, units, places) with the
scale of each vector: its range, its magnification, volt per input, and the sum for its noise.
"""

import numpy as np
from numba import int32, uint32, uint64

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.intrinsics import bits, from_bits, wide_vectors
from synfab.engines.numba.layout import GROUP
from synfab.engines.numba.scalar import f4, normal_pair, philox, polynomial

RANGE, MAGNIFIED, VOLTS, BASE = range(4)  # rows of ``shape``
MAGNITUDE, INFINITE = np.int32(0x7FFFFFFF), np.int32(0x7F800000)  # of the bits of a float32
# As in ``readout.magnification``: smaller inputs are magnified, their reciprocals would overflow.
TINY, MAGNIFICATION = f4(2.0**-102), f4(2.0**48)


@part_njit(forceinline=True)
def _scale_of(top, drive):  # type: ignore[no-untyped-def]
    """Return range, magnification and volt per magnified input for the bits of the largest."""
    volts, limit, _, _ = drive
    top = limit if limit > f4(0.0) else from_bits(top)
    small = (top > f4(0.0)) & (top < TINY)
    magnified = MAGNIFICATION if small else f4(1.0)
    whole = top * magnified
    whole = whole if whole > f4(0.0) else f4(1.0)
    return whole, magnified, volts / whole


@part_njit(forceinline=True)
def _voltage(x, magnified, factor, drive):  # type: ignore[no-untyped-def]
    """Return the voltage of an input, clipped and rounded as ``drive`` states."""
    volts, limit, step, levels = drive
    v = (x * magnified) * factor
    if limit > f4(0.0):
        v = min(max(v, -volts), volts)
    if step > f4(0.0):
        level = f4(np.rint((v + volts) / step))
        v = min(max(level, f4(0.0)), levels) * step - volts
    return v


@part_njit(forceinline=True)
def _weights(v, curves, noise):  # type: ignore[no-untyped-def]
    """Return current and noise of one unit of state, and the noise of r = 0 (``reading``)."""
    llrs, difference, low, high = curves
    johnson, shot = noise
    inside = min(max(v, low), high)
    q = polynomial(difference, inside)
    factor = johnson + shot * abs(v)
    return v * q, factor * q, factor * polynomial(llrs, inside)


@part_njit(fastmath={"reassoc", "nsz"})
def _noise_base(given, magnified, factor, drive, curves, noise):  # type: ignore[no-untyped-def]
    """Return the sum of the noise of r = 0 over a row; vectorised, and reproducible for a row."""
    total = f4(0.0)
    for j in range(given.shape[0]):
        total += _weights(_voltage(given[j], magnified, factor, drive), curves, noise)[2]
    return total


@cached_njit(nogil=True, error_model="numpy")
def drive_rows(  # type: ignore[no-untyped-def]
    low, high, x, drive, curves, noise, current, noisy, shape, bad
):
    """Write the factors of the matrix products for rows ``low`` … ``high`` of ``x``, (B, inputs).

    ``current`` and ``noisy`` (None: no noise) have the shape of ``x``. ``bad[0]`` becomes 1 if an
    input is not finite.
    """
    wide_vectors()
    for b in range(low, high):
        given, out = x[b], current[b]
        top = int32(0)
        for j in range(given.shape[0]):
            top = max(top, int32(bits(given[j]) & MAGNITUDE))
        if top >= INFINITE:
            bad[0] = 1
        whole, magnified, factor = _scale_of(top, drive)
        shape[RANGE, b, 0], shape[MAGNIFIED, b, 0], shape[VOLTS, b, 0] = whole, magnified, factor
        if noisy is None:
            for j in range(given.shape[0]):
                out[j] = _weights(_voltage(given[j], magnified, factor, drive), curves, noise)[0]
        else:
            drawn = noisy[b]
            for j in range(given.shape[0]):
                v = _voltage(given[j], magnified, factor, drive)
                out[j], drawn[j], _ = _weights(v, curves, noise)
            shape[BASE, b, 0] = _noise_base(given, magnified, factor, drive, curves, noise)


@cached_njit(nogil=True, error_model="numpy")
def drive_columns(  # type: ignore[no-untyped-def]
    low, high, x, drive, curves, noise, current, noisy, shape, bad, work
):
    """Write what ``drive_rows`` writes, for units ``low`` … ``high`` of (units, inputs, places)."""
    wide_vectors()
    top = work.word[0]
    for unit in range(low, high):
        for begin in range(0, x.shape[2], GROUP):
            end = min(begin + GROUP, x.shape[2])
            width = end - begin
            whole, magnified = shape[RANGE, unit, begin:end], shape[MAGNIFIED, unit, begin:end]
            factor, base = shape[VOLTS, unit, begin:end], shape[BASE, unit, begin:end]
            for j in range(width):
                top[j], base[j] = uint32(0), f4(0.0)
            for k in range(x.shape[1]):
                given = x[unit, k, begin:end]
                for j in range(width):
                    top[j] = max(top[j], uint32(bits(given[j]) & MAGNITUDE))
            for j in range(width):
                bad[0] = max(bad[0], int32(int32(top[j]) >= INFINITE))
                whole[j], magnified[j], factor[j] = _scale_of(int32(top[j]), drive)
            for k in range(x.shape[1]):
                # Loops with few arrays, which are vectorised.
                given, out = x[unit, k, begin:end], current[unit, k, begin:end]
                for j in range(width):
                    out[j] = _voltage(given[j], magnified[j], factor[j], drive)
                if noisy is None:
                    for j in range(width):
                        out[j] = _weights(out[j], curves, noise)[0]
                else:
                    drawn = noisy[unit, k, begin:end]
                    for j in range(width):
                        out[j], drawn[j], of_zero = _weights(out[j], curves, noise)
                        base[j] += of_zero


@part_njit(forceinline=True)
def _output(current, variance, z, whole, magnified, scale):  # type: ignore[no-untyped-def]
    """Return an output for a current, its variance and a normal number."""
    noisy = current + f4(np.sqrt(max(variance, f4(0.0)))) * z
    return noisy * whole * scale / magnified


@cached_njit(nogil=True, error_model="numpy")
def finish_rows(  # type: ignore[no-untyped-def]
    low, high, y, variance, unit, scales, shape, first, number, key, work
):
    """Turn currents ``y``, (B, outputs), into outputs with noise, in place.

    ``variance`` are the products that are subtracted from the sums in ``shape``, in ``unit`` A^2;
    None: no noise. Noise is that of ``row_normals``.
    """
    wide_vectors()
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    wa, wb = work.word[0], work.word[1]
    for b in range(low, high):
        whole, magnified = shape[RANGE, b, 0], shape[MAGNIFIED, b, 0]
        if variance is None:
            line = y[b]
            for j in range(line.shape[0]):
                line[j] = line[j] * whole * scales[j] / magnified
        else:
            twice = f4(2.0) * shape[BASE, b, 0]
            index = uint32((number + uint64(b)) & uint64(0xFFFFFFFF))
            for begin in range(0, y.shape[1], GROUP):
                width = min(GROUP, y.shape[1] - begin)
                for j in range((width + 15) & ~15):
                    row = first + uint64(begin + j)
                    wa[j], wb[j], _, _ = philox(
                        uint32(row & uint64(0xFFFFFFFF)), uint32(row >> uint64(32)),
                        index, uint32(4), k0, k1,
                    )  # fmt: skip
                line, sums = y[b, begin : begin + width], variance[b, begin : begin + width]
                scale = scales[begin : begin + width]
                for j in range(width):
                    square = (twice - sums[j]) * unit
                    z = normal_pair(wa[j], wb[j])[0]
                    line[j] = _output(line[j], square, z, whole, magnified, scale[j])


@cached_njit(nogil=True, error_model="numpy")
def finish_columns(  # type: ignore[no-untyped-def]
    low, high, y, variance, unit, scales, shape, first, number, key, work
):
    """Do what ``finish_rows`` does for ``y`` of (images, outputs, places).

    A unit of ``shape`` is a group of outputs of an image.
    """
    wide_vectors()
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    wa, wb = work.word[0], work.word[1]
    outputs, places = y.shape[1], y.shape[2]
    groups = shape.shape[1] // y.shape[0]
    for image in range(low, high):
        for o in range(outputs):
            unit_of, scale = image * groups + o * groups // outputs, scales[o]
            row = first + uint64(o)
            row_low, row_high = uint32(row & uint64(0xFFFFFFFF)), uint32(row >> uint64(32))
            for begin in range(0, places, GROUP):
                width = min(GROUP, places - begin)
                end = begin + width
                line, base = y[image, o, begin:end], shape[BASE, unit_of, begin:end]
                whole = shape[RANGE, unit_of, begin:end]
                magnified = shape[MAGNIFIED, unit_of, begin:end]
                if variance is None:
                    for j in range(width):
                        line[j] = line[j] * whole[j] * scale / magnified[j]
                else:
                    readout = number + uint64(image * places + begin)
                    for j in range((width + 15) & ~15):
                        index = uint32((readout + uint64(j)) & uint64(0xFFFFFFFF))
                        wa[j], wb[j], _, _ = philox(row_low, row_high, index, uint32(4), k0, k1)
                    sums = variance[image, o, begin:end]
                    for j in range(width):
                        square = (f4(2.0) * base[j] - sums[j]) * unit
                        z = normal_pair(wa[j], wb[j])[0]
                        line[j] = _output(line[j], square, z, whole[j], magnified[j], scale)


@cached_njit(nogil=True, error_model="numpy")
def key_of(words):  # type: ignore[no-untyped-def]
    """Return two sums of uint32 words, modulo 2**32: plain, and times the position from 1 on."""
    wide_vectors()
    plain, placed = uint32(0), uint32(0)
    for j in range(words.shape[0]):
        plain = uint32(plain + words[j])
        placed = uint32(placed + uint32(words[j] * uint32(j + 1)))
    return plain, placed
