"""Speed of cells with PyTorch and JAX arrays: python -m benchmarks.engines [device].

They are compared with the published package in alternating runs in one process. A pair is a pulse
of -2 V and one of +1.5 V on 2**20 cells; ten pairs, a whole block of the history, are timed
together.
"""

import importlib
import os
import statistics
import sys
import time

import numpy as np
import torch

import synfab as sf
from benchmarks.machine import processor

CELLS, PAIRS, ROUNDS = 2**20, 10, 5


def device_name(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {os.cpu_count()} cores"


def finished(cells: sf.CellArray) -> None:
    """Wait until the device has finished its computations."""
    float(cells.r[0])


def pairs(cells: sf.CellArray) -> None:
    for _ in range(PAIRS):
        cells.apply_voltage(-2.0).apply_voltage(1.5)
    finished(cells)


def bytes_per_update(cells: sf.CellArray) -> float:
    """Return the minimum memory traffic of an update: parameters, state and history.

    A pulse reads the parameters and the state and writes the state. Of the history it reads one of
    p vectors; one pulse in 2 p reads and writes all of it.
    """
    stored = dict(cells.engine_instance.storage())
    parameters, block = stored.pop("parameters").nbytes, stored.pop("block").nbytes
    state = sum(array.nbytes for array in stored.values())
    moved = parameters + 2 * state + block / cells.order + 2 * block / (2 * cells.order)
    return moved / cells.size


def copy_bandwidth(device: str) -> float:
    """Return the bytes per second that a copy of 256 MiB reads and writes."""
    source = torch.zeros(2**26, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        target.copy_(source)
        float(target[0])
        times.append(time.perf_counter() - begin)
    return 2 * source.nbytes / statistics.median(times)


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    published = importlib.import_module("synaptogen")
    theirs = published.CellArrayCPU(CELLS)
    theirs.inHRS[:] = True  # its fresh cells are not in HRS

    def their_pairs() -> None:
        for _ in range(2):
            published.applyVoltage(published.applyVoltage(theirs, -2.0), 1.5)

    on_cpu = device == "cpu"
    kinds = {
        "numba, NumPy": {},
        "numba, PyTorch": {"arrays": "torch"},
        "numba, JAX": {"arrays": "jax"},
        "array, PyTorch": {"arrays": "torch", "engine": "array", "device": device},
        "array, JAX": {"arrays": "jax", "engine": "array", "device": device},
    }
    arrays = {
        name: sf.CellArray("published", CELLS, seed=1, **options)
        for name, options in kinds.items()
        if on_cpu or "device" in options
    }
    times: dict[str, list[float]] = {name: [] for name in ("published", *arrays)}
    for number in range(ROUNDS + 1):
        for name, took in times.items():
            begin = time.perf_counter()
            their_pairs() if name == "published" else pairs(arrays[name])
            pair = (time.perf_counter() - begin) / (2 if name == "published" else PAIRS)
            if number:  # the first round compiles
                took.append(pair)
    bandwidth = copy_bandwidth(device)
    theirs_median = statistics.median(times["published"])
    print(f"device: {device_name(device)}; a copy moves {bandwidth / 1e9:.1f} GB/s on it")
    print("| engine, arrays | pair | ratio | updates/s | bytes per update | of copy bandwidth |")
    print("|---|---|---|---|---|---|")
    for name, values in times.items():
        pair = statistics.median(values)
        rate = 2 * CELLS / pair
        row = f"| {name} | {1e3 * pair:.0f} ms | {theirs_median / pair:.1f} | {rate / 1e6:.1f} M |"
        if name.startswith("array"):
            least = bytes_per_update(arrays[name])
            row += f" {least:.0f} | {rate * least / bandwidth:.0%} |"
        else:
            row += " | |"
        print(row)


if __name__ == "__main__":
    np.seterr(all="ignore")  # the peer divides by zero
    main()
