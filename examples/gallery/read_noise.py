"""Johnson and shot noise of a read grow with the square root of its bandwidth."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

bandwidths = np.geomspace(1e5, 1e10, 11)
lrs = sf.CellArray("published", 1, seed=5).apply_voltage(-2.0)
hrs = sf.CellArray("published", 1, seed=5)

figure = plt.figure(figsize=(6, 4.2), layout="constrained")
axis = figure.subplots()
for cell, name, colour, mark in ((hrs, "HRS", "#0072B2", "o"), (lrs, "LRS", "#D55E00", "x")):
    true = cell.current(0.2)
    noise = [np.std([cell.read(0.2, bandwidth=b) - true for _ in range(2000)]) for b in bandwidths]
    noise = np.array(noise)
    label = f"{name}, {1e6 * true[0]:.1f} uA"
    axis.loglog(
        bandwidths, np.array(noise) / true * 100, mark, mfc="none", color=colour, label=label
    )
    law = noise[0] * np.sqrt(bandwidths / 1e5)
    axis.loglog(bandwidths, 100 * law / true, lw=0.8, color=colour)
axis.set(xlabel="bandwidth of a read at 0.2 V (Hz)", ylabel="noise (% of the current)")
axis.legend(frameon=False)
figure.savefig("read_noise.png", dpi=120)
