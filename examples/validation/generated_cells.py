"""Generated cells and the exact statistics of the model: device parameters, and the history."""

import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import norm

import synfab as sf

NAMES = ("log10 of R_HRS", "U_SET", "R_LRS", "U_RESET")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
model = sf.load_model()
population, history = model.population, model.history()
own = sf.CellArray(model, 100_000, seed=21).device_parameters.astype(float)

figure = plt.figure(figsize=(9, 3.8), layout="constrained")
left, right = figure.subplots(1, 2)
mean, deviation = own.mean(axis=0), own.std(axis=0)
for k, colour in enumerate(COLOURS):
    z = np.linspace(-4, 4, 200)
    x = mean[k] + deviation[k] * z
    exact = sum(
        p * norm.cdf(x, m[k], np.sqrt(c[k, k]))
        for p, m, c in zip(population.probabilities, population.means, population.covariances,
                           strict=True)
    )  # fmt: skip
    found = np.searchsorted(np.sort(own[:, k]), x) / len(own)
    left.plot(z, found - exact, color=colour, lw=1, label=f"mean of {NAMES[k]}")
bound = 1.36 / np.sqrt(len(own))  # Kolmogorov-Smirnov: exceeded in 5 of 100 cases
left.axhspan(-bound, bound, color="0.5", alpha=0.2, lw=0)
left.set(title="distribution of 100,000 devices", xlabel="standard deviations from the mean",
         ylabel="generated - exact", ylim=(-0.01, 0.01))  # fmt: skip
left.legend(frameon=False, fontsize=8)

cells = sf.CellArray(model, 20_000, seed=22)
exact = np.diag(history.autocovariance(0)[0])
ratio = np.empty((101, 4))
for n in range(101):
    ratio[n] = cells.engine_instance.vectors().astype(float).var(axis=1) / exact
    cells.apply_voltage(-2.0).apply_voltage(1.5)
for k, colour in enumerate(COLOURS):
    right.plot(ratio[:, k], color=colour, lw=1, label=NAMES[k])
error = np.sqrt(2 / cells.size)
right.axhspan(1 - 2 * error, 1 + 2 * error, color="0.5", alpha=0.2, lw=0)
right.set(title="history of 20,000 cells", xlabel="cycle", ylabel="variance, generated / exact",
          ylim=(0.94, 1.06))  # fmt: skip
right.legend(frameon=False, fontsize=8, ncols=2)
figure.savefig("generated_cells.png", dpi=120)
