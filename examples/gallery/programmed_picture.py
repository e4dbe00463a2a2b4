"""A 64 x 64 image programmed open loop, and with write-verify."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

SIDE = 64
y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
radius = np.hypot(x, y)
picture = 0.5 + 0.5 * np.cos(12 * radius**1.5) * (radius < 1)
targets = 30e-6 + 140e-6 * picture


def chip():
    cells = sf.CellArray("published", (SIDE, SIDE), seed=9)
    return sf.Crossbar(cells, 0.1, access=sf.crossbar.Transistor(1e3))


open_loop = chip().program_open_loop(targets)
verified = chip().program(targets, parallel=16)

figure = plt.figure(figsize=(9, 3), layout="constrained")
axes = figure.subplots(1, 3)
shown = (targets, open_loop.achieved, verified.achieved)
titles = ("target", "open loop", "write-verify")
for axis, g, title in zip(axes, shown, titles, strict=True):
    image = axis.imshow(1e6 * g, vmin=20, vmax=180, cmap="viridis")
    axis.set(title=title, xlabel="column", xticks=[0, 32, 63], yticks=[0, 32, 63])
axes[0].set_ylabel("row")
figure.colorbar(image, ax=axes, label="conductance (uS)", shrink=0.85)
figure.savefig("programmed_picture.png", dpi=120)
