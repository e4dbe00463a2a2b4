"""Conductance distribution of 100,000 cells during a RESET staircase, read after every step.

Run it with: python examples/partial_reset.py   (writes partial_reset.png into the current folder)
"""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

cells = sf.CellArray("published", 100_000, seed=7)
staircase = np.arange(0.5, 1.46, 0.05)

cells.apply_voltage(-2.0)
levels = []
for voltage in staircase:
    cells.apply_voltage(voltage)
    current = cells.read(0.2)
    levels.append(np.percentile(current / 0.2, [2.5, 25, 50, 75, 97.5]))
low, lower, median, upper, high = 1e6 * np.transpose(levels)

figure = plt.figure(figsize=(6.5, 4.2), layout="constrained")
axis = figure.subplots()
axis.fill_between(staircase, low, high, color="#0072B2", alpha=0.2, lw=0, label="95 % of the cells")
axis.fill_between(staircase, lower, upper, color="#0072B2", alpha=0.45, lw=0, label="half of them")
axis.plot(staircase, median, color="#D55E00", label="median")
axis.set(xlabel="RESET voltage (V)", ylabel="conductance at 0.2 V (uS)", ylim=(0, None))
axis.legend(frameon=False)
figure.savefig("partial_reset.png", dpi=150)

widest = int(np.argmax(high - low))
print(f"median conductance: {median[0]:.0f} uS before, {median[-1]:.0f} uS after the staircase")
print(f"widest spread: {low[widest]:.0f} to {high[widest]:.0f} uS at {staircase[widest]:.2f} V")
