"""Speed of the GPU kernels: python benchmarks/gpu.py [--device cuda] [--cells N].

The engine "warp" is compared with the rules as PyTorch operations ("reference") on the same device.
Without --cells, the kernels simulate as many cells as fit, and the reference fewer by a factor of
32, because it needs temporary arrays. Bytes per cell and operation are counted from the arrays that
a kernel reads and writes; what the caches absorb is not counted.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch

from synfab.cells.identity import Identity
from synfab.common.errors import InvalidValueError
from synfab.engines.base import Engine
from synfab.engines.capacity import bytes_per_cell
from synfab.engines.warp.layout import MAX_CELLS
from synfab.model.model_file import load_model
from synfab.physics.noise import ReadNoise
from synfab.random.backend import Library, find_library

MODEL = load_model()
ORDER = MODEL.orders[-1]
ROUNDS = 5
NAMES = {"warp": "warp", "array": "reference"}
SPARE = 0.85  # of the free memory: results and PyTorch's own workspace need the rest
REFERENCE_SHARE = 32


def counted_bytes(order: int) -> dict[str, float]:
    """Return the bytes per cell that a kernel reads and writes, for each operation.

    A SET reads both flags, u_set, the cycle number, two values of the history and four parameters,
    and writes r, the threshold and both flags. A RESET from the LRS reads both flags, the
    threshold, the cycle number and the same amount of history and parameters; it writes cycle
    number, u_set, r, threshold and flags. Once in p cycles the number of the cell is written to a
    list, read and removed from it, and the block of 4 p values is read and written. A cell in the
    HRS that does not switch reads u_set and the flags.
    """
    set_ = (2 + 4 + 4 + 8 + 16) + (4 + 4 + 2)
    reset = (2 + 4 + 4 + 8 + 16) + (4 + 4 + 4 + 4 + 2) + (12 + 2 * 16 * order) / order
    block = 16 * order
    return {
        "pulse, every cell switches": (set_ + reset) / 2.0,
        "pulse, no cell switches": 1 + 4 + 1,
        "read with noise": 4 + 4,
        "fabricate": block + 32 + 5 * 4 + 2,
    }


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, job, repeats: int = 1, before=None) -> float:
    """Return the median duration of one of ``repeats`` jobs in a row; the first round compiles."""
    times = []
    for _ in range(ROUNDS + 1):
        if before is not None:
            before()
        wait(device)
        begin = time.perf_counter()
        for _ in range(repeats):
            job()
        wait(device)
        times.append((time.perf_counter() - begin) / repeats)
    return statistics.median(times[1:])


def copy_bandwidth(device: torch.device, n_bytes: int) -> float:
    """Return the bytes per second that a copy reads and writes."""
    source = torch.zeros(n_bytes // 4, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(device, lambda: target.copy_(source), 4)


def measure(library: Library, engine: Engine) -> dict[str, float]:
    """Return the duration of each operation, in seconds."""
    device = library.device
    down, up, low, read = (
        library.asarray(np.array([u], np.float32)) for u in (-2.0, 1.5, 0.1, 0.2)
    )
    noise = ReadNoise.of_bandwidth(1e8)

    def block_of_pairs() -> None:
        for _ in range(ORDER):
            engine.apply_voltage(down, None)
            engine.apply_voltage(up, None)

    fabricate = seconds(device, engine.fabricate)
    pair = seconds(device, block_of_pairs) / (2 * ORDER)
    voltages = torch.empty(engine.n_cells, device=device)
    for _ in range(4 * ORDER):  # until the cells are in different cycles
        engine.apply_voltage(voltages.normal_(), None)
    few = torch.rand(engine.n_cells, device=device) < 0.01

    def at_random(where: torch.Tensor | None) -> float:
        return seconds(
            device, lambda: engine.apply_voltage(voltages, where), before=voltages.normal_
        )

    return {
        "pulse, every cell switches": pair,
        "pulse, no cell switches": seconds(device, lambda: engine.apply_voltage(low, None), 4),
        "read with noise": seconds(device, lambda: engine.read(read, 0, noise)),
        "random voltages": at_random(None),
        "random voltages, 1 % of the cells": at_random(few),
        "fabricate": fabricate,
    }


def largest(device: torch.device) -> int:
    free = torch.cuda.mem_get_info(device)[0]
    return min(MAX_CELLS, int(SPARE * free) // bytes_per_cell(ORDER, "float32"))


def named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the GPU kernels.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cells", type=int)
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(
            "gpu: PyTorch has no CUDA device (it needs an NVIDIA GPU, its driver and a build of "
            "PyTorch with CUDA); --device cpu runs the same kernels on the CPU"
        )
    try:
        library = find_library("torch", arguments.device)
    except InvalidValueError as error:
        sys.exit(f"gpu: {error}")
    device = library.device
    cells = arguments.cells or (largest(device) if device.type == "cuda" else 2**16)
    sizes = {"warp": cells, "array": cells if arguments.cells else cells // REFERENCE_SHARE}
    bandwidth = copy_bandwidth(device, 2**30 if device.type == "cuda" else 2**26)
    counted = counted_bytes(ORDER)
    print(f"device: {named(device)}; a copy reads and writes {bandwidth / 1e9:.0f} GB/s")
    print(f"published model, order {ORDER}; a pulse of -2 V or +1.5 V, 0.1 V or a read of 0.2 V")
    print("| engine | cells | operation | time | M cells/s | bytes counted | of copy bandwidth |")
    print("|---|---|---|---|---|---|---|")
    for name, n in sizes.items():
        identity = Identity.of(MODEL, n, 1, ORDER, name, "float32", 0, library.place)
        engine = identity.make_engine(library)
        for operation, took in measure(library, engine).items():
            row = f"| {NAMES[name]} | {n} | {operation} | {1e3 * took:.3g} ms |"
            row += f" {n / took / 1e6:.4g} |"
            if name == "warp":
                moved = counted.get(operation)
                share = "" if moved is None else f"{n * moved / took / bandwidth:.0%}"
                row += f" {moved or ''} | {share} |"
            else:
                row += " | |"
            print(row, flush=True)
        del engine
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
