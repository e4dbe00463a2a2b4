"""Gradual RESET: a staircase of pulses lowers the conductance of 40 cells."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

steps = np.arange(0.4, 1.5, 0.02)
cells = sf.CellArray("published", 40, seed=2).apply_voltage(-2.0)
path = np.array([cells.apply_voltage(u).conductance(0.2) for u in steps])

figure = plt.figure(figsize=(6, 4.2), layout="constrained")
axis = figure.subplots()
axis.plot(steps, 1e6 * path, lw=0.7, color="#0072B2", alpha=0.5)
axis.plot(steps, 1e6 * np.median(path, axis=1), lw=2, color="#D55E00", label="median of 40 cells")
axis.set(xlabel="voltage of the pulse (V)", ylabel="conductance at 0.2 V (uS)")
axis.legend(frameon=False)
figure.savefig("reset_staircase.png", dpi=120)
