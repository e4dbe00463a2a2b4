"""Which way of programming brings cells closest to their targets: python benchmarks/programming.py.

64 x 64 cells of the published model, targets at random from 20 to 180 uS, three seeds. The cells
are fresh, or hold what was programmed before. ``direct`` or ``wired`` after the command runs that
part only; ``wired`` is 1T1R (1 kohm) with 2.5 ohm per segment, 8 cells of a row pulsed together.

Write-verify begins with a SET of every cell whose past is not known. The rule that it was compared
with begins with a full RESET of every cell, ``WriteVerify.erase``.
"""

import sys
import time

import numpy as np

import synfab as sf
from synfab.crossbar.programming import RowPulser
from synfab.programming.open_loop import open_loop
from synfab.programming.pulser import DirectPulser, Pulser
from synfab.programming.result import Programming
from synfab.programming.write_verify import WriteVerify

SHAPE, SEEDS, TOLERANCES = (64, 64), (1, 2, 3), (0.01, 0.03)
COLUMNS = (
    *("cells", "before", "tolerance", "method"),
    *("within it", "median error", "pulses per cell", "energy", "time"),
)


def pulser_of(kind: str, seed: int, before: str) -> Pulser:
    cells = sf.CellArray("published", SHAPE, seed=seed)
    if before == "programmed":
        amplitudes = np.random.default_rng(seed + 100).uniform(0.6, 1.5, SHAPE)
        cells.apply_voltage(-2.0).apply_voltage(amplitudes)
    if kind == "direct":
        return DirectPulser(cells)
    bar = sf.Crossbar(cells, 2.5, access=sf.crossbar.Transistor(1e3))
    return RowPulser(bar.circuit, parallel=8)


def set_first(pulser: Pulser, targets: np.ndarray, within: float) -> Programming:
    return WriteVerify(pulser, targets, tolerance=within).run()


def reset_first(pulser: Pulser, targets: np.ndarray, within: float) -> Programming:
    return WriteVerify(pulser, targets, tolerance=within).erase().run()


def without_reading(pulser: Pulser, targets: np.ndarray, within: float) -> Programming:
    return open_loop(pulser, targets)


METHODS = {
    "write-verify": set_first,
    "write-verify after a full RESET": reset_first,
    "open loop": without_reading,
}


def measure(kind: str, before: str, tolerance: float, name: str) -> str:
    """One row of the table, means of all seeds."""
    rows, begin = [], time.perf_counter()
    for seed in SEEDS:
        pulser = pulser_of(kind, seed, before)
        within = tolerance * pulser.cells.model.conduction.g_llrs
        targets = np.random.default_rng(seed).uniform(20e-6, 180e-6, SHAPE)
        done = METHODS[name](pulser, targets, within)
        off = np.abs(done.errors)
        rows.append([(off <= within).mean(), np.median(off), done.pulses.mean(), done.energy.sum()])
    reached, error, pulses, energy = np.mean(rows, axis=0)
    seconds = (time.perf_counter() - begin) / len(SEEDS)
    return (
        f"| {kind} | {before} | {tolerance:.0%} | {name} | {reached:.2%} | {1e6 * error:.2f} uS "
        f"| {pulses:.1f} | {1e9 * energy:.0f} nJ | {seconds:.0f} s |"
    )


def main() -> None:
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for kind in sys.argv[1:] or ("direct", "wired"):
        for before in ("fresh", "programmed"):
            for tolerance in TOLERANCES:
                for name in METHODS:
                    print(measure(kind, before, tolerance, name), flush=True)


if __name__ == "__main__":
    main()
