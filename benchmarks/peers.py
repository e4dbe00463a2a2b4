"""Layers on cells compared with aihwkit and CrossSim in one process, where they are installed.

Run it with: PYTHONPATH=.cache/adapters:PATH/OF/CROSSSIM python -m benchmarks.peers

Each package runs with its own defaults and with the noise of its reads. Times are CPU times,
medians of runs that alternate between the packages; ratios are to PyTorch in the same process.
"""

import argparse
import copy
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata

import psutil
import torch
from torch import nn

from benchmarks.layers import Job, alternating, state_bytes
from benchmarks.machine import processor
from synfab.torch import StochasticPulseSGD, convert, program

Convert = Callable[[nn.Module], nn.Module]


def synfab_layers(network: nn.Module) -> nn.Module:
    return convert(network, seed=1)


def aihwkit_torch(network: nn.Module) -> nn.Module:
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    return convert_to_analog(network, TorchInferenceRPUConfig())


def aihwkit_compiled(network: nn.Module) -> nn.Module:
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import InferenceRPUConfig

    return convert_to_analog(network, InferenceRPUConfig())


def crosssim(network: nn.Module, read_noise: bool = True) -> nn.Module:
    from simulator import CrossSimParameters
    from simulator.algorithms.dnn.torch.convert import from_torch

    parameters = CrossSimParameters()
    device = parameters.xbar.device
    for error in (device.programming_error, *([device.read_noise] if read_noise else [])):
        error.enable, error.model, error.magnitude = True, "NormalProportionalDevice", 0.01
    return from_torch(copy.deepcopy(network), parameters)


def crosssim_quiet(network: nn.Module) -> nn.Module:
    return crosssim(network, read_noise=False)


PACKAGES: dict[str, Convert] = {
    "synfab": synfab_layers,
    "aihwkit, tile in PyTorch": aihwkit_torch,
    "aihwkit, compiled tile": aihwkit_compiled,
    "CrossSim": crosssim,
    "CrossSim, no read noise": crosssim_quiet,
}


def available() -> dict[str, Convert]:
    """Return the packages that compute a small layer, and print why the others do not."""
    usable = {}
    x = torch.rand(2, 4)
    for name, package in PACKAGES.items():
        try:
            with torch.no_grad():
                package(nn.Sequential(nn.Linear(4, 3))).eval()(x)
        except (ImportError, RuntimeError) as error:
            print(f"without {name}: {str(error).splitlines()[0]}")
        else:
            usable[name] = package
    return usable


def rows(title: str, jobs: dict[str, Job], rounds: int, peer: str) -> None:
    """Print one line per package: CPU time and its ratio to ``peer``."""
    found = alternating(jobs, rounds)
    for name, seconds in found.items():
        print(f"| {title} | {name} | {1e3 * seconds:.2f} | {seconds / found[peer]:.2f} |")


def forward(packages: dict[str, Convert], size: int = 1024, batch: int = 64) -> None:
    plain, x = nn.Sequential(nn.Linear(size, size)), torch.randn(batch, size)
    plain_torch = "torch: product and randn"
    jobs: dict[str, Job] = {plain_torch: lambda: plain(x) + torch.randn(batch, size)}
    for name, package in packages.items():
        layer = package(plain).eval()
        jobs[name] = lambda layer=layer: layer(x)
    rows(f"forward, {size} x {size}, batch {batch}", jobs, 3, plain_torch)


def convolution(packages: dict[str, Convert]) -> None:
    plain, x = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1)), torch.randn(16, 16, 32, 32)
    plain_torch = "torch: Conv2d and randn"
    jobs: dict[str, Job] = {plain_torch: lambda: plain(x) + torch.randn(16, 16, 32, 32)}
    for name, package in packages.items():
        layer = package(plain).eval()
        jobs[name] = lambda layer=layer: layer(x)
    rows("convolution, 16-16, 3 x 3, 16 x 16 x 32 x 32", jobs, 3, plain_torch)


