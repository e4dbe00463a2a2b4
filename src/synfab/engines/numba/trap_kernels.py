"""Numba kernels that move the traps of cells (``physics.traps``)."""

from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint32, uint64

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.intrinsics import at, pointer, pointers, wide_vectors
from synfab.engines.numba.layout import GROUP
from synfab.engines.numba.scalar import exp, f4, normal_pair, philox, uniform
from synfab.physics.traps import CALL, CELL_INDEX, INITIAL_CALLS, LIMIT
from synfab.random.streams import Stream

# How a trap moves in a step of a given length: never, always to its equilibrium, or with a
# probability that depends on its time constant; seldom enough, it needs no exponential function.
NEVER, ALWAYS, PARTLY, SELDOM = range(4)
# Largest t / tau for which 1 - exp(-t / tau) is a Taylor series.
SMALL_X = 0.35
TRAPS, MOVES = int(Stream.TRAPS), int(Stream.TRAP_MOVES)


class Parts(NamedTuple):
    """``Traps`` of a model in a step, rounded to float32 (``traps.round_traps``)."""

    low: Any  # (K,) ln(tau / attempt_time) at the lower edges
    width: Any  # (K,)
    spectrum: Any  # (K,)
    initial: Any  # (K,)
    equilibrium: Any  # (K,)
    mode: Any  # (K,) int64: NEVER, PARTLY, ALWAYS
    nodes: Any  # (n,) of the amplitude as a function of r
    slopes: Any  # (n,): of the amplitude between the nodes, then 0
    raising: Any  # (n,): the same of the share of traps that raise the conductance
    # Amplitude at the first node, s, s_c, s**2 + s_c**2, highest r, share at the first node, and
    # whether the share is above 0 anywhere.
    numbers: Any


class Held(NamedTuple):
    """Arrays of ``TrapState``."""

    occupied: Any
    initial: Any
    known: Any
    cycle: Any
    seen: Any


class Scratch(NamedTuple):
    """Working arrays of a thread, (GROUP,) per row."""

    fresh: Any  # uint32
    occupied: Any  # uint32
    initial: Any  # uint32
    cycle: Any  # uint32
    shift: Any  # float32
    r: Any  # float32
    share: Any  # float32, of traps that raise the conductance
    place: Any  # float32, of a trap in its interval
    z: Any  # (2, GROUP)
    move: Any  # (4, GROUP) words
    start: Any  # (4, GROUP) words
    own: Any  # (4, GROUP) words


@part_njit()
def draw_words(out, numbers, index, last, k0, k1, width):  # type: ignore[no-untyped-def]
    """Write four rows of random words of cells ``numbers`` … to ``out``; ``index`` per cell."""
    wide_vectors()
    w0, w1, w2, w3 = out, at(out, GROUP), at(out, 2 * GROUP), at(out, 3 * GROUP)
    for j in range(width):
        number = numbers + uint64(j)
        low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
        w0[j], w1[j], w2[j], w3[j] = philox(low, high, index[j], uint32(last), k0, k1)


@part_njit(forceinline=True)
def orientation(share, word):  # type: ignore[no-untyped-def]
    """Return ``traps.orientation``: whether a trap raises the conductance, and its place."""
    u = uniform(word)
    raises = u <= share
    below, width = f4(0.0) if raises else share, share if raises else f4(1.0) - share
    return raises, (u - below) / width


@part_njit(forceinline=True)
def exchange(low, span_of, place, log_time, slope):  # type: ignore[no-untyped-def]
    """Return ``traps.exchange``: 1 - exp(-t / tau(T)) of a trap at a place of 0 … 1 in ln tau."""
    above = low + span_of * place
    exponent = log_time - slope * above
    exponent = f4(LIMIT) if exponent > f4(LIMIT) else exponent
    exponent = f4(-LIMIT) if exponent < f4(-LIMIT) else exponent
    x = exp(exponent)
    small = series(x)
    return small if x < f4(SMALL_X) else f4(1.0) - exp(-x)


@part_njit(forceinline=True)
def seldom(low, span_of, place, log_time, slope):  # type: ignore[no-untyped-def]
    """Return ``exchange`` of a trap that is slow compared with the step."""
    exponent = log_time - slope * (low + span_of * place)
    return series(exp(f4(-LIMIT) if exponent < f4(-LIMIT) else exponent))


@part_njit(forceinline=True)
def series(x):  # type: ignore[no-untyped-def]
    """Return 1 - exp(-x) of small x, where the difference itself would lose digits."""
    small = f4(1.0) - x * f4(1.0 / 7.0)
    small = f4(1.0) - x * f4(1.0 / 6.0) * small
    small = f4(1.0) - x * f4(0.2) * small
    small = f4(1.0) - x * f4(0.25) * small
    small = f4(1.0) - x * f4(1.0 / 3.0) * small
    return x * (f4(1.0) - x * f4(0.5) * small)


@part_njit(forceinline=True)
def flips(word, occupied, q, exchanged):  # type: ignore[no-untyped-def]
    """Return whether a trap changes: 1 or 0."""
    chance = ((f4(1.0) - q) if occupied != uint32(0) else q) * exchanged
    return uint32(1) if uniform(word) <= chance else uint32(0)


