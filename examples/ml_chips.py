"""Accuracy over many chips: four networks, programmed, trained hardware-aware and in situ.

A perceptron, a convolutional network and a GRU (which reads the rows of an image one after another)
classify digits; a small transformer recalls the value of a key. Each is evaluated on chips with and
without the outlier devices of the technology, and with ideal wires or wires of 2 ohm per segment.
Seeds are fixed. Training in situ takes longest: fewer chips are trained, and one through wires.
Settings are computed by several processes.
Run it with: python examples/ml_chips.py   (prints a table, writes ml-chips.png; --help)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor, nn

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
parser.add_argument("--in-situ-chips", type=int, default=4)
parser.add_argument("--epochs", type=int, default=20, help="in software")
parser.add_argument("--aware-epochs", type=int, default=3)
parser.add_argument("--in-situ-epochs", type=int, default=10)
parser.add_argument("--samples", type=int, default=2400, help="sequences of the transformer")
parser.add_argument("--workers", type=int, default=2, help="number of processes")
parser.add_argument("--output", type=Path, default=Path("ml-chips.png"))
options = parser.parse_args()


class Recurrent(nn.Module):
    """GRU that reads the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 32, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the classes for images (B, 8, 8)."""
        last: Tensor = self.head(self.gru(x)[0][:, -1])
        return last


class Transformer(nn.Module):
    """One encoder layer with two heads, for the task ``recall``."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(16, 32)
        self.encoder = nn.TransformerEncoderLayer(
            32, nhead=2, dim_feedforward=64, dropout=0.0, batch_first=True, norm_first=True
        )
        self.head = nn.Linear(32, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the values for sequences (B, steps, 16)."""
        last: Tensor = self.head(self.encoder(self.embed(x))[:, -1])
        return last


def convolutional() -> nn.Sequential:
    """Return a small network for images of 8 x 8 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )


