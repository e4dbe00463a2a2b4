"""Numba kernels of the median distance of all cells from their targets.

While cells are read, the distances near the last median are gathered, and the smaller ones are
counted. As a rule, the median is among them, so that few numbers are sorted.
"""

import numpy as np
from numba import int64

from synfab.engines.numba.compile import part_njit
from synfab.engines.numba.intrinsics import at, pointer
from synfab.engines.numba.layout import GROUP

BLOCK = 4 * GROUP  # cells of a block: one word of noise serves four of them
FEW = 1024  # numbers of a sample
# Part of the median by which it may change between two passes, and still be found at once.
DRIFT = 0.02
# Ranks, from 0 to 1, between which the median of a sample of FEW numbers is that of all: the
# standard error of its rank is 0.016.
SAMPLED = (0.42, 0.58)


@part_njit()
def select(values, count, rank):  # type: ignore[no-untyped-def]
    """Return the number of a rank among the first ``count`` of ``values``, which are reordered.

    Hoare's algorithm: the numbers before the place ``rank`` are not greater than the one there.
    """
    low, high = 0, count - 1
    while low < high:
        middle = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < middle:
                i += 1
            while values[j] > middle:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@part_njit()
def middle_of(values, count, first, second):  # type: ignore[no-untyped-def]
    """Return the mean of the numbers of rank ``first`` and ``second``, the same or the next."""
    low = select(values, count, first)
    if second == first:
        return (low + low) / 2.0
    high = values[first + 1]
    for j in range(first + 2, count):
        high = min(high, values[j])
    return (low + high) / 2.0


@part_njit()
def bracket_of(median):  # type: ignore[no-untyped-def]
    """Return the limits in which the next median is expected, S."""
    return (1.0 - DRIFT) * median, (1.0 + DRIFT) * median


@part_njit()
def search(current, targets, u_0, count, bracket, out):  # type: ignore[no-untyped-def]
    """Copy the distances inside a bracket to ``out``; return how many are below, and inside."""
    low, high = bracket
    below, found = int64(0), int64(0)
    for j in range(count):
        distance = abs(np.float64(current[j]) / u_0 - targets[j])
        out[found] = distance
        below += int64(distance < low)
        found += int64(low <= distance <= high)
    return below, found


@part_njit()
def median_of(course, u_0, bracket):  # type: ignore[no-untyped-def]
    """Return the median distance of all cells with a target, S; 0 without any.

    ``bracket`` are the limits with which the numbers near it were gathered; if it is not among
    them, others are gathered with limits from a sample, and then without limits.
    """
    if course.given == 0:
        return 0.0
    first, second = (course.given - 1) // 2, course.given // 2
    below, near = pointer(course.below), pointer(course.near)
    found = pointer(course.found)
    for attempt in range(3):
        smaller, count = int64(0), int64(0)
        for b in range(course.found.shape[0]):
            if attempt:
                begin = b * BLOCK
                size = min(int64(BLOCK), course.n_cells - begin)
                below[b], found[b] = search(
                    at(pointer(course.current), begin), at(pointer(course.targets), begin), u_0,
                    size, bracket, at(near, begin),
                )  # fmt: skip
            smaller += below[b]
            for j in range(found[b]):
                near[count] = near[b * BLOCK + j]
                count += 1
        if smaller <= first and second < smaller + count:
            return middle_of(near, count, first - smaller, second - smaller)
        bracket = (0.0, np.inf) if attempt else sampled(course, u_0, near)
    return np.nan


@part_njit()
def sampled(course, u_0, out):  # type: ignore[no-untyped-def]
    """Return limits of the median distance (S) from a sample, which overwrites ``out``."""
    n_cells = course.n_cells
    stride, count = max(int64(1), n_cells // FEW), int64(0)
    for c in range(0, n_cells, stride):
        off = abs(np.float64(course.current[c]) / u_0 - course.targets[c])
        if not np.isnan(off):
            out[count] = off
            count += 1
    if n_cells <= FEW or count == 0:
        return 0.0, np.inf
    low = select(out, count, int64(SAMPLED[0] * count))
    return low, select(out, count, int64(SAMPLED[1] * count))
