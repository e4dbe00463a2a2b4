"""Training in situ: every update of the weights is pulses on the cells of one chip.

Run it with: python examples/ml_in_situ.py   (writes ml-in-situ.png; --help shows options)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
import time
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synfab.torch import PulsedSGD, convert, tasks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=3, help="the chip")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--task", default="digits", help="digits, synthetic, or a folder with MNIST")
parser.add_argument("--output", type=Path, default=Path("ml-in-situ.png"))
options = parser.parse_args()

known = {"digits": tasks.digits, "synthetic": tasks.synthetic}
task = known[options.task]() if options.task in known else tasks.mnist(options.task)
begin = time.perf_counter()
chip = convert(tasks.perceptron(task, options.hidden), seed=options.seed, weight_range=1.0)
optimizer = PulsedSGD(chip, lr=options.lr)
course = [(0, tasks.accuracy(chip, task), optimizer.report())]


def note(epoch: int) -> None:
    course.append((epoch + 1, tasks.accuracy(chip, task), optimizer.report()))


tasks.fit(chip, optimizer, task, options.epochs, after=note)
took = time.perf_counter() - begin
report = course[-1][2]
print(f"accuracy {course[-1][1]:.2%} after {options.epochs} epochs, {took:.0f} s")
print(report.T.to_string(float_format="{:.4g}".format))

epochs = [epoch for epoch, _, _ in course]
figure = Figure(figsize=(8.2, 3.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(epochs, [100.0 * score for _, score, _ in course], "o-", color="#0072B2")
left.axhline(90.0, color="0.6", ls=":", lw=1)
left.set(xlabel="epoch", ylabel="test accuracy (%)")
first = course[0][2].pulses.sum()
cells = report.cells.sum()
pulses = [(table.pulses.sum() - first) / cells for _, _, table in course]
energy = [1e12 * (table.energy - course[0][2].energy).sum() / cells for _, _, table in course]
right.plot(epochs, pulses, "s-", color="#D55E00", label="pulses a cell")
right.plot(epochs, energy, "^--", color="#009E73", label="pJ a cell")
right.set(xlabel="epoch", ylabel="spent in training", ylim=(0.0, None))
right.legend(frameon=False)
for axis in (left, right):
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
figure.savefig(options.output, dpi=130)
