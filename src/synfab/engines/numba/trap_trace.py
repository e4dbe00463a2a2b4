"""Numba kernels of records over time: the traps and reads of one cell after the other."""

from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint32, uint64

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.intrinsics import at, fma, pointer, pointers, wide_vectors
from synfab.engines.numba.scalar import exp, f4, noise_variance, normal_pair, philox, uniform
from synfab.engines.numba.transition import span
from synfab.engines.numba.trap_kernels import (
    ALWAYS,
    MOVES,
    NEVER,
    TRAPS,
    exchange,
    flips,
    orientation,
    scale_of,
    seen_state,
    share_of,
)
from synfab.physics.traps import CALL, CELL_INDEX, INITIAL_CALLS

# Samples of a cell that are computed together.
SAMPLES = 256


@part_njit()
def one_cell(parts, number, step, fresh, occupied, cell, cycle, r, k0, k1, work):  # type: ignore[no-untyped-def]
    """Write sizes and chances of the traps of a cell to ``work``; return its initial bits."""
    log_time, slope = step
    low, high = uint32(cell & uint64(0xFFFFFFFF)), uint32(cell >> uint64(32))
    share = share_of(parts, r)
    for k in range(parts.spectrum.shape[0]):
        if k & 3 == 0 and fresh:
            last = MOVES + CALL * (INITIAL_CALLS + (k >> 2))
            s0, s1, s2, s3 = philox(low, high, uint32(number), uint32(last), k0, k1)
            work.start[0], work.start[1], work.start[2], work.start[3] = s0, s1, s2, s3
        if fresh:
            first = uint32(1) if uniform(work.start[k & 3]) <= parts.initial[k] else uint32(0)
            occupied = (occupied & ~(uint32(1) << uint32(k))) | (first << uint32(k))
        w0, w1, w2, w3 = philox(low, high, cycle, uint32(TRAPS + CALL * (k >> 1)), k0, k1)
        own, (z0, z1) = w0 if k & 1 == 0 else w1, normal_pair(w2, w3)
        raises, place = orientation(share, own)
        size = parts.spectrum[k] * exp(parts.numbers[1] * (z0 if k & 1 == 0 else z1))
        work.size[k] = -size if raises else size
        moved = exchange(parts.low[k], parts.width[k], place, log_time, slope)
        mode = parts.mode[k]
        work.moved[k] = f4(0.0) if mode == NEVER else (f4(1.0) if mode == ALWAYS else moved)
    return occupied


@part_njit()
def trace_traps(parts, occupied, initial, cell, number, count, k0, k1, work):  # type: ignore[no-untyped-def]
    """Move the traps of a cell ``count`` times; write the shifts to ``work``, return the bits."""
    wide_vectors()
    low, high = uint32(cell & uint64(0xFFFFFFFF)), uint32(cell >> uint64(32))
    for s in range(count):
        work.shift[s] = f4(0.0)
    for k in range(parts.spectrum.shape[0]):
        if k & 3 == 0:
            last = uint32(MOVES + CALL * (k >> 2))
            w0, w1 = work.word, at(work.word, SAMPLES)
            w2, w3 = at(work.word, 2 * SAMPLES), at(work.word, 3 * SAMPLES)
            for s in range(count):
                index = uint32((uint64(number) + uint64(s)) & uint64(0xFFFFFFFF))
                w0[s], w1[s], w2[s], w3[s] = philox(low, high, index, last, k0, k1)
        words, bit = at(work.word, (k & 3) * SAMPLES), uint32(k)
        q, moved, size = parts.equilibrium[k], work.moved[k], work.size[k]
        if parts.mode[k] == NEVER:
            size = size if (occupied >> bit) & uint32(1) else -size
            if ((occupied ^ initial) >> bit) & uint32(1):
                for s in range(count):
                    work.shift[s] += size
            continue
        start, now = (initial >> bit) & uint32(1), (occupied >> bit) & uint32(1)
        for s in range(count):
            now ^= flips(words[s], now, q, moved)
            signed = size if now != uint32(0) else -size
            work.shift[s] += signed if now != start else f4(0.0)
        occupied = (occupied & ~(uint32(1) << bit)) | (now << bit)
    return occupied


