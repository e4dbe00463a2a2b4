"""Arithmetic limits: instructions per cell in the compiled kernels, and their time in the cache."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import int64, njit, uint32, uint64

from synfab.cells.array import CellArray
from synfab.engines.numba import fabrication, readout_kernels
from synfab.engines.numba.drawing import (
    VECTOR_WIDTH,
    advance,
    draw_normals,
    open_cells,
)
from synfab.engines.numba.features import plain_hrs, plain_lrs
from synfab.engines.numba.intrinsics import pointer, pointers
from synfab.engines.numba.layout import BATCH, GROUP
from synfab.engines.numba.model32 import population32, stationary_blocks
from synfab.engines.numba.workspace import fabrication_work, noise_work, switching_work

ROUNDS = 400  # groups per timing
REPEATS = 7


@njit(error_model="numpy")
def _draw(rounds, work):  # type: ignore[no-untyped-def]
    w = pointers(work)
    for _ in range(rounds):
        draw_normals(
            w.eps, w.word, int64(GROUP), w.cells, w.cycle, int64(1), int64(1),
            uint64(0), uint64(1), int64(GROUP),
        )  # fmt: skip


@njit(error_model="numpy")
def _correlate(rounds, order, stationary, work):  # type: ignore[no-untyped-def]
    w, factor = pointers(work), pointer(stationary)
    for _ in range(rounds):
        fabrication.correlate(w.x, order, factor, w.eps)


@njit(error_model="numpy")
def _advance(rounds, order, process, work):  # type: ignore[no-untyped-def]
    w, p = pointers(work), pointers(process)
    for k in range(rounds):
        advance(w.x, k % order, w.z, p, order, order, int64(BATCH))
        advance(w.x, k % order, w.z, p, order, order, int64(BATCH))


@njit(error_model="numpy")
def _features(rounds, model, work):  # type: ignore[no-untyped-def]
    w = pointers(work)
    for _ in range(rounds):
        plain_hrs(w.buffer, model.marginals, model.constants, int64(GROUP))
        plain_lrs(w.buffer, model.marginals, model.constants, int64(GROUP))


@njit(error_model="numpy")
def _devices(rounds, storage, mixture, model, work):  # type: ignore[no-untyped-def]
    cells, population = open_cells(storage, model), fabrication.open_population(mixture)
    for _ in range(rounds):
        fabrication.group_devices(cells, int64(0), population, uint64(0), uint64(1), pointers(work))


@njit(error_model="numpy")
def _read(rounds, r, voltages, curves, pair, out, work):  # type: ignore[no-untyped-def]
    for _ in range(rounds):
        readout_kernels.noisy_current(
            int64(0), int64(4 * GROUP), r, voltages, int64(0), curves, pair, pair, out,
            uint64(0), uint32(0), uint64(1), work,
        )  # fmt: skip


def in_cache(job: Callable[..., Any], *arguments: Any, cells: int = GROUP) -> float:
    """Return the time (s) per cell of a job on the same cells again and again, one thread."""
    job(1, *arguments)
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        job(ROUNDS, *arguments)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) / ROUNDS / cells


def vector_loops(kernel: Any) -> list[tuple[int, list[str]]]:
    """Return (elements per pass, instructions) of the innermost loops that use vectors."""
    loops, label, block = [], "", list[str]()
    for line in kernel.inspect_asm(kernel.signatures[0]).splitlines():
        if found := re.match(r"(\.L\w+):", line):
            label, block = found[1], []
        elif re.match(r"\w+:", line):
            label, block = "", []
        elif re.match(r"\t[a-z]", line):
            instruction = line.partition("#")[0].strip()
            block.append(instruction)
            jump = re.match(r"j\w+\s+(\.L\w+)", instruction)
            if jump and jump[1] == label and any("mm" in text for text in block):
                loops.append((_step(block), list(block)))
    return loops


def _step(block: list[str]) -> int:
    """Return by how many elements the index of ``(base,index,4)`` advances; 0: unknown."""
    steps = {
        found[2]: int(found[1])
        for text in block
        if (found := re.match(r"addq\s+\$(\d+), (%\w+)", text))
    }
    used = {found[1] for text in block if (found := re.search(r"\(%\w+,(%\w+),4\)", text))}
    return max((steps[register] for register in used & steps.keys()), default=0)


def instructions(kernel: Any) -> float:
    """Return the instructions per element of a kernel whose vector loops pass once over all."""
    return sum(len(block) / step for step, block in vector_loops(kernel) if step > 1)


def instructions_of_products(kernel: Any, products: float) -> float:
    """Return the instructions per cell of a kernel that adds up ``products`` (4, 4) matrices."""
    # The loop over matrices has no index of cells; a pass serves VECTOR_WIDTH of them.
    # The first one: a second loop serves the averages, which the published model does not have.
    block, *_ = [block for step, block in vector_loops(kernel) if step <= 1]
    return products * len(block) / VECTOR_WIDTH


class Stage(NamedTuple):
    """Part of the arithmetic of a kernel."""

    name: str
    instructions: float | None  # per cell; None: not counted
    seconds: float  # per cell, in the cache


def stages() -> dict[str, Stage]:
    """Measure the parts of the arithmetic of the kernels."""
    cells = CellArray("published", 4 * GROUP, seed=1)
    cells.apply_voltage(-2.0).apply_voltage(1.5).read()
    engine: Any = cells.engine_instance
    model, order = engine.parameters32, cells.order
    forge, work = fabrication_work(order), switching_work(order)
    forge.cells[:] = np.arange(GROUP)
    stationary = stationary_blocks(cells.model, order)
    draw, correlation = in_cache(_draw, forge), in_cache(_correlate, order, stationary, forge)
    step = in_cache(_advance, order, model.process, work)
    features = in_cache(_features, model, work)
    devices = in_cache(_devices, engine.cells, population32(cells.model), model, forge)
    pair = (np.float32(1e-20), np.float32(1e-20))
    curves, volts = (model.llrs, model.hhrs, model.constants), np.full(1, 0.2, np.float32)
    out = np.empty(cells.size, np.float32)
    read = in_cache(_read, engine.states, volts, curves, pair, out, noise_work(), cells=cells.size)
    products = order * (order - 1) / 2
    found = [
        Stage("four normal numbers", instructions(draw_normals), draw),
        Stage("device parameters, with their eight normal numbers", None, devices),
        Stage(
            "correlation of a new history",
            instructions_of_products(fabrication.correlate, products),
            correlation,
        ),
        Stage("VAR step of a cycle", instructions_of_products(advance, order), step),
        Stage("features of a cycle", instructions(plain_hrs) + instructions(plain_lrs), features),
        Stage("read with noise", None, read),
    ]
    return dict(zip(("draw", "devices", "history", "step", "features", "read"), found, strict=True))


def main() -> None:
    for stage in stages().values():
        print(f"{stage.name}: {1e9 * stage.seconds:.1f} ns per cell", end="")
        print("" if stage.instructions is None else f", {stage.instructions:.0f} instructions")


if __name__ == "__main__":
    main()