class Case(NamedTuple):
    """A network with its task; ``lr`` is the learning rate in situ."""

    task: tasks.Task
    make: Callable[[], nn.Module]
    lr: float

    def network(self) -> nn.Module:
        """Return the network with the initial weights of seed 0."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.make()

    def score(self, chip: nn.Module) -> float:
        """Return the accuracy of a chip."""
        return tasks.accuracy(chip, self.task)


def shaped(task: tasks.Task, *shape: int) -> tasks.Task:
    """Return a task whose inputs have another shape."""
    return task._replace(x=task.x.reshape(-1, *shape), x_test=task.x_test.reshape(-1, *shape))


digits = tasks.digits()
CASES = {
    "perceptron": Case(digits, lambda: tasks.perceptron(digits), 0.03),
    "convolutional": Case(shaped(digits, 1, 8, 8), convolutional, 0.03),
    "GRU": Case(shaped(digits, 8, 8), Recurrent, 0.1),
    "transformer": Case(tasks.recall(options.samples), Transformer, 0.03),
}
TECHNOLOGIES = {"outliers": sf.load_model(), "no outliers": without_outliers("published")}
WIRES: dict[str, dict[str, Any]] = {
    "ideal wires": {},
    "2 ohm wires": {"wire_resistance": 2.0, "tile": (64, 64)},
}
SETTINGS = list(product(WIRES, TECHNOLOGIES))
TREATMENTS = ("write-verify", "open loop", "hardware-aware", "in situ")
Results = dict[tuple[str, str, str, str], list[float]]


def on_chips(
    case: Case, network: nn.Module, model: sf.CellModel, method: str, wires: dict[str, Any]
) -> list[float]:
    """Return the accuracies of a network programmed on many chips."""
    table = monte_carlo(
        network, case.score, range(options.chips), model=model, method=method,
        wire_model="transfer", **wires,
    )  # fmt: skip
    return list(table.score)


def trained_aware(
    case: Case, network: nn.Module, model: sf.CellModel, wires: dict[str, Any]
) -> nn.Module:
    """Return the network after hardware-aware training for open-loop programming."""
    errors = measure_errors(model, "open-loop", seed=1000)
    aware = hardware_aware(network, model, seed=1, errors=errors, noise=True, **wires)
    optimizer = torch.optim.Adam(aware.parameters(), lr=2e-3)
    tasks.fit(aware, optimizer, case.task, options.aware_epochs, batch=64)
    return bake(aware)


def trained_in_situ(case: Case, model: sf.CellModel, wires: dict[str, Any], seed: int) -> float:
    """Return the accuracy of a chip that was trained in situ, from random weights."""
    chip = convert(case.network(), model, seed=seed, wire_model="transfer", **wires)
    optimizer = MixedPrecisionSGD(chip, lr=case.lr, momentum=0.9)
    tasks.fit(chip, optimizer, case.task, options.in_situ_epochs)
    return case.score(chip)


@cache
def software(title: str) -> nn.Module:
    """Return the network trained in software."""
    case = CASES[title]
    network = case.network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
    tasks.fit(network, optimizer, case.task, options.epochs)
    return network


def measured(title: str, wires: str, kind: str) -> Results:
    """Return the accuracies (0 to 1) of all chips in one setting, and that in software."""
    torch.set_num_threads(1)
    case, model, wired = CASES[title], TECHNOLOGIES[kind], WIRES[wires]
    network, key = software(title), (title, wires, kind)
    results = {(title, "", "", "software"): [case.score(network)]}
    for treatment, method in zip(TREATMENTS, ("write-verify", "open-loop"), strict=False):
        results[*key, treatment] = on_chips(case, network, model, method, wired)
    aware = trained_aware(case, network, model, wired)
    results[*key, "hardware-aware"] = on_chips(case, aware, model, "open-loop", wired)
    chips = 1 if wired else options.in_situ_chips
    results[*key, "in situ"] = [trained_in_situ(case, model, wired, seed) for seed in range(chips)]
    return results


def table(results: Results) -> str:
    """Return the median and the worst accuracy of each setting as a table."""
    lines = ["| network | treatment | " + " | ".join(map(", ".join, SETTINGS)) + " |"]
    lines.append("|---" * (2 + len(SETTINGS)) + "|")
    for title in CASES:
        plain = 100.0 * results[title, "", "", "software"][0]
        lines.append(f"| {title} | software | {plain:.1f} % |" + " |" * (len(SETTINGS) - 1))
        for treatment in TREATMENTS:
            found = [100.0 * np.array(results[title, *key, treatment]) for key in SETTINGS]
            cells = " | ".join(f"{np.median(s):.1f} % ({s.min():.1f} %)" for s in found)
            lines.append(f"| {title} | {treatment} | {cells} |")
    return "\n".join(lines)


def draw(results: Results) -> Figure:
    """Return a figure with one dot for each chip, and medians as lines."""
    figure = plt.figure(figsize=(8.6, 6.6), layout="constrained")
    colours = dict(zip(WIRES, ("#0072B2", "#D55E00"), strict=True))
    fills = dict(zip(TECHNOLOGIES, (True, False), strict=True))
    for axis, title in zip(figure.subplots(2, 2).flat, CASES, strict=True):
        axis.axhline(100.0 * results[title, "", "", "software"][0], color="0.5", ls="--", lw=1)
        for (place, treatment), (k, key) in product(enumerate(TREATMENTS), enumerate(SETTINGS)):
            scores = 100.0 * np.array(results[title, *key, treatment])
            middle = place + 0.2 * (k - 1.5)
            spread = middle + 0.1 * ((0.618 * np.arange(len(scores))) % 1.0 - 0.5)
            colour = colours[key[0]]
            face = colour if fills[key[1]] else "none"
            axis.plot(spread, scores, "o", ms=3.5, mec=colour, mfc=face, mew=0.8, alpha=0.7)
            ends = (middle - 0.085, middle + 0.085)
            axis.plot(ends, [np.median(scores)] * 2, color="black", lw=1.5)
        labels = [treatment.replace(" ", "\n").replace("-", "-\n") for treatment in TREATMENTS]
        axis.set_xticks(range(len(TREATMENTS)), labels, fontsize="small")
        axis.set(ylabel="test accuracy (%)", title=title)
    handles = [Line2D([], [], color="0.5", ls="--", lw=1, label="software")]
    for (wires, colour), (kind, filled) in product(colours.items(), fills.items()):
        face = colour if filled else "none"
        handles.append(
            Line2D([], [], ls="", marker="o", ms=5, mec=colour, mfc=face, label=f"{wires}, {kind}")
        )
    figure.legend(
        handles=handles, ncols=3, frameon=False, fontsize="small", loc="outside lower center"
    )
    return figure


def main() -> None:
    """Measure all settings, print the table and draw the figure."""
    results: Results = {}
    jobs = [(title, *setting) for title, setting in product(CASES, SETTINGS)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, spawn) as pool:
        for part in pool.map(measured, *zip(*jobs, strict=True)):
            results.update(part)
    print(table(results))
    draw(results).savefig(options.output, dpi=130)


if __name__ == "__main__":
    main()
