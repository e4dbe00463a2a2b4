"""Five ways to train in situ, on a perceptron and on a small convolutional network, compared.

All train the same cells of one chip on the digits, from the same random weights; plain SGD in
software is the reference. Cells of a second array (Tiki-Taka) are counted with the others.
Run it with: python examples/ml_in_situ_methods.py   (writes ml-in-situ-methods.png; --help)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from torch import nn

from synfab.torch import (
    MixedPrecisionSGD,
    PulsedSGD,
    StochasticPulseSGD,
    TikiTaka,
    TikiTakaV2,
    convert,
    tasks,
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=3, help="seed of the chip")
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--output", type=Path, default=Path("ml-in-situ-methods.png"))
options = parser.parse_args()

transfer = {"lr": 0.3, "transfer_lr": 0.3, "columns": 8}
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "pulse and read": (PulsedSGD, {"lr": 0.1}),
    "mixed precision": (MixedPrecisionSGD, {"lr": 0.1}),
    "stochastic, staircase": (StochasticPulseSGD, {"lr": 0.1}),
    "stochastic, equal pulses": (StochasticPulseSGD, {"lr": 0.1, "voltage": 1.0}),
    "Tiki-Taka": (TikiTaka, transfer),
    "Tiki-Taka v2": (TikiTakaV2, transfer),
}
COLOURS = ("#0072B2", "#009E73", "#D55E00", "#999999", "#CC79A7", "#E69F00")


def convolutional() -> nn.Sequential:
    """Return a small network for images of 8 x 8 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
        )


def cost(report: pd.DataFrame, first: pd.DataFrame) -> dict[str, float]:
    """Return what training spent per cell, and the cycles of the cell with most of them."""
    cells = report.cells.sum()
    return {
        "pulses": (report.pulses.sum() - first.pulses.sum()) / cells,
        "energy": 1e12 * (report.energy.sum() - first.energy.sum()) / cells,
        "cycles": (report.cycles_a_cell * report.cells).sum() / cells,
        "most_cycles": report.most_cycles.max(),
    }


def course(network: nn.Module, optimizer: torch.optim.Optimizer, task: tasks.Task) -> list[float]:
    """Train a network; return its accuracy before, and after each epoch."""

    def score(_: int) -> float:
        return tasks.accuracy(network, task)

    return [score(0), *tasks.fit(network, optimizer, task, options.epochs, after=score)]


digits = tasks.digits()
images = digits._replace(x=digits.x.reshape(-1, 1, 8, 8), x_test=digits.x_test.reshape(-1, 1, 8, 8))
results: dict[str, dict[str, tuple[list[float], dict[str, float]]]] = {}
reference: dict[str, list[float]] = {}
for title, task, make in (
    ("perceptron, 64-64-10", digits, lambda: tasks.perceptron(digits)),
    ("convolutional network", images, convolutional),
):
    plain = make()
    reference[title] = course(plain, torch.optim.SGD(plain.parameters(), lr=0.1), task)
    print(f"{title}: {reference[title][-1]:.2%} in software", flush=True)
    results[title] = {}
    for name, (kind, settings) in METHODS.items():
        begin = time.process_time()
        chip = convert(make(), seed=options.seed)
        optimizer = kind(chip, **settings)
        optimizer.program()
        first, scores = optimizer.report(), course(chip, optimizer, task)
        spent = cost(optimizer.report(), first)
        results[title][name] = scores, spent
        took = time.process_time() - begin
        text = ", ".join(f"{what} {value:.4g}" for what, value in spent.items())
        print(f"{name}: {scores[-1]:.2%}, best {max(scores):.2%}; {text}; {took:.0f} s", flush=True)

COSTS = {
    "pulses": "pulses per cell",
    "energy": "energy (pJ per cell)",
    "most_cycles": "cycles, most of a cell",
}
figure = plt.figure(figsize=(11.0, 6.4), layout="constrained")
rows = figure.subplots(2, 4, gridspec_kw={"width_ratios": [2.0, 1.0, 1.0, 1.0]})
for axes, (title, methods) in zip(rows, results.items(), strict=True):
    axes[0].plot([100.0 * a for a in reference[title]], "k--", lw=1, label="SGD in software")
    for colour, (name, (scores, _)) in zip(COLOURS, methods.items(), strict=True):
        axes[0].plot([100.0 * a for a in scores], "o-", ms=3, color=colour, label=name)
    axes[0].set(xlabel="epoch", ylabel="test accuracy (%)", title=title, ylim=(0.0, 100.0))
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis, (what, label) in zip(axes[1:], COSTS.items(), strict=True):
        values = [costs[what] for _, costs in methods.values()]
        axis.barh(range(len(values)), values, color=COLOURS)
        axis.set(xlabel=label, yticks=[])
        axis.invert_yaxis()
named = rows[0][0].get_legend_handles_labels()
figure.legend(*named, loc="outside lower center", ncols=4, frameon=False)
figure.savefig(options.output, dpi=130)