@part_njit(forceinline=True)
def seen_state(r, shift, top):  # type: ignore[no-untyped-def]
    """Return ``traps.seen_state``."""
    low, high = min(r, f4(0.0)), max(r, top)
    seen = min(max(r + shift, low), high)
    return r if shift == f4(0.0) else seen


@part_njit(forceinline=True)
def interpolated(r, nodes, first, slopes):  # type: ignore[no-untyped-def]
    """Return a function of r that is linear between the nodes and constant outside."""
    found = first
    for i in range(len(nodes) - 1):
        inside = min(r, nodes[i + 1]) - nodes[i]
        found += slopes[i] * max(inside, f4(0.0))
    return found


@part_njit(forceinline=True)
def share_of(parts, r):  # type: ignore[no-untyped-def]
    """Return the share of traps that raise the conductance of a cell programmed to r."""
    return interpolated(r, parts.nodes, parts.numbers[5], parts.raising)


@part_njit(forceinline=True)
def scale_of(parts, r, z):  # type: ignore[no-untyped-def]
    """Return the amplitude of a cell in r: A(G) exp(s_c z_c - s**2 - s_c**2)."""
    numbers = parts.numbers
    found = interpolated(r, parts.nodes, numbers[0], parts.slopes)
    return found * exp(numbers[2] * z - numbers[3])


@part_njit()
def load_group(parts, given, r, cycle, scratch, start, count):  # type: ignore[no-untyped-def]
    """Copy the cells of a group to ``scratch``; ``fresh`` marks those that have switched."""
    for j in range(GROUP):
        scratch.fresh[j] = uint32(0)
        scratch.cycle[j] = uint32(0)
        scratch.occupied[j] = uint32(0)
        scratch.initial[j] = uint32(0)
        scratch.r[j] = f4(0.0)
        scratch.shift[j] = f4(0.0)
    any_fresh = uint32(0)
    for j in range(count):
        c = start + j
        same = given.known[c] == r[c] and given.cycle[c] == cycle[c]
        fresh = uint32(0) if same else uint32(1)
        any_fresh |= fresh
        scratch.fresh[j] = fresh
        scratch.r[j], scratch.cycle[j] = r[c], cycle[c]
        scratch.occupied[j] = given.occupied[c]
        scratch.initial[j] = given.initial[c]
    for j in range(GROUP):
        scratch.share[j] = share_of(parts, scratch.r[j])
    return any_fresh


@part_njit()
def move_one(parts, k, scratch, words, own, log_time, slope, width):  # type: ignore[no-untyped-def]
    """Move trap ``k`` of a group, and return whether any differs from its initial occupancy."""
    wide_vectors()
    mode, q = parts.mode[k], parts.equilibrium[k]
    low, span_of = parts.low[k], parts.width[k]
    occupied, initial, place = scratch.occupied, scratch.initial, scratch.place
    bit = uint32(k)
    differs = uint32(0)
    if mode >= PARTLY:
        if parts.numbers[6] != f4(0.0):
            for j in range(width):
                _, place[j] = orientation(scratch.share[j], own[j])
        else:
            for j in range(width):
                place[j] = uniform(own[j])
    if mode == PARTLY:
        for j in range(width):
            before = (occupied[j] >> bit) & uint32(1)
            moved = exchange(low, span_of, place[j], log_time, slope)
            occupied[j] ^= flips(words[j], before, q, moved) << bit
    elif mode == SELDOM:
        for j in range(width):
            before = (occupied[j] >> bit) & uint32(1)
            moved = seldom(low, span_of, place[j], log_time, slope)
            occupied[j] ^= flips(words[j], before, q, moved) << bit
    elif mode == ALWAYS:
        for j in range(width):
            before = (occupied[j] >> bit) & uint32(1)
            occupied[j] ^= flips(words[j], before, q, f4(1.0)) << bit
    for j in range(width):
        differs |= (occupied[j] ^ initial[j]) >> bit
    return differs & uint32(1)


@part_njit()
def draw_initial(parts, k, scratch, words, width):  # type: ignore[no-untyped-def]
    """Draw the initial occupancy of trap ``k`` of the cells that have switched."""
    wide_vectors()
    chance, bit = parts.initial[k], uint32(k)
    for j in range(width):
        first = uint32(1) if uniform(words[j]) <= chance else uint32(0)
        fresh = scratch.fresh[j] << bit
        scratch.occupied[j] = (scratch.occupied[j] & ~fresh) | (fresh & (first << bit))
        scratch.initial[j] = (scratch.initial[j] & ~fresh) | (fresh & (first << bit))


@part_njit()
def add_shift(parts, k, scratch, z, own, width):  # type: ignore[no-untyped-def]
    """Add the amplitude of trap ``k`` where its occupancy differs from the initial one."""
    wide_vectors()
    size, spread, bit = parts.spectrum[k], parts.numbers[1], uint32(k)
    for j in range(width):
        raises, _ = orientation(scratch.share[j], own[j])
        found = size * exp(spread * z[j])
        found = -found if raises else found
        after = (scratch.occupied[j] >> bit) & uint32(1)
        start = (scratch.initial[j] >> bit) & uint32(1)
        signed = found if after != uint32(0) else -found
        scratch.shift[j] += signed if after != start else f4(0.0)


