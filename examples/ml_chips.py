"""Accuracy over many chips: programmed, trained hardware-aware and trained in situ.

A perceptron and a small convolutional network on the digits; chips with the outlier devices of the
technology, and without. The seeds of chips, weights and batches are fixed. Training in situ takes
longest, so fewer chips are trained.
Run it with: python examples/ml_chips.py   (prints a table, writes ml-chips.png; --help)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn

import synfab as sf
from synfab.torch import (
    MixedPrecisionSGD,
    bake,
    convert,
    hardware_aware,
    measure_errors,
    monte_carlo,
    tasks,
    without_outliers,
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--chips", type=int, default=20)
parser.add_argument("--in-situ-chips", type=int, default=5)
parser.add_argument("--epochs", type=int, default=30, help="in software")
parser.add_argument("--aware-epochs", type=int, default=10)
parser.add_argument("--in-situ-epochs", type=int, default=20)
parser.add_argument("--output", type=Path, default=Path("ml-chips.png"))
options = parser.parse_args()


def convolutional() -> nn.Sequential:
    """Return a small network for images of 8 x 8 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
        )


results: dict[tuple[str, str, str], list[float]] = {}


def line(network: str, outliers: str, treatment: str, scores: Iterable[float]) -> None:
    """Keep the accuracies of chips, and print a row of the table."""
    found = 100.0 * np.asarray(list(scores))
    results[network, outliers, treatment] = found.tolist()
    cells = (network, outliers, treatment, len(found), f"{np.median(found):.2f} %")
    print("|", *(f"{cell} |" for cell in cells), f"{found.min():.2f} % |", flush=True)


digits = tasks.digits()
images = digits._replace(x=digits.x.reshape(-1, 1, 8, 8), x_test=digits.x_test.reshape(-1, 1, 8, 8))
technologies = {"with": sf.load_model(), "without": without_outliers("published")}
print(
    "| network | outlier devices | treatment | chips | median | worst |\n|---|---|---|---|---|---|"
)
for title, task, make in (
    ("perceptron", digits, lambda: tasks.perceptron(digits)),
    ("convolutional", images, convolutional),
):
    network = make()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
    tasks.fit(network, optimizer, task, options.epochs)
    line(title, "", "software", [tasks.accuracy(network, task)])

    def score(chip: nn.Module, task: tasks.Task = task) -> float:
        """Return the accuracy of a chip."""
        return tasks.accuracy(chip, task)

    for outliers, model in technologies.items():
        seeds = range(options.chips)
        for method in ("write-verify", "open-loop"):
            table = monte_carlo(network, score, seeds, model=model, method=method)
            line(title, outliers, method, table.score)
        errors = measure_errors(model, "open-loop", seed=1000)
        aware = hardware_aware(network, model, seed=1, errors=errors, noise=True)
        optimizer = torch.optim.Adam(aware.parameters(), lr=2e-3)
        tasks.fit(aware, optimizer, task, options.aware_epochs, batch=64)
        table = monte_carlo(bake(aware), score, seeds, model=model, method="open-loop")
        line(title, outliers, "hardware-aware, open-loop", table.score)
        trained = []
        for seed in range(options.in_situ_chips):
            chip = convert(make(), model, seed=seed)
            pulses = MixedPrecisionSGD(chip, lr=0.1)
            pulses.program()
            tasks.fit(chip, pulses, task, options.in_situ_epochs)
            trained.append(score(chip))
        line(title, outliers, "in situ, mixed precision", trained)

TREATMENTS = ("write-verify", "open-loop", "hardware-aware, open-loop", "in situ, mixed precision")
LABELS = (
    "write-\nverify",
    "open\nloop",
    "hardware-\naware,\nopen loop",
    "in situ,\nmixed\nprecision",
)
STYLES = {"with": ("#D55E00", "outlier devices"), "without": ("#0072B2", "no outlier devices")}
figure = plt.figure(figsize=(8.6, 3.9), layout="constrained")
for axis, title in zip(figure.subplots(1, 2), ("perceptron", "convolutional"), strict=True):
    software = results[title, "", "software"][0]
    axis.axhline(software, color="0.5", ls="--", lw=1, label="software")
    for shift, (outliers, (colour, label)) in zip((-0.18, 0.18), STYLES.items(), strict=True):
        for place, treatment in enumerate(TREATMENTS):
            scores = results[title, outliers, treatment]
            spread = [place + shift + 0.2 * ((k * 0.618) % 1.0 - 0.5) for k in range(len(scores))]
            named = {"label": label} if place == 0 else {}
            axis.plot(spread, scores, "o", color=colour, ms=4, alpha=0.6, **named)
            ends = (place + shift - 0.14, place + shift + 0.14)
            axis.plot(ends, [np.median(scores)] * 2, color="black", lw=1.5)
    axis.set_xticks(range(len(TREATMENTS)), LABELS, fontsize="small")
    axis.set(ylabel="test accuracy (%)", title=title)
    axis.legend(frameon=False, fontsize="small", loc="lower left")
figure.savefig(options.output, dpi=130)
