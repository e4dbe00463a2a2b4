"""One I-V loop of one cell, with the four features of the cycle."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf

model = sf.load_model()
cell = sf.CellArray(model, 1, seed=1)
cell.apply_voltage(-2.0).apply_voltage(2.0)  # the previous cycle
voltage = np.interp(np.linspace(0, 4, 1201), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
u_set, u_reset = (float(cell.features[name][0]) for name in ("u_set", "u_reset"))
current = 1e6 * cell.apply_program(voltage, read="pulse", noise=False)[:, 0]

figure = plt.figure(figsize=(7.2, 4.6), layout="constrained")
axis = figure.subplots()
axis.axhline(0, color="0.8", lw=0.8)
axis.axvline(0, color="0.8", lw=0.8)
axis.plot(voltage, current, color="#0072B2", lw=1.8)
set_sweep, set_return, reset_sweep, reset_return = (slice(300 * k, 300 * k + 300) for k in range(4))


def at(part, u):
    order = np.argsort(voltage[part])
    return u, np.interp(u, voltage[part][order], current[part][order])


notes = (
    (at(set_sweep, u_set + 0.01), "U$_{SET}$: the cell SETs", (-1.45, 60)),
    (at(set_return, -0.3), "R$_{LRS}$: slope\nof this branch", (-1.25, -60)),
    (at(reset_sweep, u_reset), "U$_{RESET}$: RESET begins", (-0.45, 190)),
    (at(reset_sweep, 1.1), "gradual RESET:\nintermediate states", (0.86, 130)),
    (at(reset_return, 0.9), "R$_{HRS}$: slope of this branch", (0.35, -60)),
)
for point, text, place in notes:
    axis.annotate(text, point, place, arrowprops={"arrowstyle": "->", "color": "0.3"})
axis.set(xlabel="voltage (V)", ylabel="current (uA)", ylim=(-215, 215))
figure.savefig("one_loop.png", dpi=120)
