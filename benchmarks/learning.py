"""Learning at the scale of the published measurement: python benchmarks/learning.py.

Features of 512 devices x 6000 cycles are fitted and compared; I-V loops of 200 points are streamed
from Parquet. The comparison is with a minimal pandas script on one core that groups the table by
loop and fits the slope around zero.
"""

import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import synfab as sf
from synfab import learn

POINTS, LOOPS_DEVICES, LOOPS = 200, 32, 1000


def features_of(devices: int, cycles: int) -> learn.FeatureTable:
    cells = sf.CellArray("published", devices, seed=1)
    record = np.empty((devices, cycles, 4))
    for n in range(cycles):
        found = cells.features
        for f, name in enumerate(sf.FEATURES):
            record[:, n, f] = found[name]
        cells.apply_voltage(-2.0).apply_voltage(1.6)
    return learn.FeatureTable.build(
        np.repeat(np.arange(devices), cycles),
        np.tile(np.arange(cycles), devices),
        record.reshape(-1, 4),
    )


def write_loops(path: Path) -> None:
    cells = sf.CellArray("published", LOOPS_DEVICES, seed=2)
    corners = [0.0, -1.5, 0.0, 1.5, 0.0]
    voltage = np.interp(np.linspace(0.0, 4.0, POINTS), range(5), corners)
    current = cells.apply_program(np.tile(voltage, LOOPS), read="pulse").T
    each = LOOPS * POINTS
    frame = pd.DataFrame(
        {
            "device": np.repeat(np.arange(LOOPS_DEVICES, dtype=np.int32), each),
            "cycle": np.tile(np.repeat(np.arange(LOOPS, dtype=np.int32), POINTS), LOOPS_DEVICES),
            "voltage": np.tile(voltage.astype(np.float32), LOOPS_DEVICES * LOOPS),
            "current": current.ravel(),
        }
    )
    frame.to_parquet(path)


def with_pandas(path: Path) -> int:
    """Fit slopes around zero with pandas and NumPy for two devices; return their number."""
    frame = pd.read_parquet(path, filters=[("device", "<", 2)])
    near = frame[frame.voltage.abs() < 0.3]
    slopes = near.groupby(["device", "cycle"]).apply(
        lambda g: np.polyfit(g.voltage, g.current, 1)[0], include_groups=False
    )
    return len(slopes)


def main() -> None:
    begin = time.perf_counter()
    table = features_of(512, 6000)
    print(f"generated 512 x 6000 cycles in {time.perf_counter() - begin:.1f} s")
    begin = time.perf_counter()
    result = learn.fit(table, order=10, conduction=sf.load_model())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"fit: {time.perf_counter() - begin:.1f} s, peak memory {peak:.1f} GiB")
    begin = time.perf_counter()
    learn.compare(result.model, table)
    print(f"compare: {time.perf_counter() - begin:.1f} s")
    curves = sf.load_model().conduction
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loops.parquet"
        write_loops(path)
        rates: tuple[list[float], list[float]] = ([], [])
        learn.extract_features(learn.read_sweeps(path), conduction=curves)  # compiles
        for _ in range(3):
            begin = time.perf_counter()
            count = with_pandas(path)
            rates[0].append(count / (time.perf_counter() - begin))
            begin = time.perf_counter()
            found = learn.extract_features(learn.read_sweeps(path), conduction=curves)
            rates[1].append(len(found) / (time.perf_counter() - begin))
        theirs, ours = (statistics.median(r) for r in rates)
        print(
            f"loops of {POINTS} points from Parquet: {ours:.0f} loops/s; only slopes with pandas "
            f"{theirs:.0f} loops/s: ratio {ours / theirs:.1f}"
        )


if __name__ == "__main__":
    main()
