"""Variability of I-V loops: one cell over 50 cycles, and 50 cells in one cycle."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

voltage = np.interp(np.linspace(0, 4, 301), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])

one = sf.CellArray("published", 1, seed=3)
many = sf.CellArray("published", 50, seed=4)
loops = one.apply_program(np.tile(voltage, 50), read="pulse", noise=False)
cells = many.apply_program(voltage, read="pulse", noise=False)
figure = plt.figure(figsize=(8, 3.8), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
left.plot(voltage, 1e6 * loops.reshape(50, -1).T, lw=0.5, color="#0072B2", alpha=0.6)
right.plot(voltage, 1e6 * cells, lw=0.5, color="#D55E00", alpha=0.6)
left.set(title="one cell, 50 cycles", xlabel="voltage (V)", ylabel="current (uA)")
right.set(title="50 cells, one cycle", xlabel="voltage (V)")
figure.savefig("iv_loops.png", dpi=120)
