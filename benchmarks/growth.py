"""Time per cell from 2^10 to 2^26 cells, with one thread and with all: python -m benchmarks.growth.

Writes growth.png, which tools/figures.py copies to docs/images, and prints the table of
docs/performance.md.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

import matplotlib.pyplot as plt

import synfab as sf
from benchmarks.machine import processor
from synfab.common.processors import VARIABLE, default_threads

SIZES = [2**k for k in range(10, 27, 2)]
LEAST = 0.2  # s: shorter jobs are repeated
Job = Callable[[sf.CellArray], object]
JOBS: dict[str, Job] = {
    "pulse": lambda cells: cells.apply_voltage(-2.0).apply_voltage(1.5),
    "read": lambda cells: cells.read(),
}
# Wong's colours, which colour-blind readers can tell apart.
COLOURS = {"initialisation": "#0072B2", "pulse": "#D55E00", "read": "#009E73"}


def per_cell(job: Callable[[], object], count: int, multiple: int) -> float:
    """Return the time (s) per cell: the mean over whole blocks of the history, at least LEAST."""
    calls, begin = 0, time.perf_counter()
    while calls < multiple or time.perf_counter() - begin < LEAST:
        for _ in range(multiple):
            job()
        calls += multiple
    return (time.perf_counter() - begin) / calls / count


def measure(count: int) -> dict[str, float]:
    """Return the time (s) per cell of each operation; the pulses are means over a block."""
    times = {}
    begin = time.perf_counter()
    cells = sf.CellArray("published", count, seed=1)
    times["initialisation"] = (time.perf_counter() - begin) / count
    if count < SIZES[-1]:
        fresh = lambda: sf.CellArray("published", count, seed=1)  # noqa: E731
        again = [per_cell(fresh, count, 1) for _ in range(3)]
        times["initialisation"] = statistics.median(again)
    for name, job in JOBS.items():
        multiple = cells.order if name == "pulse" else 1
        repeats = 3 if count < SIZES[-1] else 1
        found = [per_cell(lambda job=job: job(cells), count, multiple) for _ in range(repeats)]
        times[name] = statistics.median(found) / (2 if name == "pulse" else 1)
    return times


def draw(result: dict[tuple[int, int], dict[str, float]], path: str) -> None:
    """Draw times (s) per cell, by number of cells and of threads."""
    sizes = sorted({count for count, _ in result})
    threads = sorted({number for _, number in result})
    figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
    for name, colour in COLOURS.items():
        for number in threads:
            axes.loglog(
                sizes,
                [1e9 * result[count, number][name] for count in sizes],
                color=colour,
                linestyle="-" if number == threads[-1] else "--",
                marker="o",
                markersize=4,
                label=f"{name}, {number} thread{'s' if number > 1 else ''}",
            )
    axes.set_xscale("log", base=2)
    axes.set_xlabel("Number of cells")
    axes.set_ylabel("Time per cell (ns)")
    axes.set_title(processor(), fontsize=9)
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", ncols=len(COLOURS), fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    threads = sorted({1, default_threads()})
    sf.CellArray("published", 2**15, seed=1).apply_voltage(-2.0).read()  # compiles
    result: dict[tuple[int, int], dict[str, float]] = {}
    print("| cells | threads | initialisation | pulse | read |")
    print("|---|---|---|---|---|")
    for count in SIZES:
        for number in threads:
            os.environ[VARIABLE] = str(number)
            result[count, number] = measure(count)
            cells = " | ".join(f"{1e9 * t:.1f} ns" for t in result[count, number].values())
            print(f"| 2^{count.bit_length() - 1} | {number} | {cells} |", flush=True)
    draw(result, sys.argv[1] if len(sys.argv) > 1 else "growth.png")


if __name__ == "__main__":
    main()
