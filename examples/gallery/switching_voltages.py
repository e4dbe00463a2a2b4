"""Fraction of 20,000 cells that have SET, against the magnitude of the voltage."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

cells = sf.CellArray("published", 20_000, seed=6)
voltage = -np.arange(0.3, 1.4, 0.01)
fraction = []
for u in voltage:
    cells.apply_voltage(u)
    fraction.append(cells.in_lrs.mean())
fraction = np.array(fraction)

figure = plt.figure(figsize=(6, 4.2), layout="constrained")
axis = figure.subplots()
axis.semilogy(-voltage, fraction, color="#0072B2", label="SET")
axis.semilogy(-voltage, np.where(fraction < 1, 1 - fraction, np.nan), color="#D55E00", ls="--",
              label="not SET")  # fmt: skip
axis.set(xlabel="magnitude of the SET voltage (V)", ylabel="fraction of cells", ylim=(4e-5, 2))
for quantile in (0.5, 0.999):
    at = -voltage[np.argmax(fraction >= quantile)]
    axis.axvline(at, color="0.6", lw=0.8)
    axis.text(at - 0.04, 4.8e-5, f"{quantile:.1%}: {at:.2f} V", rotation=90, fontsize=9)
axis.legend(frameon=False, loc="center right")
figure.savefig("switching_voltages.png", dpi=120)
