"""Accuracy lost on coarse chips, and the part of it that hardware-aware training recovers.

Coarse chips have 4-bit cells and 5 ohm wires, and are programmed open loop. Hardware-aware training
includes the errors of programmed test cells, the levels and the wires in the forward pass.
Run it with: python examples/ml_hardware_aware.py   (writes ml-hardware-aware.png; --help)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
from pathlib import Path

import torch
from matplotlib import pyplot as plt

from synfab.torch import bake, hardware_aware, measure_errors, monte_carlo, tasks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--chips", type=int, default=20)
parser.add_argument("--epochs", type=int, default=60, help="in software")
parser.add_argument("--aware-epochs", type=int, default=10)
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--task", default="digits", help="digits, synthetic, or a folder with MNIST")
parser.add_argument("--output", type=Path, default=Path("ml-hardware-aware.png"))
options = parser.parse_args()

known = {"digits": tasks.digits, "synthetic": tasks.synthetic}
task = known[options.task]() if options.task in known else tasks.mnist(options.task)
network = tasks.perceptron(task, options.hidden)
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
tasks.fit(network, optimizer, task, options.epochs)
software = tasks.accuracy(network, task)

coarse = {"bits": 4, "wire_resistance": 5.0}
errors = measure_errors("published", "open-loop", seed=1000)
aware = hardware_aware(network, seed=1, errors=errors, clip=3.0, **coarse)
optimizer = torch.optim.Adam(aware.parameters(), lr=2e-3)
course: list[float] = []
tasks.fit(aware, optimizer, task, options.aware_epochs, batch=64,
          after=lambda _: course.append(tasks.accuracy(aware, task)))  # fmt: skip

tables = [
    monte_carlo(each, lambda chip: tasks.accuracy(chip, task), range(options.chips),
                method="open-loop", **coarse)
    for each in (network, bake(aware))
]  # fmt: skip
before, after = (table.score.median() for table in tables)
print(f"software: {software:.2%}")
print(f"coarse chips, trained in software: median {before:.2%}, worst {tables[0].score.min():.2%}")
print(f"coarse chips, hardware-aware: median {after:.2%}, worst {tables[1].score.min():.2%}")
lost = software - before
if lost > 0.0:
    print(f"recovered: {(after - before) / lost:.0%} of {100 * lost:.1f} points lost")

figure = plt.figure(figsize=(8.2, 3.8), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(1e6 * errors.targets, 1e6 * errors.deviation, "o-", color="#D55E00", label="deviation")
left.plot(1e6 * errors.targets, 1e6 * errors.mean, "s--", color="#0072B2", label="mean")
left.set(xlabel="target (uS)", ylabel="error of open-loop programming (uS)")
left.legend(frameon=False)
colours = ("#D55E00", "#009E73")
for place, table in enumerate(tables):
    spread = [place + 0.25 * ((k * 0.618) % 1.0 - 0.5) for k in range(len(table))]
    right.plot(spread, 100.0 * table.score, "o", color=colours[place], ms=5, alpha=0.7)
    right.hlines(100.0 * table.score.median(), place - 0.3, place + 0.3, color="black", lw=1.5)
right.axhline(100.0 * software, color="0.5", ls="--", lw=1)
right.text(1.5, 100.0 * software, "software ", ha="right", va="bottom", color="0.4")
right.set_xticks([0, 1], ["trained\nin software", "hardware-\naware"])
right.set(xlim=(-0.5, 1.5), ylabel="test accuracy (%)", title=f"{options.chips} coarse chips")
figure.savefig(options.output, dpi=130)
