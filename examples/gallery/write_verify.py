"""Number of pulses that write-verify needs, for three tolerances."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

SIDE = 48
targets = np.linspace(30e-6, 170e-6, SIDE * SIDE).reshape(SIDE, SIDE)
figure = plt.figure(figsize=(6, 4.2), layout="constrained")
axis = figure.subplots()
for tolerance, style in ((8e-6, "#009E73"), (4e-6, "#0072B2"), (2e-6, "#D55E00")):
    cells = sf.CellArray("published", (SIDE, SIDE), seed=12)
    bar = sf.Crossbar(cells, 0.0, access=sf.crossbar.Transistor(1e3))
    done = bar.program(targets, tolerance=tolerance)
    pulses = np.sort(done.pulses.ravel())
    axis.plot(pulses, np.linspace(100, 0, pulses.size), color=style,
              label=f"within {1e6 * tolerance:.0f} uS")  # fmt: skip
axis.set(xlabel="pulses", ylabel="cells still being programmed (%)", yscale="log", xlim=(0, None))
axis.legend(frameon=False)
figure.savefig("write_verify.png", dpi=120)
