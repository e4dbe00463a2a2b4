"""Size of a report of 512 devices x 6000 cycles, and the time to write and to open it.

Run it with: python benchmarks/report.py   (opening needs Chromium)
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import synfab as sf
from synfab import learn
from synfab.report import save_report

DEVICES, CYCLES, OPENINGS = 512, 6000, 7


def measurement(model):
    """Return features of every cycle, and ten loops of every device."""
    cells = sf.CellArray(model, DEVICES, seed=1)
    values = np.empty((DEVICES, CYCLES, 4))
    for n in range(CYCLES):
        found = cells.features
        for f, name in enumerate(sf.FEATURES):
            values[:, n, f] = found[name]
        cells.apply_voltage(-2.0).apply_voltage(1.5)
    voltage = np.interp(np.linspace(0, 4, 400), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
    loops = cells.apply_program(np.tile(voltage, 10), read="pulse", bandwidth=1e6)
    loops = loops.reshape(10, len(voltage), DEVICES)
    names = tuple(f"{k:03d}" for k in range(DEVICES))
    device, cycle = np.repeat(names, CYCLES), np.tile(np.arange(CYCLES), DEVICES)
    table = learn.FeatureTable.build(device, cycle, values.reshape(-1, 4))
    return table, learn.sweeps_from_arrays(voltage, loops.transpose(2, 0, 1), names)


def opening(path):
    """Return medians and maxima of the time (s) until the visible part, and all, is drawn."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from browser import chromium

    times = []
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as page:
        for _ in range(OPENINGS):
            page.open(path.as_uri())
            page.wait("return document.documentElement.dataset.ready === 'all'")
            script = "return performance.getEntriesByName(arguments[0])[0].startTime / 1000"
            times.append([page.run(script, mark) for mark in ("view", "all")])
    return np.median(times, axis=0), np.max(times, axis=0)


def main():
    model = sf.load_model()
    table, sweeps = measurement(model)
    begin = time.perf_counter()
    found = learn.compare(model, table)
    compared = time.perf_counter() - begin
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "report.html").absolute()
    begin = time.perf_counter()
    save_report(found, path, sweeps=sweeps)
    print(f"compared in {compared:.1f} s, written in {time.perf_counter() - begin:.1f} s")
    print(f"{path.stat().st_size / 1e6:.1f} MB")
    middle, worst = opening(path)
    print(f"visible part drawn after {middle[0]:.2f} s (at most {worst[0]:.2f} s)")
    print(f"everything after {middle[1]:.2f} s (at most {worst[1]:.2f} s)")


if __name__ == "__main__":
    main()
