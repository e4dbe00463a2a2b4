"""Layers on cells compared with plain torch, whole networks, training in situ.

Run it with: python benchmarks/machine_learning.py
"""

import os
import statistics
import time

import torch
from torch import nn

from synfab.torch import CrossbarLinear, PulsedSGD, convert, program, tasks

SIZE, BATCH, ROUNDS = 1024, 64, 30


def seconds(job) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def forward() -> None:
    """Compare a layer with noise and a plain product with as many normal numbers."""
    plain = nn.Linear(SIZE, SIZE)
    layer = CrossbarLinear.from_torch(plain, seed=1)
    x = torch.randn(BATCH, SIZE)
    jobs = {
        "plain": lambda: plain(x) + torch.randn(BATCH, SIZE),
        "on cells": lambda: layer(x),
    }
    with torch.no_grad():
        for job in jobs.values():
            job()
        times = {name: [] for name in jobs}
        for _ in range(ROUNDS):
            for name, job in jobs.items():
                times[name].append(seconds(job))
    theirs, ours = (statistics.median(values) for values in times.values())
    print(
        f"forward {SIZE} x {SIZE}, batch {BATCH}: plain product and noise {1e3 * theirs:.2f} ms, "
        f"layer on cells with noise {1e3 * ours:.2f} ms: ratio {ours / theirs:.2f}"
    )


def ten_million() -> None:
    network = nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(2)), nn.Linear(2048, 800))
    weights = sum(layer.weight.numel() for layer in network)
    begin = time.perf_counter()
    chip = convert(network, seed=1)
    converted = time.perf_counter()
    program(chip, "ideal")
    print(
        f"{weights / 1e6:.1f} million weights: convert {converted - begin:.1f} s, "
        f"ideal programming {time.perf_counter() - converted:.1f} s"
    )


def programming() -> None:
    network = tasks.perceptron(tasks.digits())
    for method in ("write-verify", "open-loop"):
        chip = convert(network, seed=1)
        took = seconds(lambda chip=chip, method=method: program(chip, method))
        print(f"{method} of a 64-64-10 network: {took:.2f} s")


def in_situ() -> None:
    task = tasks.digits()
    chip = convert(tasks.perceptron(task), seed=3, weight_range=1.0)
    begin = time.perf_counter()
    optimizer = PulsedSGD(chip, lr=0.1)
    tasks.fit(chip, optimizer, task, 20)
    took = time.perf_counter() - begin
    print(f"digits in situ, 20 epochs: {took:.0f} s, accuracy {tasks.accuracy(chip, task):.2%}")


def main() -> None:
    print(
        f"{os.cpu_count()} cores, torch {torch.__version__} with {torch.get_num_threads()} threads"
    )
    forward()
    programming()
    in_situ()
    ten_million()


if __name__ == "__main__":
    main()
