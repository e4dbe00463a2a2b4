"""A billion compact cells in memory: python benchmarks/billion.py [log2 of cells] [folder].

Fabricates the cells, SETs them, applies one pulse of a random voltage to each and reads them into
Zarr, block by block. Then compares a million of them, from random blocks, with as many cells that
have the full history.
"""

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from scipy.stats import ks_2samp

import synfab as sf

BLOCK = 2**22
SEED = 11


def random_voltages(start: int, stop: int) -> np.ndarray:
    """Return random voltages, 0.4 V … 1.6 V, that depend only on the block."""
    drawn = np.random.default_rng((5, start)).random(stop - start, np.float32)
    return np.float32(0.4) + np.float32(1.2) * drawn


def stage(name: str, cells: int, begin: float) -> None:
    took = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| {name} | {took:.0f} s | {1e9 * took / cells:.0f} ns | {peak:.1f} GiB |", flush=True)


def main() -> None:
    count = 2 ** int(sys.argv[1] if len(sys.argv) > 1 else 30)
    folder = Path(tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else None))
    block = min(BLOCK, count)
    small = sf.CellArray("published", 2**16, seed=SEED, history="compact")  # compiles
    small.apply_voltage(-2.0).apply_voltage(random_voltages(0, 2**16)).read()
    print("| stage | time | time per cell | peak memory so far |\n|---|---|---|---|")
    whole = begin = time.perf_counter()
    blocks = [
        sf.CellArray("published", block, seed=SEED, history="compact", first_cell=first)
        for first in range(0, count, block)
    ]
    stage("initialise", count, begin)
    begin = time.perf_counter()
    for cells in blocks:
        cells.apply_voltage(-2.0)
    stage("SET, -2 V", count, begin)
    begin = time.perf_counter()
    for cells in blocks:
        cells.apply_voltage(random_voltages(cells.first_cell, cells.first_cell + block))
    stage("RESET, random 0.4 V … 1.6 V, including the drawing of voltages", count, begin)
    begin = time.perf_counter()
    out = zarr.create_array(
        store=str(folder / "current.zarr"), shape=(count,), dtype="f4", chunks=(block,),
        compressors=None,
    )  # fmt: skip
    for cells in blocks:
        out[cells.first_cell : cells.first_cell + block] = cells.read(0.2)
    stage("read with noise, into Zarr", count, begin)
    stage("total", count, whole)

    sample = min(2**18, block)
    chosen = np.random.default_rng(1).choice(len(blocks), min(4, len(blocks)), replace=False)
    pairs: dict[str, list[list[np.ndarray]]] = {}
    for k in chosen:
        ours = blocks[k]
        full = sf.CellArray("published", sample, seed=SEED + 1, first_cell=ours.first_cell)
        full.apply_voltage(-2.0)
        full.apply_voltage(random_voltages(ours.first_cell, ours.first_cell + sample))
        found = {name: values[:sample] for name, values in ours.features.items()}
        found["current at 0.2 V"] = out[ours.first_cell : ours.first_cell + sample]
        wanted = {**full.features, "current at 0.2 V": full.read(0.2)}
        for name, values in found.items():
            pairs.setdefault(name, []).append([values, wanted[name]])
    print(f"\n{sample * len(chosen)} cells compared with as many other cells of the full history:")
    for name, parts in pairs.items():
        ours, theirs = (np.concatenate(column) for column in zip(*parts, strict=True))
        test = ks_2samp(ours, theirs)
        print(f"  {name}: Kolmogorov-Smirnov distance {test.statistic:.4f}, p = {test.pvalue:.2f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
