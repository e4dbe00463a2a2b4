"""Kernel that fabricates cells: device parameters, stationary history, initial state."""

from typing import Any, NamedTuple

from numba import int64, uint32, uint64

from synfab.engines.numba.compile import cached_njit, part_njit
from synfab.engines.numba.drawing import (
    VECTOR_WIDTH,
    draw_normals,
    open_cells,
    product_vectors,
    store_vectors,
    triangle_vectors,
    zero_vectors,
)
from synfab.engines.numba.features import gather_features, hrs_pair
from synfab.engines.numba.intrinsics import (
    at,
    fill_vector,
    merge_vector,
    move,
    not_inlined,
    pointer,
    pointers,
    wide_vectors,
)
from synfab.engines.numba.layout import (
    GROUP,
    IN_HRS,
    LANES,
    R_HRS,
    STEEPNESS,
    THRESHOLD,
    TILES,
    U_SET,
)
from synfab.engines.numba.scalar import exp, philox


class Mixture(NamedTuple):
    """Parameters of the mixture, as arrays; ``model32.population32`` rounds them."""

    log_spread: Any
    bounds: Any
    means: Any
    factors: Any


class Population(NamedTuple):
    """Parameters of the mixture, as pointers."""

    components: Any
    log_spread: Any  # whether sigma is the exponential of what is drawn
    bounds: Any
    means: Any
    factors: Any


@part_njit()
def open_population(mixture):  # type: ignore[no-untyped-def]
    """Return the pointers to the parameters of a ``Mixture``."""
    return Population(
        mixture.bounds.shape[0],
        mixture.log_spread,
        pointer(mixture.bounds),
        pointer(mixture.means),
        pointer(mixture.factors),
    )


@part_njit()
def pick_components(chosen, word, population, cells, first, key):  # type: ignore[no-untyped-def]
    """Draw the mixture component of each cell (``drawing.fabricate``)."""
    wide_vectors()
    k0, k1 = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    last = uint32(population.components - 1)
    for j in range(GROUP):
        number = first + uint64(cells[j])
        low, high = uint32(number & uint64(0xFFFFFFFF)), uint32(number >> uint64(32))
        word[j], _, _, _ = philox(low, high, uint32(0), uint32(0), k0, k1)
        chosen[j] = last
    # The descending loop ends at the smallest component whose bound exceeds the word.
    for k in range(population.components - 2, -1, -1):
        bound = population.bounds[k]
        for j in range(GROUP):
            chosen[j] = uint32(k) if uint64(word[j]) < bound else chosen[j]


@part_njit()
def draw_devices(cells, tile, population, chosen, z, x):  # type: ignore[no-untyped-def]
    """Draw mu and sigma of a group from the mean and factor of the chosen components."""
    wide_vectors()
    for half in range(2):  # the four mu, then the four sigma
        for k in range(population.components):
            means = at(population.means, 8 * k + 4 * half)
            factors = at(population.factors, 64 * k + 32 * half)
            for j in range(0, GROUP, VECTOR_WIDTH):
                x0, x1 = fill_vector(means[0]), fill_vector(means[1])
                x2, x3 = fill_vector(means[2]), fill_vector(means[3])
                if half:
                    x0, x1, x2, x3 = product_vectors(factors, z, j, GROUP, x0, x1, x2, x3)
                x0, x1, x2, x3 = triangle_vectors(
                    at(factors, 16 * half), z, 4 * half * GROUP + j, GROUP, x0, x1, x2, x3
                )
                merge_vector(x, j, x0, chosen, j, k)
                merge_vector(x, GROUP + j, x1, chosen, j, k)
                merge_vector(x, 2 * GROUP + j, x2, chosen, j, k)
                merge_vector(x, 3 * GROUP + j, x3, chosen, j, k)
        if half and population.log_spread:
            for j in range(4 * GROUP):
                x[j] = exp(x[j])
        # mu and sigma of a feature are adjacent rows.
        for f in range(4):
            for q in range(TILES):
                near = (((f >> 1) * cells.tiles + tile + q) * 4 + 2 * (f & 1) + half) * LANES
                move(cells.devices, near, x, f * GROUP + q * LANES)


