"""Time per call for few cells: python -m benchmarks.overhead.

Medians of alternating runs of both packages in one process, in the same state. The published
package has no masks, so its unselected cells receive a pulse of 0 V.
"""

import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import processor
from synfab.cells.array import CellArray

SIZES = (1, 16, 256, 4096)
ROUNDS = 300
PAIRS = 10  # a round is one block of the history, so that the time of drawing it is included


class Job(NamedTuple):
    """The same call on both packages, ``count`` times per round."""

    name: str
    published: Callable[[], Any]
    synfab: Callable[[], Any]
    count: int


def jobs(size: int) -> list[Job]:
    """Return the calls to compare for ``size`` cells."""
    published: Any = importlib.import_module("synaptogen")
    theirs = [published.CellArrayCPU(size) for _ in range(2)]
    for cells in theirs:
        cells.inHRS[:] = True  # its fresh cells are not in HRS
    ours = [CellArray("published", size, seed=seed) for seed in (1, 2)]
    mask = np.arange(size) % 2 == 0
    pulses = (-2.0, 1.5)
    their_pulses = [np.where(mask, u, 0.0).astype(np.float32) for u in pulses]

    def their_pair() -> None:
        for u in pulses:
            published.applyVoltage(theirs[0], u)

    def our_pair() -> None:
        for u in pulses:
            ours[0].apply_voltage(u)

    def their_masked() -> None:
        for u in their_pulses:
            published.applyVoltage(theirs[1], u)

    def our_masked() -> None:
        for u in pulses:
            ours[1].apply_voltage(u, where=mask)

    program = np.resize(pulses, 100)

    def their_program() -> None:
        for u in program:
            published.applyVoltage(theirs[0], u)
            published.Iread(theirs[0])

    def our_program() -> None:
        ours[0].apply_program(program, read=0.2)

    return [
        Job("pair of pulses", their_pair, our_pair, PAIRS),
        Job("masked pair, every other cell", their_masked, our_masked, PAIRS),
        Job("read with noise", lambda: published.Iread(theirs[0]), ours[0].read, PAIRS),
        Job("program: 100 pulses, each with a read", their_program, our_program, 1),
        Job(
            "construction",
            lambda: published.CellArrayCPU(size),
            lambda: CellArray("published", size, seed=3),
            1,
        ),
    ]


def timed(call: Callable[[], Any], count: int) -> float:
    """Return the mean time of ``count`` calls (s)."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begin) / count


def measure(size: int, rounds: int = ROUNDS) -> list[tuple[str, float, float]]:
    """Return name and median time (s) of each call: published package, synfab."""
    work = jobs(size)
    times: list[tuple[list[float], list[float]]] = [([], []) for _ in work]
    for turn in range(rounds + 1):
        for job, (theirs, ours) in zip(work, times, strict=True):
            pair = (timed(job.published, job.count), timed(job.synfab, job.count))
            if turn:  # the first round compiles and fills caches
                theirs.append(pair[0])
                ours.append(pair[1])
    return [
        (job.name, statistics.median(theirs), statistics.median(ours))
        for job, (theirs, ours) in zip(work, times, strict=True)
    ]


def report(sizes: tuple[int, ...] = SIZES, rounds: int = ROUNDS) -> str:
    """Return the table as Markdown."""
    lines = ["| cells | call | synaptogen 0.2.0 | synfab | ratio |", "|---|---|---|---|---|"]
    for size in sizes:
        lines += [
            f"| {size} | {name} | {theirs * 1e6:.0f} us | {ours * 1e6:.1f} us "
            f"| {theirs / ours:.1f} |"
            for name, theirs, ours in measure(size, rounds)
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    print(f"{processor()}\n\n{report()}")


if __name__ == "__main__":
    main()
