"""Reading, writing and programming through resistive wires: python -m benchmarks.crossbar.

With the argument ``memory``, ``read``, ``growth`` or ``write``, only that part is run.

All times of a row of the table are medians of runs that alternate between the solvers. The peers
are SciPy's sparse direct solver (SuperLU, COLAMD) on the same conductance matrix, and badcrossbar
if it is installed; both support linear cells only. ngspice, which solves nonlinear cells, is in
``benchmarks/circuit.py``.
"""

import importlib
import logging
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse.linalg import splu

import synfab as sf
from benchmarks.machine import processor
from synfab.common.processors import default_threads
from synfab.network.direct import matrix


def written(n: int) -> sf.CellArray:
    cells = sf.CellArray("published", (n, n), seed=3).apply_voltage(-2.0)
    return cells.apply_voltage(np.random.default_rng(1).uniform(0.6, 1.5, (n, n)))


def medians(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median times, s, of jobs that run in turn, after one run of each."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for k in range(rounds + 1):
        for name, job in jobs.items():
            begin = time.perf_counter()
            job()
            if k:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(found) for name, found in times.items()}


def direct(bar: sf.Crossbar, v: np.ndarray) -> np.ndarray:
    conductances = bar.circuit.conducting(linear=True).values
    right = np.zeros(2 * conductances.size)
    right[: len(v)] = bar.wires.top * v
    return splu(matrix(bar.wires, conductances)).solve(right)


def load_badcrossbar() -> Any:
    """Return badcrossbar's solver; None if it is not installed."""
    logging.disable(logging.INFO)  # it reports every step
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("badcrossbar").compute
        except (ImportError, AttributeError):
            print("badcrossbar is not installed: its column is empty")
            return None


def read() -> None:
    badcrossbar = load_badcrossbar()
    print(
        "| N x N | linear | iterations | nonlinear | iterations "
        "| SciPy splu | ratio | badcrossbar | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for n in (64, 128, 256, 512, 1024):
        bar, v = sf.Crossbar(written(n), 2.5), np.random.default_rng(2).uniform(0.0, 0.3, n)
        jobs: dict[str, Callable[[], Any]] = {
            "linear": partial(bar.solve, v, linear=True),
            "nonlinear": partial(bar.solve, v),
        }
        if n <= 256:
            jobs["SciPy splu"] = partial(direct, bar, v)
        if n <= 256 and badcrossbar is not None:
            g = bar.circuit.conducting(linear=True).values
            jobs["badcrossbar"] = partial(badcrossbar, v[:, None], 1.0 / g.T, 2.5)
        counts = {name: jobs[name]().iterations for name in ("linear", "nonlinear")}
        found = medians(jobs, 5)
        row = f"| {n} "
        for name, count in counts.items():
            row += f"| {1e3 * found[name]:.1f} ms | {count} "
        for name in ("SciPy splu", "badcrossbar"):
            peer = found.get(name)
            row += f"| {1e3 * peer:.0f} ms | {peer / found['linear']:.0f} " if peer else "| - | - "
        print(row + "|")
    bar = sf.Crossbar(written(256), 2.5)
    batch = np.random.default_rng(4).uniform(0.0, 0.2, (256, 64))
    many = medians({"read": partial(bar.read, batch, linear=True, noise=False)}, 3)["read"]
    print(f"64 input vectors on 256 x 256, linear: {many:.2f} s")


def peak() -> float:
    """Return the peak memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000.0


def memory(n: int) -> None:
    """Print the memory of one solve in addition to the cells; run it in a separate process."""
    bar = sf.Crossbar(written(n), 2.5)
    sf.Crossbar(written(4)).solve(np.ones(4))
    before = peak()
    bar.solve(np.full(n, 0.2))
    print(f"one nonlinear {n} x {n} solve: {peak() - before:.0f} MB in addition to the cells")


def growth() -> None:
    """Print how the time of a linear solve grows from N = 256 to 1024, as an exponent of N."""
    bars = {n: sf.Crossbar(written(n), 2.5) for n in (256, 1024)}
    jobs = {str(n): partial(bar.solve, np.full(n, 0.2), linear=True) for n, bar in bars.items()}
    times = list(medians(jobs, 5).values())
    print(f"the time of a linear solve grows as N^{np.log(times[1] / times[0]) / np.log(4.0):.2f}")


def write() -> None:
    for scheme, voltage in (("V/2", -1.5), ("V/3", -1.3)):
        bar = sf.Crossbar(sf.CellArray("published", (256, 256), seed=3), 2.5)
        bar.write(rows=0, columns=0, voltage=-0.1)  # compiles
        begin, solves = time.perf_counter(), 0
        for row in range(256):
            pulse = bar.write(rows=row, columns=slice(None), voltage=voltage, scheme=scheme)
            solves += pulse.solves
        seconds = time.perf_counter() - begin
        print(
            f"256 x 256 written row by row, {scheme}, {voltage} V: {seconds:.1f} s, "
            f"{solves} solves, {bar.cells.in_lrs.mean():.1%} of the cells SET"
        )
    targets = np.random.default_rng(0).uniform(20e-6, 180e-6, (64, 64))
    cells = sf.CellArray("published", (64, 64), seed=5)
    bar = sf.Crossbar(cells, 0.2, access=sf.crossbar.Transistor(1e3))
    begin = time.perf_counter()
    found = bar.program(targets, parallel=32)
    seconds = time.perf_counter() - begin
    print(
        f"64 x 64 programmed (1T1R, 0.2 ohm per segment): {seconds:.1f} s, "
        f"{(~found.unreachable).mean():.1%} reached, {found.pulses.mean():.1f} pulses per cell"
    )


def main() -> None:
    print(f"{processor()}, {default_threads()} threads, {date.today()}")
    parts = sys.argv[1:] or ["memory", "read", "growth", "write"]
    for part in parts:
        {"read": read, "write": write, "memory": lambda: memory(1024), "growth": growth}[part]()


if __name__ == "__main__":
    main()
