"""I-V curves of a cell in six states, and the conductance of a cell after eleven pulses."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

conduction = sf.load_model().conduction
voltage = np.linspace(*conduction.voltage_range, 300)
figure = plt.figure(figsize=(10, 3.8), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=[1, 1.4])
for r in np.linspace(0.0, conduction.r_max, 6):
    shade = 0.1 + 0.75 * r
    left.plot(voltage, 1e6 * conduction.current(r, voltage), color=str(shade), lw=1.6)
left.plot([], [], color="0.1", label="r = 0: low resistance")
left.plot([], [], color="0.75", label=f"r = {conduction.r_max:.2f}: high resistance")
left.set(xlabel="voltage (V)", ylabel="current (uA)", title="I(U) for six states r")
left.legend(frameon=False)

cell = sf.CellArray("published", 1, seed=1)
pulses = np.array([-1.2, 0.6, 0.9, 1.1, 1.3, 1.6, 0.9, -0.5, -1.2, 0.9, 1.6])
conductance = [1e6 * cell.apply_voltage(u).conductance(0.2)[0] for u in pulses]
number = np.arange(1, len(pulses) + 1)
right.step(number, conductance, where="post", color="#0072B2", lw=1.8)
for n, g, u in zip(number, conductance, pulses, strict=True):
    right.annotate(f"{u:+.1f} V", (n, g), (1, 4), textcoords="offset points", fontsize=7)
right.set(xlabel="pulse", ylabel="conductance at 0.2 V (uS)", title="eleven pulses on one cell")
right.set(ylim=(0, 275), xlim=(0.7, 12.2))
figure.savefig("two_curves.png", dpi=120)
