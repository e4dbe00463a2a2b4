"""Layers on cells compared with PyTorch: forward, convolution, conversion, programming, memory.

Run it with: python benchmarks/layers.py [--large]

Times are CPU times of all threads, medians of runs that alternate between the candidates, so that
other programs on the machine disturb them little. Ratios are to PyTorch in the same process.
"""

import argparse
import math
import os
import resource
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import synfab as sf
from synfab.programming.passes import KernelPasses
from synfab.torch import (
    CrossbarConv2d,
    CrossbarLinear,
    PulsedSGD,
    convert,
    monte_carlo,
    program,
    tasks,
)

Job = Callable[[], object]


def cpu(job: Job) -> float:
    begin = time.process_time()
    job()
    return time.process_time() - begin


def alternating(jobs: dict[str, Job], rounds: int) -> dict[str, float]:
    """Return the median time of each job, s."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    with torch.no_grad():
        for job in jobs.values():
            job()
        for _ in range(rounds):
            for name, job in jobs.items():
                times[name].append(cpu(job))
    return {name: statistics.median(values) for name, values in times.items()}


def table(title: str, jobs: dict[str, Job], rounds: int = 30) -> None:
    """Print times, and ratios to the first job."""
    found = alternating(jobs, rounds)
    first = next(iter(found.values()))
    print(f"\n{title}\n")
    print("| | ms | ratio |\n|---|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {1e3 * seconds:.2f} | {seconds / first:.2f} |")


def forward(size: int = 1024, batch: int = 64) -> None:
    plain = nn.Linear(size, size)
    x = torch.randn(batch, size)
    options = {
        "cells, no noise": {"noise": False},
        "linear cells, no noise": {"noise": False, "linear": True},
        "cells with read noise": {},
    }
    layers = {
        name: CrossbarLinear.from_torch(plain, seed=1, **given).eval()
        for name, given in options.items()
    }
    table(
        f"Forward, {size} x {size}, batch {batch}",
        {
            "torch: product": lambda: plain(x),
            "torch: product and randn": lambda: plain(x) + torch.randn(batch, size),
            **{name: (lambda layer=layer: layer(x)) for name, layer in layers.items()},
        },
    )


def convolution() -> None:
    plain = nn.Conv2d(16, 16, 3, padding=1)
    x = torch.randn(16, 16, 32, 32)
    weight = plain.weight.detach().reshape(16, -1)
    layer = CrossbarConv2d.from_torch(plain, seed=1).eval()
    quiet = CrossbarConv2d.from_torch(plain, seed=1, noise=False).eval()

    def unfolded() -> Tensor:
        y = torch.matmul(weight, functional.unfold(x, 3, padding=1))
        return y + torch.randn(16, 16, 1024)

    table(
        "Conv2d 16-16, 3 x 3, 16 x 16 x 32 x 32",
        {
            "torch: Conv2d": lambda: plain(x),
            "torch: Conv2d and randn": lambda: plain(x) + torch.randn(16, 16, 32, 32),
            "torch: unfold, product and randn": unfolded,
            "cells, no noise": lambda: quiet(x),
            "cells with read noise": lambda: layer(x),
        },
        15,
    )


def wires(size: int = 128, batch: int = 64) -> None:
    plain = nn.Linear(size, size)
    x = torch.randn(batch, size)
    options = {"noise": False, "wire_resistance": 1.0}
    ideal = CrossbarLinear.from_torch(plain, seed=1, noise=False).eval()
    transfer = CrossbarLinear.from_torch(plain, seed=1, wire_model="transfer", **options).eval()
    with torch.no_grad():
        first = cpu(lambda: transfer(x))
        solved = CrossbarLinear.from_torch(plain, seed=1, **options).eval()
        exact, seconds = solved(x), cpu(lambda: solved(x))
        error = float((transfer(x) - exact).abs().max() / (exact - plain.bias).abs().max())
    table(
        f"Through wires of 1 ohm, {size} x {size}, batch {batch}",
        {"cells, ideal wires": lambda: ideal(x), "transfer matrix": lambda: transfer(x)},
    )
    print(
        f"\nmatrix computed once in {first:.2f} s; solved for every vector: {seconds:.2f} s; "
        f"largest error of the correction: {error:.2%} of the largest current"
    )


def conversion(millions: int) -> None:
    width = 2048
    layers = math.ceil(millions * 1e6 / width**2)
    network = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(layers)))
    weights = layers * width**2
    chips: list[nn.Module] = []
    seconds = cpu(lambda: chips.append(convert(network, seed=1)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nconvert {weights / 1e6:.1f} million weights: {seconds:.1f} s, peak {peak:.1f} GiB")


def state_bytes(layer: nn.Module) -> float:
    """Return the size of the state of the cells, bytes per cell."""
    state = layer.state_dict()["_extra_state"]
    parts = [tile for tile in state.values() if isinstance(tile, dict)]
    tensors = [x for tile in parts for x in tile.values() if isinstance(x, torch.Tensor)]
    return sum(x.nbytes for x in tensors) / (2 * layer.weight.numel())


def programming(size: int = 256) -> None:
    layer = CrossbarLinear(size, size, seed=1)
    print(f"\nstate_dict of cells without pulses: {state_bytes(layer):.0f} bytes per cell")
    program(CrossbarLinear(8, 8, seed=1))  # compiles the kernels
    seconds = cpu(lambda: program(layer, "write-verify"))
    cells = 2 * size**2
    print(
        f"write-verify of {cells} cells: {seconds:.2f} s, {seconds / cells * 2**21:.0f} s per 2^21"
    )
    print(f"state_dict after write-verify: {state_bytes(layer):.0f} bytes per cell")


def chips(count: int = 20) -> None:
    """Compare chips programmed together, in kernels, with passes that Python calls one by one."""
    task = tasks.digits()
    network = tasks.perceptron(task)

    def evaluated() -> None:
        monte_carlo(network, lambda chip: tasks.accuracy(chip, task), range(count))

    def one_by_one() -> None:
        with (
            patch.object(KernelPasses, "of", return_value=None),
            patch("synfab.torch.montecarlo.CELLS_AT_ONCE", 1),
        ):
            evaluated()

    jobs = {f"{count} chips together": evaluated, f"{count} chips, passes one by one": one_by_one}
    table("monte_carlo, digits 64-64-10", jobs, rounds=3)


def update(size: int = 256) -> None:
    layer = CrossbarLinear(size, size, seed=1)
    begin = cpu(lambda: PulsedSGD(layer, lr=0.01))
    programming = cpu(PulsedSGD(layer, lr=0.01).program)
    pulsed = sf.CellArray("published", (2 * size, size), seed=1).apply_voltage(-2.0)
    u = np.full(pulsed.shape, 1.0)
    cells = 2 * size**2
    print(
        f"PulsedSGD of {cells} cells: created in {begin:.4f} s, programmed in {programming:.2f} s"
    )
    print(
        f"RESET pulse to {pulsed.size} cells: {1e3 * cpu(lambda: pulsed.apply_voltage(u)):.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="also convert 100 million weights")
    large = parser.parse_args().large
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    print(f"{os.cpu_count()} cores, torch {torch.__version__} with {threads} threads")
    forward()
    convolution()
    wires()
    conversion(10)
    programming()
    chips()
    update()
    if large:
        conversion(100)


if __name__ == "__main__":
    main()
