"""When does a cell SET? One number in a data sheet, a distribution in an array."""

import numpy as np
from matplotlib.figure import Figure

import synfab as sf

cells = sf.CellArray("published", 20_000, seed=6)
voltage = -np.arange(0.3, 1.4, 0.01)
share = []
for u in voltage:
    cells.apply_voltage(u)
    share.append(cells.in_lrs.mean())
share = np.array(share)

figure = Figure(figsize=(6, 4.2), layout="constrained")
axis = figure.subplots()
axis.semilogy(-voltage, share, color="#0072B2", label="have SET")
axis.semilogy(-voltage, np.where(share < 1, 1 - share, np.nan), color="#D55E00", ls="--",
              label="have not SET yet")  # fmt: skip
axis.set(xlabel="magnitude of the SET voltage (V)", ylabel="share of 20,000 cells", ylim=(4e-5, 2))
for quantile in (0.5, 0.999):
    at = -voltage[np.argmax(share >= quantile)]
    axis.axvline(at, color="0.6", lw=0.8)
    axis.text(at - 0.04, 4.8e-5, f"{quantile:.1%}: {at:.2f} V", rotation=90, fontsize=9)
axis.legend(frameon=False, loc="center right")
figure.savefig("switching_voltages.png", dpi=120)