@part_njit()
def group_devices(cells, tile, population, first, key, work):  # type: ignore[no-untyped-def]
    """Draw the device parameters of a group and store them in tiles starting at ``tile``."""
    not_inlined()
    for half in range(2):
        draw_normals(
            at(work.z, 4 * half * GROUP), work.word, int64(GROUP), work.cells, work.cycle,
            1 + half, int64(0), first, key, int64(GROUP),
        )  # fmt: skip
    pick_components(work.chosen, work.word, population, work.cells, first, key)
    draw_devices(cells, tile, population, work.chosen, work.z, work.picked)


@part_njit()
def correlate(x, slots, stationary, eps):  # type: ignore[no-untyped-def]
    """Multiply independent normals by the factor of the stationary history; newest first."""
    wide_vectors()
    for i in range(slots):
        line = at(stationary, 16 * slots * i)
        for j in range(0, GROUP, VECTOR_WIDTH):
            x0, x1, x2, x3 = zero_vectors()
            x0, x1, x2, x3 = triangle_vectors(
                at(line, 16 * i), eps, 4 * i * GROUP + j, GROUP, x0, x1, x2, x3
            )
            for m in range(i):
                x0, x1, x2, x3 = product_vectors(
                    at(line, 16 * m), eps, 4 * m * GROUP + j, GROUP, x0, x1, x2, x3
                )
            store_vectors(x, 4 * i * GROUP + j, GROUP, x0, x1, x2, x3)


@cached_njit(nogil=True, error_model="numpy")
def fabricate(  # type: ignore[no-untyped-def]
    group_low, group_high, mixture, stationary, storage, model, work
):
    """Apply ``drawing.fabricate`` and ``rules.fresh_state`` to whole groups of padded arrays.

    ``stationary`` (slots, slots, 4, 4) is the lower Cholesky factor of the history in blocks.
    """
    population, cells = open_population(mixture), open_cells(storage, model)
    work, factor = pointers(work), pointer(stationary)
    first, key, order, slots = model.first, model.key, cells.order, cells.slots
    x, buffer, switch = work.x, work.buffer, cells.switch
    for group in range(group_low, group_high):
        for j in range(GROUP):
            work.cells[j] = group * GROUP + j
            cells.status[group * GROUP + j] = uint32(IN_HRS)
        group_devices(cells, group * TILES, population, first, key, work)
        for i in range(slots):
            draw_normals(
                at(work.eps, 4 * i * GROUP), work.word, int64(GROUP), work.cells, work.cycle,
                i, int64(1), first, key, int64(GROUP),
            )  # fmt: skip
        correlate(x, slots, factor, work.eps)
        for i in range(slots):  # the cycles oldest first, then the averages
            near = (group * slots + (order - 1 - i if i < order else i)) * TILES
            for f in range(4):
                start = (4 * i + f) * GROUP
                for q in range(TILES):
                    move(cells.history, ((near + q) * 4 + f) * LANES, x, start + q * LANES)
        gather_features(cells, work.cells, int64(GROUP), int64(0), buffer)
        hrs_pair(model.parts, cells, work.cells, int64(GROUP), model, buffer)
        for q in range(TILES):
            tile = (group * TILES + q) * 4 * LANES
            move(cells.r, group * GROUP + q * LANES, buffer, q * LANES)
            move(switch, tile + THRESHOLD * LANES, work.rest, 0)
            move(switch, tile + U_SET * LANES, buffer, GROUP + q * LANES)
            move(switch, tile + R_HRS * LANES, buffer, q * LANES)
            move(switch, tile + STEEPNESS * LANES, work.rest, 0)
