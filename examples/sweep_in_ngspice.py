"""DC sweeps that switch a cell in ngspice, and SETs whose current a transistor limits."""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullLocator

import synfab as sf
from synfab.circuit import build_osdi, run_ngspice
from synfab.figures.cells import COLOURS, new_figure

CELL = 3
LIMITS = np.array([20, 50, 100, 235])  # uA

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("output", nargs="?", type=Path, default=Path("sweep-in-ngspice.png"))
output = parser.parse_args().output

SWEEP = f"""I-V curve of a cell
V1 top 0 0
N1 top 0 memory cell={CELL}
.model memory synfab_published seed=7 dc_switching=1
.save v(top) @n1[i]
.dc V1 0 -1.5 -0.02
.dc V1 -1.48 1.5 0.02
.dc V1 1.48 0 -0.02
"""
LIMITED = """SET through a saturated transistor
Vd drive 0 0
Vg gate drive 1.5
M1 top gate drive drive limiter
N1 top 0 memory cell={cell}
.model limiter nmos level=1 vto=0.5 kp={kp} w=1u l=1u
.model memory synfab_published seed=7 dc_switching=1 growth_voltage={growth}
.save v(top) @n1[i] @n1[resistance]
.dc Vd 0 -2 -0.02
"""

with tempfile.TemporaryDirectory() as folder:
    device = build_osdi("published", Path(folder) / "cell.osdi")
    parts = run_ngspice(SWEEP, osdi=device)
    voltage, current = (np.concatenate([p[name] for p in parts]) for name in ("v(top)", "@n1[i]"))
    limited = {
        growth: [
            run_ngspice(LIMITED.format(cell=CELL, kp=2e-6 * limit, growth=growth), osdi=device)[0]
            for limit in LIMITS
        ]
        for growth in (0.0, 0.4, 0.5)
    }

# The same cell in Python: each voltage is a pulse, then the current at it.
cells = sf.CellArray("published", CELL + 1, seed=7)
expected = [cells.model.conduction.current(float(cells.apply_voltage(u).r[CELL]), u)
            for u in voltage]  # fmt: skip
print(f"largest difference from Python: {np.abs(current - expected).max():.1e} A")

figure, axes = new_figure(1, 2, (9.5, 3.8))
left, right = axes[0]
left.plot(voltage, 1e6 * current, color=COLOURS[0], lw=1.4, label="ngspice, .dc")
left.plot(voltage[::6], 1e6 * np.array(expected)[::6], "o", ms=3.5, mfc="none", color=COLOURS[1],
          label="CellArray, pulse and measurement")  # fmt: skip
left.set(xlabel="voltage (V)", ylabel="current (uA)", title="quasi-static I-V curve")
left.legend(frameon=False, fontsize=8)
for number, (growth, waves) in enumerate(limited.items()):
    name = f"growth_voltage={growth:g}" if growth else "off"
    kilo_ohm = [1e-3 * wave["@n1[resistance]"][-1] for wave in waves]
    right.loglog(LIMITS, kilo_ohm, "o-", color=COLOURS[number], label=name)
right.set(xlabel="limit of the current (uA)", ylabel="resistance after the SET (kilo-ohm)",
          title="limited SET")  # fmt: skip
for axis, ticks in ((right.xaxis, LIMITS), (right.yaxis, [4, 6, 10, 20])):
    axis.set_ticks(ticks, [f"{x:g}" for x in ticks])
    axis.set_minor_locator(NullLocator())
right.legend(frameon=False, fontsize=8)
figure.savefig(output, dpi=130)
print(f"{len(voltage)} points: {output}")
