"""Read error of a crossbar against array size and wire resistance.

Half of the cells, chosen at random, are in LRS and the others in HRS; the columns are driven with
0 … 0.2 V. The error is the deviation of the row currents from those with ideal wires, root mean
square over the rows, relative to the mean row current.
Run it with: python examples/crossbar_size.py   (writes two figures into the current folder)
"""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

SIZES = (4, 8, 16, 32, 64, 128, 256)
RESISTANCES = (0.1, 0.5, 2.5, 10.0)
COLOURS = ("#0072B2", "#009E73", "#D55E00", "#CC79A7")
MARKS = ("o", "s", "^", "D")

errors = np.empty((len(RESISTANCES), len(SIZES)))
for column, size in enumerate(SIZES):
    cells = sf.CellArray("published", (size, size), seed=1)
    coin = sf.CellArray("published", (size, size), seed=2).r  # used as random numbers
    cells.apply_voltage(-2.0, where=coin > np.median(coin))
    v = np.linspace(0.0, 0.2, size)
    ideal = cells.matvec(v, noise=False)
    for row, resistance in enumerate(RESISTANCES):
        real = sf.Crossbar(cells, resistance).read(v, noise=False)
        errors[row, column] = np.sqrt(np.mean((real - ideal) ** 2)) / ideal.mean()

figure = plt.figure(figsize=(6.2, 4.4), layout="constrained")
axis = figure.subplots()
for row, resistance in enumerate(RESISTANCES):
    axis.loglog(SIZES, 100 * errors[row], marker=MARKS[row], color=COLOURS[row],
                label=f"{resistance} ohm per segment")  # fmt: skip
axis.axhline(5.0, color="0.6", lw=0.8)
axis.text(SIZES[0], 5.6, "5 %", color="0.4", fontsize=9)
axis.set(xlabel="rows and columns", ylabel="read error (% of the mean row current)")
axis.set_xticks(SIZES, [str(n) for n in SIZES])
axis.minorticks_off()
axis.legend(frameon=False)
figure.savefig("read_error.png", dpi=130)

cells = sf.CellArray("published", (256, 256), seed=1).apply_voltage(-2.0)
found = sf.Crossbar(cells, 2.5).solve(np.full(256, 0.2))
figure = plt.figure(figsize=(5.6, 4.4), layout="constrained")
axis = figure.subplots()
image = axis.imshow(1e3 * found.cell_voltage, cmap="cividis", vmin=0.0)
axis.set(xlabel="column (driven from the top)", ylabel="row (sensed at the left)")
figure.colorbar(image, label="voltage across the cell (mV)")
figure.savefig("cell_voltages.png", dpi=130)

for row, resistance in enumerate(RESISTANCES):
    good = [n for n, error in zip(SIZES, errors[row], strict=True) if error < 0.05]
    print(f"{resistance} ohm per segment: error below 5 % up to {max(good, default=0)} rows")
print(f"256 x 256 in LRS: {1e3 * found.cell_voltage.min():.0f} of 200 mV in the far corner; "
      f"error of Kirchhoff's law {found.residual:.1e} A")  # fmt: skip
