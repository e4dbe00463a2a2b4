"""Reading through resistive wires: python benchmarks/crossbar.py.

The peer is SciPy's sparse direct solver (SuperLU, COLAMD) on the very same conductance matrix, and
badcrossbar where it is installed; both know linear cells only.
"""

import importlib
import logging
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import splu

import synfab as sf
from synfab.crossbar.solver import matrix


def written(n: int) -> sf.CellArray:
    cells = sf.CellArray("published", (n, n), seed=3).apply_voltage(-2.0)
    return cells.apply_voltage(np.random.default_rng(1).uniform(0.6, 1.5, (n, n)))


def median(job: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        job()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def direct(bar: sf.Crossbar, v: np.ndarray) -> np.ndarray:
    conductances = bar.conducting(linear=True).values
    right = np.zeros(2 * conductances.size)
    right[: len(v)] = bar.wires.top * v
    return splu(matrix(bar.wires, conductances)).solve(right)


def main() -> None:
    logging.disable(logging.INFO)  # badcrossbar reports every step
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            badcrossbar: Any = importlib.import_module("badcrossbar").compute
        except (ImportError, AttributeError):
            badcrossbar = None
            print("badcrossbar is not installed: its column stays empty")
    sf.Crossbar(written(4)).solve(np.ones(4))  # compiles
    print("| N x N | linear | nonlinear | SciPy splu | ratio | badcrossbar | ratio |")
    print("|---|---|---|---|---|---|---|")
    for n in (64, 128, 256, 512, 1024):
        bar, v = sf.Crossbar(written(n), 2.5), np.random.default_rng(2).uniform(0.0, 0.3, n)
        repeats = 5 if n < 512 else 3
        linear = median(lambda b=bar, u=v: b.solve(u, linear=True), repeats)
        nonlinear = median(lambda b=bar, u=v: b.solve(u), repeats)
        row = f"| {n} | {1e3 * linear:.1f} ms | {1e3 * nonlinear:.1f} ms "
        if n <= 256:
            peer = median(lambda b=bar, u=v: direct(b, u), 3)
            row += f"| {1e3 * peer:.0f} ms | {peer / linear:.0f} "
        else:
            row += "| - | - "
        if badcrossbar is not None and n <= 256:
            g = bar.conducting(linear=True).values
            peer = median(lambda c=g, u=v: badcrossbar(u[:, None], 1.0 / c.T, 2.5), 3)
            row += f"| {1e3 * peer:.0f} ms | {peer / linear:.0f} |"
        else:
            row += "| - | - |"
        print(row)
    bar = sf.Crossbar(written(256), 2.5)
    batch = np.random.default_rng(4).uniform(0.0, 0.2, (256, 64))
    many = median(lambda: bar.read(batch, linear=True, noise=False), 3)
    print(f"64 input vectors on 256 x 256, linear: {many:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of all this: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
