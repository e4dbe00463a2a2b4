"""The four steps of the generative model: noise, history, marginal, device parameters."""

import numpy as np
from matplotlib import pyplot as plt

import synfab as sf
from synfab.physics.drawing import marginal

CYCLES, FEATURE = 300, 2  # r_lrs
model = sf.load_model()
history = model.history(10)
noise = np.random.default_rng(0).standard_normal((CYCLES + 500, 4))
x = np.zeros_like(noise)
for n in range(10, len(x)):
    x[n] = history.innovation @ noise[n]
    for i, lag in enumerate(history.lags, 1):
        x[n] += lag @ x[n - i]
x, noise = x[500:, FEATURE], noise[500:, FEATURE]
grid = np.linspace(-3.5, 3.5, 200)
shape = model.marginals[FEATURE]

figure = plt.figure(figsize=(11, 3), layout="constrained")
axes = figure.subplots(1, 4)
axes[0].plot(noise, ".", ms=3, color="#0072B2")
axes[0].set(title="1. white noise", xlabel="cycle")
axes[1].plot(x, ".", ms=3, color="#0072B2")
axes[1].set(title="2. history: VAR(10)", xlabel="cycle", ylim=axes[0].get_ylim())
axes[2].plot(grid, marginal(shape, grid), color="#D55E00")
axes[2].plot(grid, grid, color="0.7", lw=0.8)
axes[2].set(title="3. marginal", xlabel="normal variable", ylabel="normalised feature")
devices = sf.CellArray(model, 3, seed=8).device_parameters.astype(float)
for own, colour in zip(devices, ("#0072B2", "#D55E00", "#009E73"), strict=True):
    level, spread = own[FEATURE], own[4 + FEATURE]
    axes[3].plot((level + spread * marginal(shape, x)) / 1e3, ".", ms=3, color=colour)
axes[3].set(title="4. three devices", xlabel="cycle", ylabel="R$_{LRS}$ (kohm)")
figure.savefig("from_noise_to_cells.png", dpi=120)
