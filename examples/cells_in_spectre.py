"""The Verilog-A module in a Spectre test bench, simulated with evas-sim."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from synfab.circuit import to_veriloga
from synfab.figures.cells import COLOURS, new_figure

CELLS, CYCLES = 6, 4

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("output", nargs="?", type=Path, default=Path("cells-in-spectre.png"))
output = parser.parse_args().output

shape = ((10, 0), (40, -1.5), (70, 0), (110, 1.6), (150, 0))
corners = [f"{150 * c + t}n {v}" for c in range(CYCLES) for t, v in shape]
bench = ["simulator lang=spectre", "global 0", 'ahdl_include "cell.va"']
bench += [f"V1 (top 0) vsource type=pwl wave=[0 0 {' '.join(corners)}]"]
bench += [f"X{k} (top 0 r{k} i{k}) synfab_published seed=1 number={k}" for k in range(CELLS)]
bench += [f"run tran stop={150 * CYCLES}n maxstep=0.2n"]
bench += ["save top:10e " + " ".join(f"i{k}:10e" for k in range(CELLS))]

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "cell.va").write_text(to_veriloga("published", probes=True))
    (folder / "bench.scs").write_text("\n".join(bench) + "\n")
    evas = Path(sys.executable).with_name("evas")
    subprocess.run(
        [evas, "simulate", "bench.scs", "-o", "out"], cwd=folder, check=True, capture_output=True
    )
    waves = pd.read_csv(folder / "out" / "tran.csv")

figure, axes = new_figure(2, 3, (8, 5), sharex=True, sharey=True)
for k, axis in enumerate(axes.flat):
    axis.plot(waves["top"], waves[f"i{k}"], lw=0.7, color=COLOURS[k % 4])
    axis.set_title(f"cell {k}", fontsize=9)
for axis in axes[-1]:
    axis.set_xlabel("voltage (V)")
for axis in axes[:, 0]:
    axis.set_ylabel("current (uA)")
figure.savefig(output, dpi=130)
print(f"{len(waves)} time points: {output}")