@part_njit()
def move_pair(parts, pair, scratch, numbers, step, k0, k1, width):  # type: ignore[no-untyped-def]
    """Move traps 2 ``pair`` and the next one of a group."""
    log_time, slope = step
    count = min(int64(2), parts.spectrum.shape[0] - 2 * pair)
    drawn, differs = False, uint32(0)
    for m in range(count):
        drawn |= parts.mode[2 * pair + m] >= PARTLY
    last = TRAPS + CALL * pair
    if drawn:
        draw_words(scratch.own, numbers, scratch.cycle, last, k0, k1, width)
    for m in range(count):
        k = 2 * pair + m
        words, own = at(scratch.move, (k & 3) * GROUP), at(scratch.own, m * GROUP)
        differs |= move_one(parts, k, scratch, words, own, log_time, slope, width)
    if differs == uint32(0):
        return
    if not drawn:
        draw_words(scratch.own, numbers, scratch.cycle, last, k0, k1, width)
    z, z1 = scratch.z, at(scratch.z, GROUP)
    w2, w3 = at(scratch.own, 2 * GROUP), at(scratch.own, 3 * GROUP)
    for j in range(width):
        z[j], z1[j] = normal_pair(w2[j], w3[j])
    for m in range(count):
        own = at(scratch.own, m * GROUP)
        add_shift(parts, 2 * pair + m, scratch, at(z, m * GROUP), own, width)


@part_njit()
def move_group(parts, scratch, any_fresh, numbers, number, step, k0, k1, width):  # type: ignore[no-untyped-def]
    """Move all traps of a group."""
    count = parts.spectrum.shape[0]
    index = scratch.start  # a row of equal words: the number of the time step
    for call in range((count + 3) // 4):
        traps = min(int64(4), count - 4 * call)
        for j in range(width):
            index[j] = uint32(number)
        if any_fresh != uint32(0):
            last = MOVES + CALL * (INITIAL_CALLS + call)
            draw_words(scratch.move, numbers, index, last, k0, k1, width)
            for m in range(traps):
                draw_initial(parts, 4 * call + m, scratch, at(scratch.move, m * GROUP), width)
        moves = False
        for m in range(traps):
            moves |= parts.mode[4 * call + m] != NEVER
        if moves:
            draw_words(scratch.move, numbers, index, MOVES + CALL * call, k0, k1, width)
        for pair in range(2 * call, 2 * call + (traps + 1) // 2):
            move_pair(parts, pair, scratch, numbers, step, k0, k1, width)


@part_njit()
def cell_normals(z, scratch, numbers, k0, k1, width):  # type: ignore[no-untyped-def]
    """Write z_c of the cells of a group to ``z``."""
    wide_vectors()
    index = scratch.start
    for j in range(width):
        index[j] = uint32(CELL_INDEX)
    draw_words(scratch.own, numbers, index, 0, k0, k1, width)
    w0, w1 = scratch.own, at(scratch.own, GROUP)
    for j in range(width):
        z[j], _ = normal_pair(w0[j], w1[j])


@cached_njit(nogil=True, error_model="numpy")
def move(  # type: ignore[no-untyped-def]
    group_low, group_high, n_cells, r, cycle, given, out, parts, number, step, first, key, work
):
    """Write ``traps.moved`` of groups ``group_low`` … ``group_high`` to ``out``."""
    wide_vectors()
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    scratch, given, out = pointers(work), pointers(given), pointers(out)
    r, cycle = pointer(r), pointer(cycle)
    top = parts.numbers[4]
    for group in range(group_low, group_high):
        start = group * GROUP
        count = min(int64(GROUP), n_cells - start)
        width = (count + 15) & ~15
        numbers = first + uint64(start)
        any_fresh = load_group(parts, given, r, cycle, scratch, start, count)
        move_group(parts, scratch, any_fresh, numbers, number, step, k0, k1, width)
        cell_normals(scratch.z, scratch, numbers, k0, k1, width)
        for j in range(count):
            c, state = start + j, scratch.r[j]
            shift = scale_of(parts, state, scratch.z[j]) * scratch.shift[j]
            out.occupied[c], out.initial[c] = scratch.occupied[j], scratch.initial[j]
            out.known[c], out.cycle[c] = state, scratch.cycle[j]
            out.seen[c] = seen_state(state, shift, top)


@cached_njit(nogil=True, error_model="numpy")
def refresh(low, high, r, cycle, given, known, seen):  # type: ignore[no-untyped-def]
    """Write ``traps.refreshed`` of cells ``low`` … ``high`` to ``known`` and ``seen``."""
    wide_vectors()
    for c in range(low, high):
        same = given.known[c] == r[c] and given.cycle[c] == cycle[c]
        known[c] = r[c] if same else f4(np.nan)
        seen[c] = given.seen[c] if same else r[c]
