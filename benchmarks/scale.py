"""Time per cell and memory of 2**20 and 2**26 cells: python benchmarks/scale.py [HISTORY]."""

import resource
import statistics
import sys
import time

import synfab as sf


def measure(count: int, history: str) -> tuple[float, float]:
    begin = time.perf_counter()
    cells = sf.CellArray("published", count, seed=1, history=history)
    init = time.perf_counter() - begin
    blocks = []
    for _ in range(3):
        begin = time.perf_counter()
        for _ in range(cells.order):  # one block of the history
            cells.apply_voltage(-2.0).apply_voltage(1.5)
        blocks.append((time.perf_counter() - begin) / cells.order)
    return init / count, statistics.median(blocks) / count


def main() -> None:
    history = sys.argv[1] if len(sys.argv) > 1 else "float32"
    measure(2**16, history)  # compiles
    print(f"| cells ({history}) | initialisation | -2 V / +1.5 V pair | peak memory |")
    print("|---|---|---|---|")
    for count in (2**20, 2**26):
        init, pair = measure(count, history)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"| {count} | {1e9 * init:.0f} ns/cell | {1e9 * pair:.1f} ns/cell | {peak:.1f} GiB |")


if __name__ == "__main__":
    main()
