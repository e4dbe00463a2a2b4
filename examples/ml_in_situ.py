"""Training in situ: every weight update is carried out by pulses on the cells of one chip.

Run it with: python examples/ml_in_situ.py   (writes ml-in-situ.png; --help shows options)
It needs PyTorch: pip install '.[torch]'
"""

import argparse
import time
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

import synfab as sf
from synfab.torch import PulsedSGD, convert, tasks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=3, help="seed of the chip")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--hidden", type=int, default=64)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--task", default="digits", help="digits, synthetic, or a folder with MNIST")
parser.add_argument("--checkpoints", help="folder; an interrupted run resumes there")
parser.add_argument("--output", type=Path, default=Path("ml-in-situ.png"))
options = parser.parse_args()

known = {"digits": tasks.digits, "synthetic": tasks.synthetic}
task = known[options.task]() if options.task in known else tasks.mnist(options.task)
begin = time.perf_counter()
chip = convert(tasks.perceptron(task, options.hidden), seed=options.seed, weight_range=1.0)
optimizer = PulsedSGD(chip, lr=options.lr)
optimizer.program()  # counted in the report


def note(epoch: int) -> dict[str, float]:
    """Return accuracy, pulses and energy (J) after an epoch, summed over all cells."""
    spent = optimizer.report()
    score = tasks.accuracy(chip, task)
    return {"accuracy": score, "pulses": int(spent.pulses.sum()), "energy": spent.energy.sum()}


kept = options.checkpoints and sf.Checkpoints(options.checkpoints, resume=True)
start = note(-1)
course = [start, *tasks.fit(chip, optimizer, task, options.epochs, after=note, checkpoints=kept)]
took = time.perf_counter() - begin
report = optimizer.report()
print(f"accuracy {course[-1]['accuracy']:.2%} after {options.epochs} epochs, {took:.0f} s")
print(report.T.to_string(float_format="{:.4g}".format))

epochs = list(range(len(course)))
figure = plt.figure(figsize=(8.2, 3.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(epochs, [100.0 * now["accuracy"] for now in course], "o-", color="#0072B2")
left.axhline(90.0, color="0.6", ls=":", lw=1)
left.set(xlabel="epoch", ylabel="test accuracy (%)")
cells = report.cells.sum()
pulses = [(now["pulses"] - start["pulses"]) / cells for now in course]
energy = [1e12 * (now["energy"] - start["energy"]) / cells for now in course]
right.plot(epochs, pulses, "s-", color="#D55E00", label="pulses per cell")
right.plot(epochs, energy, "^--", color="#009E73", label="pJ per cell")
right.set(xlabel="epoch", ylabel="used in training", ylim=(0.0, None))
right.legend(frameon=False)
for axis in (left, right):
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
figure.savefig(options.output, dpi=130)
