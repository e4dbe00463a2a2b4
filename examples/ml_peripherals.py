"""Accuracy on digits against the bits of the converters and the energy of an inference.

Four ways to read the same network: 4-bit cells in pairs with inputs at once, the same with inputs
bit by bit, weights in two 2-bit slices, and one cell per weight with a reference row. Every chip is
programmed once by write-verify; converter ranges are calibrated on training data.
Run it with: python examples/ml_peripherals.py   (writes ml-peripherals.png; --help)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from torch import nn

from synfab.torch import (
    CrossbarLayer,
    calibrate,
    conversion_report,
    convert,
    inference_costs,
    program,
    tasks,
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--chips", type=int, default=5)
parser.add_argument("--epochs", type=int, default=60, help="in software")
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--bits", type=int, nargs="+", default=[3, 4, 5, 6, 8, 10])
parser.add_argument("--percentile", type=float, default=99.9, help="of the converter ranges")
parser.add_argument("--task", default="digits", help="digits, synthetic, or a folder with MNIST")
parser.add_argument("--output", type=Path, default=Path("ml-peripherals.png"))
given = parser.parse_args()

known = {"digits": tasks.digits, "synthetic": tasks.synthetic}
task = known[given.task]() if given.task in known else tasks.mnist(given.task)
network = tasks.perceptron(task, given.hidden)
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
tasks.fit(network, optimizer, task, given.epochs)
software = tasks.accuracy(network, task)

SETTINGS = {
    "pairs": {"bits": 4, "dac": 8},
    "pairs, bit-serial": {"bits": 4, "dac": 1, "input_bits": 8},
    "2 slices, bit-serial": {"bits": 2, "slices": 2, "dac": 1, "input_bits": 8},
    "offset, bit-serial": {"bits": 4, "mapping": "offset", "dac": 1, "input_bits": 8},
}


def with_converters(chip: nn.Module, bits: int) -> nn.Module:
    """Give the converters of all layers other bits; the calibrated ranges stay."""
    for layer in chip.modules():
        if isinstance(layer, CrossbarLayer):
            layer.options = replace(layer.options, adc=bits)
    return chip


print(f"software: {software:.2%}")
accuracies, energies = {}, {}
for name, options in SETTINGS.items():
    scores = {bits: [] for bits in given.bits}
    for seed in range(given.chips):
        chip = convert(network, seed=seed, tile=(128, 128), adc=8, **options)
        program(chip, "write-verify")
        calibrate(chip, task.x[:500], percentile=given.percentile)
        for bits in given.bits:
            scores[bits].append(tasks.accuracy(with_converters(chip, bits), task))
    costs = {
        bits: inference_costs(with_converters(chip, bits), task.x_test[:100]).loc["total"]
        for bits in given.bits
    }
    accuracies[name] = [statistics.median(scores[bits]) for bits in given.bits]
    energies[name] = [costs[bits].energy for bits in given.bits]
    report = conversion_report(chip)
    print(f"{name}: {int(report.cells.sum())} cells, {int(report.tiles.sum())} tiles")
    for bits, accuracy in zip(given.bits, accuracies[name], strict=True):
        cost = costs[bits]
        print(
            f"  ADC {bits:2d} bits: median {accuracy:.2%}, worst {min(scores[bits]):.2%}, "
            f"{1e12 * cost.energy:.0f} pJ (cells {1e12 * cost.cell_energy:.0f}, "
            f"DAC {1e12 * cost.dac_energy:.0f}, ADC {1e12 * cost.adc_energy:.0f}), "
            f"{1e9 * cost.latency:.0f} ns, {1e12 * cost.area:.0f} um^2"
        )

figure = plt.figure(figsize=(8.4, 3.9), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
colours, markers = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), "osD^"
for name, colour, marker in zip(SETTINGS, colours, markers, strict=True):
    style = {"color": colour, "marker": marker, "ms": 5, "label": name}
    percent = [100.0 * accuracy for accuracy in accuracies[name]]
    left.plot(given.bits, percent, **style)
    right.plot([1e9 * energy for energy in energies[name]], percent, **style)
for axes in (left, right):
    axes.axhline(100.0 * software, color="0.5", ls="--", lw=1)
left.text(given.bits[0], 100.0 * software, "software", ha="left", va="bottom", color="0.4")
left.set(xlabel="bits of the ADC", ylabel=f"test accuracy, median of {given.chips} chips (%)")
left.set_xticks(given.bits)
left.legend(frameon=False, loc="lower right")
right.set(xscale="log", xlabel="energy per inference (nJ)")
right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
right.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
right.xaxis.set_minor_formatter(NullFormatter())
figure.savefig(given.output, dpi=130)