def conversion(packages: dict[str, Convert], size: int = 1024) -> None:
    plain = nn.Sequential(nn.Linear(size, size))
    jobs: dict[str, Job] = {
        name: (lambda package=package: package(plain)) for name, package in packages.items()
    }
    rows(f"conversion of {size} x {size}", jobs, 3, "synfab")


def programming(packages: dict[str, Convert], size: int = 256) -> None:
    """Compare simulated pulses with errors drawn from a formula."""
    plain = nn.Sequential(nn.Linear(size, size))
    jobs: dict[str, Job] = {}
    ours = packages["synfab"](plain)
    jobs["synfab, write-verify"] = lambda: program(ours, "write-verify")
    jobs["synfab, open loop"] = lambda: program(ours, "open-loop")
    for name, package in packages.items():
        if name.startswith("aihwkit"):
            layer = package(plain).eval()
            jobs[name] = lambda layer=layer: layer.program_analog_weights()
        elif name == "CrossSim":
            jobs[f"{name}, with conversion"] = lambda package=package: package(plain)
    rows(f"programming of {size} x {size}", jobs, 3, "synfab, open loop")


def update(packages: dict[str, Convert], size: int = 256, batch: int = 1) -> None:
    """Compare training steps in which random pulse trains change the cells."""
    x = torch.rand(batch, size)
    jobs: dict[str, Job] = {}

    def step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        with torch.enable_grad():
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()

    ours = packages["synfab"](nn.Sequential(nn.Linear(size, size)))
    optimizer = StochasticPulseSGD(ours, lr=0.01)
    jobs["synfab, StochasticPulseSGD"] = lambda: step(ours, optimizer)
    if "aihwkit, compiled tile" in packages:
        from aihwkit.nn.conversion import convert_to_analog
        from aihwkit.optim import AnalogSGD
        from aihwkit.simulator.presets import ReRamESPreset

        theirs = convert_to_analog(nn.Sequential(nn.Linear(size, size)), ReRamESPreset())
        analog = AnalogSGD(theirs.parameters(), lr=0.01)
        analog.regroup_param_groups(theirs)
        jobs["aihwkit, AnalogSGD, ReRamESPreset"] = lambda: step(theirs, analog)
    rows(f"training step of {size} x {size}", jobs, 5, "synfab, StochasticPulseSGD")


def memory_of(name: str, size: int = 2048) -> None:
    """Print how much the memory of this process grows by a conversion, bytes per weight."""
    PACKAGES[name](nn.Sequential(nn.Linear(4, 4)))
    plain = nn.Sequential(nn.Linear(size, size, bias=False))
    process = psutil.Process()
    before = process.memory_info().rss
    layer = PACKAGES[name](plain)
    layer.eval()
    with torch.no_grad():
        layer(torch.rand(1, size))
    growth = (process.memory_info().rss - before) / size**2
    print(f"| memory of a converted layer | {name} | {growth:.0f} bytes per weight | |")


def memory(packages: dict[str, Convert]) -> None:
    for name in packages:
        subprocess.run([sys.executable, "-m", "benchmarks.peers", "--memory", name], check=True)
    layer = packages["synfab"](nn.Sequential(nn.Linear(256, 256)))[0]
    print(
        f"\nstate_dict of synfab before the first pulse: {2 * state_bytes(layer):.0f} bytes/weight"
    )


def versions() -> str:
    found = [f"torch {torch.__version__} with {torch.get_num_threads()} threads"]
    for package in ("aihwkit", "cross-sim"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", choices=PACKAGES, help="only the memory of one package")
    name = parser.parse_args().memory
    if name is not None:
        memory_of(name)
        return
    torch.manual_seed(0)
    print(f"{processor()}, {os.cpu_count()} cores, {versions()}")
    packages = available()
    print("\n| job | package | CPU ms | ratio |\n|---|---|---|---|")
    for job in (forward, convolution, conversion, programming, update, memory):
        job(packages)


if __name__ == "__main__":
    main()
