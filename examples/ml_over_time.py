"""Accuracy of many chips over ten years, with drift compensation and with refreshes.

Run it with: python examples/ml_over_time.py   (writes ml-over-time.png; --help shows options)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt

import synfab as sf
from synfab.torch import default_window, monte_carlo, tasks

COLOURS, MARKERS = ("#0072B2", "#E69F00", "#009E73"), ("o", "s", "^")
YEAR = 3.156e7

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--chips", type=int, default=20)
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--times", type=int, default=9, help="number of times, 1 s to 10 years")
parser.add_argument("--refresh", type=float, default=1.0, help="interval of refreshes, years")
parser.add_argument("--task", default="digits", help="digits, synthetic, or a folder with MNIST")
parser.add_argument("--output", type=Path, default=Path("ml-over-time.png"))
options = parser.parse_args()

# Assumed for this example: the published model with traps, two per decade from 1 ms to 1e13 s.
# They let a cell at a quarter of the full scale spread by 4, 6, 7 and 9 % of it after 10 ms, 1 s,
# 4 s and 1e5 s at 300 K, as a foundry's array does, and fall by 4 % of it on average.
published = sf.load_model("published")
full = default_window(published)[1]
per_decade = np.array([1.2, 1.5, 1.6] + [1.2] * 13) / 40.0  # of the full scale
traps = sf.model.Traps(
    time_constants=np.logspace(-3.0, 13.0, 33),
    spectrum=np.repeat(per_decade, 2),
    conductance=[0.0, 0.25 * full, full],
    amplitude=[0.5 * full, full, 1.5 * full],
    trap_spread=0.5,
    cell_spread=0.3,
    initial_occupancy=0.4,
    attempt_time=1e-13,
)
model = published.replace(name="with traps", traps=traps)

known = {"digits": tasks.digits, "synthetic": tasks.synthetic}
task = known[options.task]() if options.task in known else tasks.mnist(options.task)
torch.manual_seed(0)
network = tasks.perceptron(task, options.hidden)
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
tasks.fit(network, optimizer, task, options.epochs)
software = tasks.accuracy(network, task)
print(f"software: {software:.2%}")

times = np.geomspace(1.0, 10.0 * YEAR, options.times)
settings = {
    "programmed once": {},
    "one scale per layer": {"compensate": True},
    f"refreshed at intervals of {options.refresh:g} y": {
        "refresh": options.refresh * YEAR, "refreshing": {"tolerance": 0.05 * full},
    },
}  # fmt: skip
figure = plt.figure(figsize=(8.6, 4.0), layout="constrained")
axes = figure.subplots(1, 2, sharey=True)
print("kelvin  setting                    1 s       10 years  worst     rms error  pulses/cell")
for axis, kelvin in zip(axes, (300.0, 360.0), strict=True):
    for (name, setting), colour, marker in zip(settings.items(), COLOURS, MARKERS, strict=True):
        table = monte_carlo(
            network, lambda chip: tasks.accuracy(chip, task), range(options.chips), model=model,
            times=times, temperature=kelvin, **setting,
        )  # fmt: skip
        score = 100.0 * table.groupby("time")["score"].quantile([0.0, 0.5, 1.0]).unstack()
        axis.fill_between(times, score[0.0], score[1.0], color=colour, alpha=0.15, lw=0)
        axis.plot(times, score[0.5], color=colour, marker=marker, ms=5, label=name)
        last = table[table["time"] == times[-1]]
        print(
            f"{kelvin:6g}  {name:25s} {score[0.5].iloc[0]:7.2f} % {score[0.5].iloc[-1]:9.2f} % "
            f"{score[0.0].iloc[-1]:7.2f} % {1e6 * last.rms_error.median():7.2f} uS "
            f"{last.pulses.median():9.1f}"
        )
    axis.axhline(100.0 * software, color="0.5", ls="--", lw=1)
    axis.set(xscale="log", xlabel="time after programming", title=f"{kelvin:g} K")
    axis.set_xticks([1.0, 60.0, 3600.0, 86400.0, YEAR / 12.0, YEAR, 10.0 * YEAR])
    axis.set_xticklabels(["1 s", "1 min", "1 h", "1 day", "1 month", "1 y", "10 y"], fontsize=8)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
axes[0].text(times[0], 100.0 * software, "software", va="bottom", color="0.4")
axes[0].set_ylabel(f"test accuracy of {options.chips} chips (%)\nmedian, lowest to highest")
axes[0].legend(fontsize=9, loc="lower left")
figure.savefig(options.output, dpi=130)
