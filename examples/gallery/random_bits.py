"""A cell as a random number generator: one bit per pulse at the median SET voltage."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

CELLS, CYCLES = 1000, 2000
cells = sf.CellArray("published", CELLS, seed=10)
median = float(np.median(cells.features["u_set"]))
bits = np.empty((CYCLES, CELLS), bool)
for n in range(CYCLES):
    bits[n] = cells.apply_voltage(median).in_lrs
    cells.apply_voltage(-2.0).apply_voltage(1.5)  # SET every cell, then RESET: a new cycle

# Von Neumann's rule: discard pairs of equal bits, keep the first bit of the others.
pairs = bits.reshape(CYCLES // 2, 2, CELLS)
differ = pairs[:, 0] != pairs[:, 1]
fair = (pairs[:, 0] & differ).sum(axis=0) / np.maximum(differ.sum(axis=0), 1)

figure = plt.figure(figsize=(6, 4.2), layout="constrained")
axis = figure.subplots()
bins = np.linspace(0, 1, 51)
axis.hist(bits.mean(axis=0), bins, color="#0072B2", alpha=0.6, label="raw bits")
axis.hist(fair[differ.sum(axis=0) > 100], bins, histtype="step", lw=1.8, color="#D55E00",
          label="after von Neumann's rule")  # fmt: skip
axis.set(xlabel="fraction of ones per cell", ylabel="cells", xlim=(0, 1))
axis.legend(frameon=False)
figure.savefig("random_bits.png", dpi=120)
