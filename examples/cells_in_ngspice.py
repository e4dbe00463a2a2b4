"""Sixteen cells in ngspice, each in series with 1 kilo-ohm, under five pulses."""

import argparse
import tempfile
from pathlib import Path

from synfab.circuit import build_osdi, run_ngspice
from synfab.figures.cells import COLOURS, new_figure

CELLS = 16
PULSES = [(-1.6, "SET"), (0.2, "read"), (1.1, "partial RESET"), (0.2, "read"), (1.7, "RESET")]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("output", nargs="?", type=Path, default=Path("cells-in-ngspice.png"))
output = parser.parse_args().output

deck = ["cells in series with a resistor"]
for k in range(CELLS):
    deck += [f"R{k} drive top{k} 1k", f"N{k} top{k} bottom{k} memory cell={k}"]
    deck += [f"V{k} bottom{k} 0 0"]
corners = "0 0 "
for n, (volts, _) in enumerate(PULSES):
    start = n * 300
    corners += f"{start + 20}n 0 {start + 120}n {volts} {start + 180}n {volts} {start + 280}n 0 "
deck += [f"Vdrive drive 0 PWL({corners})", ".model memory synfab_published seed=7"]
deck += [f".tran 1n {300 * len(PULSES)}n"]

with tempfile.TemporaryDirectory() as folder:
    device = build_osdi("published", Path(folder) / "cell.osdi")
    (waves,) = run_ngspice("\n".join(deck) + "\n", osdi=device)

figure, axes = new_figure(2, 1, (8, 5.5), sharex=True)
top, bottom = axes[:, 0]
time = waves["time"] * 1e9
for k in range(CELLS):
    colour = COLOURS[k % len(COLOURS)]
    top.plot(time, waves[f"v(top{k})"], lw=0.8, color=colour)
    bottom.plot(time, waves[f"i(v{k})"] * 1e6, lw=0.8, color=colour)
top.plot(time, waves["v(drive)"], color="black", lw=1.2, label="source")
for n, (_, name) in enumerate(PULSES):
    top.text(n * 300 + 150, 2.0, name, ha="center", fontsize=8)
top.set(ylabel="voltage of the cells (V)", ylim=(-1.8, 2.4))
bottom.set(xlabel="time (ns)", ylabel="current (uA)")
top.legend(loc="lower right", frameon=False)
figure.savefig(output, dpi=130)
print(f"{len(time)} time points: {output}")
