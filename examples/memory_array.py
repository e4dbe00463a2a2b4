"""Write, verify and read an 8 x 8 memory of 1T1R cells, drivers and sense amplifiers in ngspice.

python examples/memory_array.py [--pdk FOLDER] [--corner tt] [--size 8] [--chip 7]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from memory_kit import Memory, Read, program

from synfab.circuit import build_osdi
from synfab.figures.cells import COLOURS, new_figure

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--pdk", type=Path, help="folder with the SPICE files of SKY130")
parser.add_argument("--corner", default="tt", help="corner of the PDK")
parser.add_argument("--size", type=int, default=8, help="rows and columns")
parser.add_argument("--chip", type=int, default=7, help="seed of the cells and of the offsets")
given = parser.parse_args()

column = 0
shown = {"word line": "wl0_0", "bit line": f"bl{column}_0", "source line": f"sl{column}_0"}
sensed = {"cell": f"xsense{column}.s1", "reference": f"xsense{column}.s2", "output": "out0"}
save = [f"v({node})" for node in (*shown.values(), *sensed.values())] + ["@n0_0[i]"]

with tempfile.TemporaryDirectory() as folder:
    device = build_osdi("published", Path(folder) / "cell.osdi")
    memory = Memory(
        device, (given.size, given.size), chip=given.chip, pdk=given.pdk, corner=given.corner
    )
    bits = np.indices(memory.shape).sum(axis=0) % 2 == 0
    lines = []
    for pattern in (bits, ~bits):  # the second one begins with cells in both states
        left, runs = program(memory, pattern, save=save)
        lines.append(" then ".join(map(str, left)))
    found, _ = memory.run([Read(i, [100e-6]) for i in range(given.size)])

print(f"cells that failed after each pass: {lines[0]}; inverted pattern: {lines[1]}")
print(f"{(found == ~bits).sum()} of {bits.size} bits read correctly at 100 uS")

figure, axes = new_figure(3, 1, (8, 7), sharex=True)
top, middle, bottom = axes[:, 0]
waves = runs[0]
early = waves["time"] < 115e-9  # the write of one row, and its two reads
time = waves["time"][early] * 1e9
for (name, node), colour in zip(shown.items(), COLOURS, strict=False):
    top.plot(time, waves[f"v({node})"][early], color=colour, lw=1.2, label=name)
middle.plot(time, waves["@n0_0[i]"][early] * 1e6, color=COLOURS[0], lw=1.2)
for (name, node), colour in zip(sensed.items(), COLOURS, strict=False):
    bottom.plot(time, waves[f"v({node})"][early], color=colour, lw=1.2, label=name)
top.set(ylabel="lines (V)", title="RESET of a cell in LRS, then reads at 75 uS and 125 uS")
middle.set(ylabel="current of the cell (uA)")
bottom.set(ylabel="sense amplifier (V)", xlabel="time (ns)", xlim=(0, 140))
top.legend(loc="center right", frameon=False)
bottom.legend(loc="center right", frameon=False)
figure.savefig("memory-array.png", dpi=130)