@part_njit()
def read_samples(line, stride, count, r, u, curve, noise, cell, number, k0, k1, work):  # type: ignore[no-untyped-def]
    """Write noisy currents of the samples of a cell, as ``readout_kernels.noisy_current``."""
    wide_vectors()
    base, difference = curve
    johnson, shot, slope_llrs, slope_span = noise
    counter, lane = cell >> uint64(2), int64(cell & uint64(3))
    low, high = uint32(counter & uint64(0xFFFFFFFF)), uint32(counter >> uint64(32))
    for s in range(count):
        index = uint32((uint64(number) + uint64(s)) & uint64(0xFFFFFFFF))
        w0, w1, w2, w3 = philox(low, high, index, uint32(3), k0, k1)
        z0, z1 = normal_pair(w0 if lane < 2 else w2, w1 if lane < 2 else w3)
        state = r[s]
        i = fma(state, -difference, base)
        at_zero = fma(state, slope_span, slope_llrs)
        variance = noise_variance(johnson, shot, i, u, at_zero)
        drawn = z0 if lane & 1 == 0 else z1
        line[s * stride] = fma(f4(np.sqrt(variance)), drawn, i)


class TraceWork(NamedTuple):
    """Working arrays of a trace."""

    start: Any  # (4,) words
    size: Any  # (32,)
    moved: Any  # (32,)
    word: Any  # (4, SAMPLES) words
    shift: Any  # (SAMPLES,)
    r: Any  # (SAMPLES,)


@cached_njit(nogil=True, error_model="numpy")
def trace(  # type: ignore[no-untyped-def]
    low, high, cells, r, cycle, given, out, currents, parts, number, step, read, u, curves, noise,
    first, key, work,
):  # fmt: skip
    """Write currents (samples, cells) of listed cells after each step, and their traps to ``out``.

    All arrays but ``currents`` hold the listed cells only; ``cells`` are their indices.
    """
    wide_vectors()
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    llrs, hhrs, constants = curves
    base, difference, _ = span(llrs, hhrs, constants, f4(0.0), u)
    work, samples, stride = pointers(work), currents.shape[0], currents.shape[1]
    flat = pointer(currents)
    for i in range(low, high):
        cell, state = first + uint64(cells[i]), r[i]
        fresh = not (given.known[i] == state and given.cycle[i] == cycle[i])
        occupied = one_cell(
            parts, number, step, fresh, given.occupied[i], cell, cycle[i], state, k0, k1, work
        )
        initial = occupied if fresh else given.initial[i]
        w0, w1, _, _ = philox(
            uint32(cell & uint64(0xFFFFFFFF)), uint32(cell >> uint64(32)), uint32(CELL_INDEX),
            uint32(0), k0, k1,
        )  # fmt: skip
        scale = scale_of(parts, state, normal_pair(w0, w1)[0])
        seen = state
        for begin in range(0, samples, SAMPLES):
            count = min(int64(SAMPLES), samples - begin)
            at_step, at_read = number + uint64(begin), read + uint64(begin)
            occupied = trace_traps(parts, occupied, initial, cell, at_step, count, k0, k1, work)
            for s in range(count):
                work.r[s] = seen_state(state, scale * work.shift[s], parts.numbers[4])
            seen = work.r[count - 1]
            line = at(flat, begin * stride + i)
            read_samples(
                line, stride, count, work.r, u, (base, difference), noise, cell, at_read, k0, k1,
                work,
            )  # fmt: skip
        out.occupied[i], out.initial[i] = occupied, initial
        out.known[i], out.cycle[i], out.seen[i] = state, cycle[i], seen
