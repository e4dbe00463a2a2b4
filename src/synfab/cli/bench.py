"""Benchmark of this package against the published one, alternating in one run."""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from synfab.cells.array import CellArray
from synfab.cli.demo import random_voltages
from synfab.engines.numba.threads import share

# Job to its figures: seconds, ratio, bytes per second.
Results: TypeAlias = dict[str, dict[str, Any]]

SIDE = 1024
REPEATS = 5
PAIRS = 10  # one block of the history, so that the time to draw it is included


def compare_with_published(repeats: int = REPEATS) -> Results:
    """Return the median time of each job for both packages (s) and their ratio.

    Both have 2**20 cells of order 10 in the same state. The HRS flags of the published array are
    set first, because its constructor does not set them.
    """
    published: Any = importlib.import_module("synaptogen")
    oracle: Any = importlib.import_module("synaptogen.synaptogen")
    n = SIDE * SIDE
    generator = np.random.default_rng(1)  # noqa: TID251 - the published package has no seed
    oracle.rng, oracle.randn = (
        generator,
        lambda *a, **k: generator.standard_normal(*a, **{**k, "dtype": np.float32}),
    )
    theirs = published.CellArrayCPU(n)
    theirs.inHRS[:] = True
    ours = CellArray("published", (SIDE, SIDE), seed=1)
    compact = CellArray("published", (SIDE, SIDE), seed=1, history="compact")
    mask = random_voltages((SIDE, SIDE), 3) < -2.326  # 1 % of the cells
    volts = [random_voltages((SIDE, SIDE), 10 + k) for k in range(4)]
    v = 0.2 * random_voltages((SIDE,), 2)

    def pair(cells: CellArray, count: int = PAIRS) -> None:
        for _ in range(count):
            cells.apply_voltage(-2.0).apply_voltage(1.5)

    def their_pair() -> None:
        published.applyVoltage(published.applyVoltage(theirs, -2.0), 1.5)

    def masked() -> None:
        for _ in range(PAIRS):
            ours.apply_voltage(-2.0, where=mask).apply_voltage(1.5, where=mask)

    def their_random() -> None:
        for u in volts:
            published.applyVoltage(theirs, u.reshape(-1))

    def our_random() -> None:
        for u in volts:
            ours.apply_voltage(u)

    fabricate = lambda: CellArray("published", (SIDE, SIDE), seed=2)  # noqa: E731
    jobs: list[tuple[str, Callable[[], Any] | None, int, Callable[[], Any], int]] = [
        ("initialisation", lambda: published.CellArrayCPU(n), 1, fabricate, 1),
        ("-2 V / +1.5 V pair, float32", their_pair, 1, lambda: pair(ours), PAIRS),
        ("-2 V / +1.5 V pair, compact", their_pair, 1, lambda: pair(compact), PAIRS),
        ("write of a random 1 % of the cells", None, 1, masked, 2 * PAIRS),
        ("random voltages N(0, 1)", their_random, 4, our_random, 4),
        ("read with noise", lambda: published.Iread(theirs), 1, ours.read, 1),
        ("crossbar readout with noise", lambda: theirs @ v, 1, lambda: ours @ v, 1),
    ]
    result: Results = {}
    for name, their_job, their_count, our_job, our_count in jobs:
        our_job()
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(repeats):
            for job, count, kept in (
                (their_job, their_count, times[0]),
                (our_job, our_count, times[1]),
            ):
                if job is not None:
                    begin = time.perf_counter()
                    job()
                    kept.append((time.perf_counter() - begin) / count)
        ours_median = statistics.median(times[1])
        theirs_median = statistics.median(times[0]) if times[0] else None
        result[name] = {
            "synaptogen_s": theirs_median,
            "synfab_s": ours_median,
            "ratio": theirs_median / ours_median if theirs_median else None,
        }
    result["copy bandwidth"] = {"bytes_per_s": copy_bandwidth()}
    result["parts of a float32 pair"] = parts_of_a_pair()
    return result


def parts_of_a_pair() -> dict[str, float]:
    """Return the times (s) of a SET, of a RESET within a block, and of drawing per cycle."""
    cells = CellArray("published", (SIDE, SIDE), seed=3)
    times: dict[float, list[float]] = {-2.0: [], 1.5: []}
    for _ in range(3 * cells.order):
        for u, kept in times.items():
            begin = time.perf_counter()
            cells.apply_voltage(u)
            kept.append(time.perf_counter() - begin)
    reset = statistics.median(times[1.5])
    return {
        "set_s": statistics.median(times[-2.0]),
        "reset_s": reset,
        "drawing_s": statistics.fmean(times[1.5]) - reset,
    }


def copy_bandwidth() -> float:
    """Return the copy bandwidth (bytes/s, read and written) with the threads of the engine."""
    source = np.ones(2**26)
    target = np.empty_like(source)

    def work(low: int, high: int) -> None:
        np.copyto(target[low:high], source[low:high])

    times = []
    for _ in range(7):
        begin = time.perf_counter()
        share(work, source.size, source.size, discardable=True)
        times.append(time.perf_counter() - begin)
    return 2 * source.nbytes / statistics.median(times)


def table_rows(result: Results) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table: job, published time, own time, ratio."""
    rows = []
    for name, row in result.items():
        if "synfab_s" in row:
            theirs, ratio = row["synaptogen_s"], row["ratio"]
            rows.append(
                (
                    name,
                    f"{theirs * 1e3:.1f} ms" if theirs else "-",
                    f"{row['synfab_s'] * 1e3:.2f} ms",
                    f"{ratio:.1f}" if ratio else "-",
                )
            )
    rows.append(
        ("copy bandwidth", "", f"{result['copy bandwidth']['bytes_per_s'] / 1e9:.1f} GB/s", "")
    )
    return rows
