"""Correlation of the LRS resistance over cycles, for three cells with different means."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

CYCLES = 600
cells = sf.CellArray("published", 3, seed=8)
r_lrs = np.empty((CYCLES, 3))
for n in range(CYCLES):
    r_lrs[n] = cells.features["r_lrs"]
    cells.apply_voltage(-2.0).apply_voltage(1.5)

figure = plt.figure(figsize=(8, 3.8), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=[2, 1], sharey=True)
for k, colour in enumerate(("#0072B2", "#D55E00", "#009E73")):
    left.plot(r_lrs[:, k] / 1e3, ".", ms=2.5, color=colour, label=f"cell {k}")
    right.plot(r_lrs[:-1, k] / 1e3, r_lrs[1:, k] / 1e3, ".", ms=2.5, color=colour)
left.set(xlabel="cycle", ylabel="LRS resistance (kohm)", title="over 600 cycles")
right.set(xlabel="present cycle (kohm)", title="next cycle (kohm)")
left.legend(frameon=False, loc="upper right", markerscale=4)
figure.savefig("memory_of_a_cell.png", dpi=120)
