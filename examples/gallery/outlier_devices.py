"""Devices of the outlier component, about 4 % of the population, and all other devices."""

from matplotlib import pyplot as plt

import synfab as sf

model = sf.load_model()
cells = sf.CellArray(model, 4000, seed=1)
own = cells.device_parameters.astype(float)  # mean and deviation of the four features
rare = model.population.component(own) == model.population.weights.argmin()

figure = plt.figure(figsize=(6, 4.4), layout="constrained")
axis = figure.subplots()
axis.plot(own[~rare, 2] / 1e3, own[~rare, 3], ".", ms=3, color="#0072B2", alpha=0.5)
axis.plot(own[rare, 2] / 1e3, own[rare, 3], "x", ms=5, color="#D55E00")
axis.set(
    xlabel="mean LRS resistance of the device (kohm)",
    ylabel="mean RESET voltage of the device (V)",
    title=f"{rare.sum()} of {len(rare)} devices are outliers",
)
figure.savefig("outlier_devices.png", dpi=120)
