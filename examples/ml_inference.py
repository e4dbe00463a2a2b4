"""Accuracy of many chips: train a network in software, program virtual chips, test each chip.

Run it with: python examples/ml_inference.py   (writes ml-inference.png; --help shows options)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
from pathlib import Path

import torch
from matplotlib import pyplot as plt

from synfab.torch import monte_carlo, tasks, without_outliers

COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--chips", type=int, default=20)
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--task", default="digits", help="digits, synthetic, or a folder with MNIST")
parser.add_argument("--output", type=Path, default=Path("ml-inference.png"))
options = parser.parse_args()

known = {"digits": tasks.digits, "synthetic": tasks.synthetic}
task = known[options.task]() if options.task in known else tasks.mnist(options.task)
network = tasks.perceptron(task, options.hidden)
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
tasks.fit(network, optimizer, task, options.epochs)
software = tasks.accuracy(network, task)
print(f"software: {software:.2%}")

clean = without_outliers("published")
settings = {
    "write-verify": {},
    "write-verify,\n2 ohm wires": {"wire_resistance": 2.0},
    "open loop": {"method": "open-loop"},
    "open loop,\nno outliers": {"method": "open-loop", "model": clean},
    "open loop,\n2 ohm wires": {"method": "open-loop", "wire_resistance": 2.0},
    "open loop, no outliers,\n2 ohm wires": {
        "method": "open-loop", "model": clean, "wire_resistance": 2.0,
    },
}  # fmt: skip
print(f"{'setting':44s} median  worst  rms error  pulses/cell  seconds/chip")
scores = []
for name, setting in settings.items():
    table = monte_carlo(network, lambda chip: tasks.accuracy(chip, task), range(options.chips),
                        **setting)  # fmt: skip
    scores.append(100.0 * table["score"])
    print(
        f"{' '.join(name.split()):44s} {table.score.median():.2%} {table.score.min():.2%} "
        f"{1e6 * table.rms_error.median():6.2f} uS {table.pulses.mean():10.1f} "
        f"{table.seconds.median():12.2f}"
    )

figure = plt.figure(figsize=(8.2, 4.2), layout="constrained")
axis = figure.subplots()
for place, values in enumerate(scores):
    spread = [place + 0.25 * ((k * 0.618) % 1.0 - 0.5) for k in range(len(values))]
    axis.plot(spread, values, "o", color=COLOURS[place], ms=5, alpha=0.7)
    axis.hlines(values.median(), place - 0.3, place + 0.3, color="black", lw=1.5)
axis.axhline(100.0 * software, color="0.5", ls="--", lw=1)
axis.text(len(scores) - 0.5, 100.0 * software, "software ", ha="right", va="bottom", color="0.4")
axis.set_xticks(range(len(scores)), list(settings), fontsize=8)
axis.set(ylabel="test accuracy (%)", title=f"{options.chips} chips each; bars: medians")
figure.savefig(options.output, dpi=130)
