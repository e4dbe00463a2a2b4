"""Read voltage across each cell of a 128 x 128 array, for three wire resistances."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

SIDE = 128
figure = plt.figure(figsize=(9, 3.1), layout="constrained")
axes = figure.subplots(1, 3, sharey=True)
for axis, wire in zip(axes, (0.1, 0.5, 2.5), strict=True):
    cells = sf.CellArray("published", (SIDE, SIDE), seed=1).apply_voltage(-2.0)
    found = sf.Crossbar(cells, wire_resistance=wire).solve(np.full(SIDE, 0.2))
    image = axis.imshow(1e3 * found.cell_voltage, vmin=0, vmax=200, cmap="viridis")
    axis.set(title=f"{wire} ohm per segment", xlabel="column")
axes[0].set_ylabel("row")
figure.colorbar(image, ax=axes, label="voltage across the cell (mV)", shrink=0.85)
figure.savefig("voltage_map.png", dpi=120)
