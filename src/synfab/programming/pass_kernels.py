"""Numba kernels of whole passes of write-verify: read, compare, decide and pulse, block by block.

They equal ``CellArray.read``, ``kernels.next_voltages``, ``kernels.fired`` and
``DirectPulser.apply_voltage``, called one after the other, in every bit. Only active cells are
pulsed. The numbers of a block stay in the caches from its read to its pulses.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint8, uint64

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.drawing import open_cells
from synfab.engines.numba.intrinsics import at, pointer, pointers, wide_vectors
from synfab.engines.numba.layout import GROUP
from synfab.engines.numba.readout_kernels import noisy_current
from synfab.engines.numba.scalar import f4
from synfab.engines.numba.switching import switch_selected
from synfab.engines.numba.transition import span
from synfab.programming.kernels import is_off, next_voltage, pulsed, verified
from synfab.programming.median_kernels import BLOCK, bracket_of, median_of

SELECTED = GROUP - 8  # cells that ``switch_selected`` accepts


class Course(NamedTuple):
    """Numbers of a course of write-verify; arrays are (N,) for cells, or (blocks,) for counts."""

    n_cells: int
    given: int  # cells with a target
    targets: Any  # S; NaN: no target
    energy: Any  # J
    current: Any  # A, of the last read, float32
    near: Any  # S, numbers near the median, at the place of their block
    below: Any  # count of the smaller ones
    found: Any  # count of those near the median
    pending: Any  # count of active cells


class Reading(NamedTuple):
    """How cells are read, and the duration of pulses."""

    u_0: float  # V
    voltage: Any  # the same as an array of float32
    coefficients: tuple[Any, Any]
    slopes: tuple[Any, Any]
    duration: float  # s


class Job(NamedTuple):
    """What a pass is made of."""

    course: Course
    reading: Reading
    state: Any  # ``kernels.State``
    levels: Any  # ``kernels.Levels``
    gains: Any  # of the steps, by attempts
    storage: Any  # of the cells, ``layout.Storage``
    model: Any  # ``layout.Parameters``


class PassWork(NamedTuple):
    """Working arrays for one block."""

    distance: Any
    busy: Any  # nonzero for cells that are active, or just settled
    busy_words: Any  # the same memory, eight cells per word
    inside: Any  # nonzero for cells whose distance is inside the bracket
    inside_words: Any  # the same memory
    active: Any  # list of cells
    volts: Any  # V, of the listed cells
    rounded: Any  # the same in float32, of all cells of the block
    pulse: Any  # the same of the listed cells
    state: Any  # r of the listed cells
    after: Any  # A, currents during their pulses


def pass_work() -> PassWork:
    """Return the arrays."""
    busy, inside = np.zeros(BLOCK // 8, np.uint64), np.zeros(BLOCK // 8, np.uint64)
    singles = (np.zeros(BLOCK, np.float32) for _ in range(4))
    return PassWork(
        np.zeros(BLOCK), busy.view(np.uint8), busy, inside.view(np.uint8), inside,
        np.zeros(BLOCK, np.int64), np.zeros(BLOCK), *singles,
    )  # fmt: skip


@part_njit()
def compare(current, targets, settled, given_up, u_0, count, bracket, levels, work):  # type: ignore[no-untyped-def]
    """Compare the reads of a block (A) with the targets; return how many are below the bracket.

    Writes distances, and marks the cells that are ``busy`` and those ``inside`` the bracket.
    """
    wide_vectors()
    low, high = bracket
    below = int64(0)
    for j in range(count):
        distance = abs(np.float64(current[j]) / u_0 - targets[j])
        work.distance[j] = distance
        off = uint8(is_off(distance, settled[j], levels))
        work.busy[j] = (off & (given_up[j] ^ uint8(1))) | uint8(off == settled[j])
        work.inside[j] = uint8(distance >= low) & uint8(distance <= high)
        below += int64(distance < low)
    for j in range(count, (count + 7) & -8):
        work.busy[j] = work.inside[j] = 0
    return below


@part_njit()
def gather(count, work, out):  # type: ignore[no-untyped-def]
    """Copy the distances of marked cells to ``out``; return how many."""
    found = int64(0)
    for word in range((count + 7) >> 3):
        if work.inside_words[word] != uint64(0):
            for j in range(8 * word, 8 * word + 8):
                out[found] = work.distance[j]
                found += int64(work.inside[j])
    return found


@part_njit()
def currents_of_pulses(llrs, hhrs, constants, count, work):  # type: ignore[no-untyped-def]
    """Write the currents of the listed cells at the voltages of their pulses."""
    wide_vectors()
    for k in range(count):
        work.after[k] = span(llrs, hhrs, constants, work.state[k], work.pulse[k])[2]


@part_njit()
def pulse_block(begin, count, cells, model, energy, reading, work, switching):  # type: ignore[no-untyped-def]
    """Pulse the listed cells of a block; add the energy of each."""
    listed = work.active
    for low in range(0, count, SELECTED):
        high = min(low + SELECTED, count)
        for k in range(low, high):
            switching.selected[k - low] = listed[k]
        switch_selected(cells, model, switching, at(work.rounded, -begin), int64(1), high - low)
    for k in range(count):
        work.state[k], work.pulse[k] = cells.r[listed[k]], work.rounded[listed[k] - begin]
    currents_of_pulses(model.llrs, model.hhrs, model.constants, count, work)
    for k in range(count):
        energy[listed[k]] += abs(np.float64(work.after[k]) * work.volts[k]) * reading.duration


@part_njit()
def decide(begin, count, fire, current, targets, reading, state, levels, gains, work):  # type: ignore[no-untyped-def]
    """Decide on the pulses of the busy cells of a block; return how many get one."""
    active = int64(0)
    for word in range((count + 7) >> 3):
        if work.busy_words[word] == uint64(0):
            continue
        for j in range(8 * word, 8 * word + 8):
            c = begin + j
            if work.busy[j] and verified(c, work.distance[j], state, levels):
                now = np.float64(current[c]) / reading.u_0
                volts = next_voltage(c, now, now - targets[c], state, levels, gains)
                if not np.isnan(volts):
                    work.active[active], work.volts[active] = c, volts
                    work.rounded[j] = f4(volts)
                    active += 1
                    if fire:
                        pulsed(c, volts, state, levels)
    return active


@part_njit()
def one_pass(first, last, fire, number, bracket, job, work, others):  # type: ignore[no-untyped-def]
    """Read blocks ``first`` … ``last`` with noise of a number; pulse active cells if ``fire``.

    ``others`` are the working arrays of switching and of noise.
    """
    wide_vectors()
    course, reading, model, levels = job.course, job.reading, job.model, job.levels
    curves = (model.llrs, model.hhrs, model.constants)
    switching, noise = others
    cells, switching = open_cells(job.storage, model), pointers(switching)
    state, work = pointers(job.state), pointers(work)
    current, targets = pointer(course.current), pointer(course.targets)
    near, energy = pointer(course.near), pointer(course.energy)
    for block in range(first, last):
        begin = block * BLOCK
        count = min(int64(BLOCK), course.n_cells - begin)
        noisy_current(
            begin, begin + count, job.storage.r, reading.voltage, 0, curves, reading.coefficients,
            reading.slopes, course.current, model.first, number, model.key, noise,
        )  # fmt: skip
        course.below[block] = compare(
            at(current, begin), at(targets, begin), at(state.settled, begin),
            at(state.given_up, begin), reading.u_0, count, bracket, levels, work,
        )  # fmt: skip
        course.found[block] = gather(count, work, at(near, begin))
        active = decide(
            begin, count, fire, current, targets, reading, state, levels, job.gains, work
        )  # fmt: skip
        course.pending[block] = active
        if fire and active:
            pulse_block(begin, active, cells, model, energy, reading, work, switching)


@part_njit()
def concluded(course, u_0, bracket):  # type: ignore[no-untyped-def]
    """Return the number of active cells and the median distance (S) after all blocks of a pass."""
    active = int64(0)
    for block in range(course.pending.shape[0]):
        active += course.pending[block]
    return active, median_of(course, u_0, bracket)


@cached_njit(nogil=True, error_model="numpy")
def conclude(course, u_0, bracket):  # type: ignore[no-untyped-def]
    """Return ``concluded`` of a pass whose blocks were distributed over threads."""
    return concluded(course, u_0, bracket)


@cached_njit(nogil=True, error_model="numpy")
def run(first, last, firing, number, bracket, job, work, others, pending, error):  # type: ignore[no-untyped-def]
    """Run passes until no cell is active; return how many.

    There are at most as many as ``pending`` and ``error`` have elements, for the number of active
    cells and their median distance (S); cells are pulsed in the first ``firing`` of them. Without
    elements, one pass runs, of blocks ``first`` … ``last``; ``conclude`` ends it.
    """
    most = len(pending)
    for k in range(max(most, 1)):
        one_pass(first, last, k < firing, number + k, bracket, job, work, others)
        if most:
            pending[k], error[k] = concluded(job.course, job.reading.u_0, bracket)
            bracket = bracket_of(error[k])
            if pending[k] == 0:
                return k + 1
    return most
