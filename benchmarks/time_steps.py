"""Time that cells with traps take: python -m benchmarks.time_steps [--cells N]

Cells without traps are the peer: both arrays are measured in turns, in one process.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
from numba import int64, njit, uint32, uint64

import synfab as sf
from benchmarks.machine import processor
from synfab.engines.numba.intrinsics import pointer, pointers
from synfab.engines.numba.layout import GROUP
from synfab.engines.numba.scalar import normal_pair
from synfab.engines.numba.trap_kernels import draw_words
from synfab.engines.numba.traps import parts_in, scratch
from synfab.physics.traps import step_of

REPEATS = 9
STEPS = (1e-4, 1.0, 1e4, 1e8)  # s
# Two traps per decade from 10 us to 1e9 s.
TRAPS = sf.model.Traps(
    np.logspace(-5.0, 9.0, 29), 0.3, [0.0, 150e-6, 300e-6], [1e-6, 5e-6, 3e-6],
    cell_spread=0.3, initial_occupancy=0.4,
)  # fmt: skip


def milliseconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - begin)


def decades(seconds: float) -> float:
    """Decades of time constants whose traps can move in a step: all up to the slowest possible."""
    parts, step = sf.load_model("published").replace(traps=TRAPS), step_of(TRAPS, 0, seconds, 300.0)
    moving = int((parts_in(parts, step).mode != 0).sum())
    return moving * math.log10(TRAPS.time_constants[-1] / TRAPS.time_constants[0]) / TRAPS.count


@njit(error_model="numpy")
def _draws(rounds, calls, work):  # type: ignore[no-untyped-def]
    """Draw the random numbers of a step: words of moves and of parameters, normal numbers."""
    w = pointers(work)
    z, z1 = w.z, pointer(work.z[1])
    for _ in range(rounds):
        for call in range(calls):
            draw_words(w.move, uint64(0), w.start, call, uint32(1), uint32(2), int64(GROUP))
            for _ in range(2):
                draw_words(w.own, uint64(0), w.start, call, uint32(1), uint32(2), int64(GROUP))
                for j in range(GROUP):
                    z[j], z1[j] = normal_pair(w.own[j], w.move[j])


def limit(cells: int) -> float:
    """Milliseconds for the random numbers alone, in the cache, on all threads."""
    from synfab.common.processors import default_threads

    rounds, calls = 200, (TRAPS.count + 3) // 4
    _draws(1, calls, scratch())
    took = min(milliseconds(lambda: _draws(rounds, calls, scratch())) for _ in range(5))
    return took / (rounds * GROUP) * cells / default_threads()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2**20)
    count = parser.parse_args().cells
    plain = sf.CellArray("published", count, seed=1).apply_voltage(-1.5)
    aging = sf.CellArray(sf.load_model("published").replace(traps=TRAPS), count, seed=1)
    aging.apply_voltage(-1.5).wait(1.0).read()
    plain.read()
    jobs: dict[str, Callable[[], object]] = {
        "read with noise, without traps": plain.read,
        "read with noise, after a wait": aging.read,
    }
    jobs |= {f"wait({seconds:g})": lambda s=seconds: aging.wait(s) for seconds in STEPS}
    jobs["pulse of -2 V, without traps"] = lambda: plain.apply_voltage(-2.0)
    jobs["pulse of -2 V, with traps"] = lambda: aging.apply_voltage(-2.0)
    listed = slice(0, min(100, count))
    jobs["trace of 100 cells, 1000 samples"] = lambda: aging.trace(1.0, 1000.0, cells=listed)
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(REPEATS):
        for name, job in jobs.items():
            times[name].append(milliseconds(job))
    print(f"{processor()}, {count} cells, {TRAPS.count} traps each; medians of {REPEATS}\n")
    print("| job | ms | ns per cell | times a read without traps | per decade of traps touched |")
    print("|---|---|---|---|---|")
    read = statistics.median(times["read with noise, without traps"])
    for name, found in times.items():
        middle = statistics.median(found)
        each = ""
        if name.startswith("wait"):
            each = f"{middle / read / decades(float(name[5:-1])):.1f}"
        print(
            f"| {name} | {middle:.2f} | {1e6 * middle / count:.2f} | {middle / read:.1f} | {each} |"
        )
    bound = limit(count)
    middle = statistics.median(times["wait(1)"])
    print(f"\nRandom numbers of wait(1) alone: {bound:.1f} ms, {bound / middle:.0%} of its time")


if __name__ == "__main__":
    main()
