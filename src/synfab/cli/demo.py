"""Demonstration: create, switch and read cells of a model, and draw figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from synfab.cells.array import CellArray
from synfab.common import extras
from synfab.common.types import Array
from synfab.figures import cells as figures
from synfab.io.files import atomic_path, make_folder
from synfab.io.own_files import own_files
from synfab.io.table_writer import csv_lines
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.conditions import limited
from synfab.random.streams import Stream, normals, words

Result = TypeVar("Result")

SIDE = 1024
SWEEP_CELLS, SWEEP_CYCLES, SWEEP_POINTS = 16, 128, 200
# Long enough to judge most properties; of the tails only some.
MEASURED_CELLS, MEASURED_LOOPS, MEASURED_POINTS = 64, 160, 120
CYCLED_DEVICES, CYCLES = 2000, 400
SEED = 2024
MEASUREMENT = "cycling.csv"
FIGURES = ("iv-loops", "features", "distributions", "autocorrelation", "devices")
NAMES = (MEASUREMENT, *(f"{name}.png" for name in FIGURES))  # files that ``run`` writes


class Step(NamedTuple):
    """A step of the demonstration with its duration (s) and number of operations."""

    name: str
    seconds: float
    operations: int
    unit: str


def random_voltages(shape: tuple[int, ...], seed: int) -> Array:
    """Return reproducible standard normal voltages (V)."""
    count = int(np.prod(shape))
    number = np.arange(-(-count // 4), dtype=np.uint32)
    drawn = normals(words(seed, (number, number * 0), number * 0, Stream.INNOVATION))
    return np.asarray(drawn.T.reshape(-1)[:count].reshape(shape))


def triangle(points: int, u_min: float = -1.5, u_max: float = 1.5) -> Array:
    """Return one period of a triangular voltage sweep (V) that starts and ends at 0 V."""
    quarter = points // 4
    return np.concatenate(
        [
            np.linspace(0.0, u_min, quarter, endpoint=False),
            np.linspace(u_min, u_max, 2 * quarter, endpoint=False),
            np.linspace(u_max, 0.0, points - 3 * quarter),
        ]
    ).astype(np.float32)


def run(model: CellModel, output: Path, advance: Callable[[str], None]) -> list[Step]:
    """Write the figures and the measurement; return the steps.

    ``advance`` is called with the name of each step.

    Raises
    ------
    InvalidValueError
        The folder holds a file with one of their names that the demonstration did not write.
    """
    extras.check("matplotlib")
    make_folder(output, "--output")
    with own_files(output, NAMES, "--output"):
        return _run(model, output, advance)


def _run(model: CellModel, output: Path, advance: Callable[[str], None]) -> list[Step]:
    steps: list[Step] = []

    def timed(name: str, operations: int, unit: str, job: Callable[[], Result]) -> Result:
        advance(name)
        begin = time.perf_counter()
        result = job()
        steps.append(Step(name, time.perf_counter() - begin, operations, unit))
        return result

    n = SIDE * SIDE
    advance("compile the kernels (first use only)")
    small = CellArray(model, (4, 64), seed=SEED).apply_voltage(-2.0)
    small.apply_voltage(np.ones((4, 64))).read()
    small.apply_program([0.1], read="pulse", noise=False)
    _ = small @ np.zeros(64)
    cells = timed("fabricate", n, "cells", lambda: CellArray(model, (SIDE, SIDE), seed=SEED))
    timed("SET all at -2 V", n, "cells", lambda: cells.apply_voltage(-2.0))
    voltages = random_voltages((SIDE, SIDE), SEED)
    timed("random voltages N(0, 1)", n, "cells", lambda: cells.apply_voltage(voltages))
    timed("read all at 0.2 V, with noise", n, "cells", cells.read)
    v = 0.2 * random_voltages((SIDE,), SEED + 1)
    timed(f"crossbar readout {SIDE} x {SIDE}", n, "cells", lambda: cells @ v)
    loops = timed(
        f"I-V sweeps of {SWEEP_CELLS} cells",
        SWEEP_CELLS * SWEEP_CYCLES * SWEEP_POINTS,
        "points",
        lambda: sweep(model),
    )
    timed(
        f"write {MEASURED_LOOPS} loops of {MEASURED_CELLS} cells as CSV",
        MEASURED_CELLS * MEASURED_LOOPS,
        "loops",
        lambda: measure(model, output / MEASUREMENT),
    )
    features, vectors = timed(
        f"{CYCLES} cycles of {CYCLED_DEVICES} devices",
        CYCLED_DEVICES * CYCLES,
        "cycles",
        lambda: cycle(model, CYCLED_DEVICES, CYCLES),
    )
    timed("draw the figures", 5, "figures", lambda: draw(model, output, loops, features, vectors))
    return steps


def sweep(model: CellModel) -> tuple[Array, Array]:
    """Return I-V loops: voltages (points,) in V and currents (cycles, points, cells) in A."""
    cells = CellArray(model, SWEEP_CELLS, seed=SEED)
    voltages = triangle(SWEEP_POINTS)
    loops = cells.apply_program(np.tile(voltages, SWEEP_CYCLES), read="pulse", noise=False)
    loops = loops.reshape(SWEEP_CYCLES, SWEEP_POINTS, SWEEP_CELLS)
    return voltages, limited(loops, voltages[:, None], model.compliance)


def measure(model: CellModel, path: Path) -> None:
    """Write I-V loops with read noise to a CSV file, as an instrument would."""
    cells = CellArray(model, MEASURED_CELLS, seed=SEED + 4)
    voltages = triangle(MEASURED_POINTS)
    program = np.tile(voltages, MEASURED_LOOPS)
    currents = cells.apply_program(program, read="pulse", bandwidth=1e7)
    currents = limited(currents, program[:, None], model.compliance)
    currents = currents.reshape(MEASURED_LOOPS, MEASURED_POINTS, MEASURED_CELLS)
    # Ordered by device, as a tester measures a wafer.
    cell, cycle_, point = np.indices((MEASURED_CELLS, MEASURED_LOOPS, MEASURED_POINTS))
    table = {
        "device": cell.ravel(),
        "cycle": cycle_.ravel(),
        "Voltage [V]": voltages[point.ravel()].round(4),
        "Current [uA]": (1e6 * currents.transpose(2, 0, 1)).ravel().round(2),
    }
    make_folder(path.parent, "output")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(",".join(table) + "\n")
        file.writelines(csv_lines(list(table.values())))


def cycle(model: CellModel, devices: int, cycles: int) -> tuple[dict[str, Array], Array]:
    """Return features (devices, cycles) and x* (cycles, 4, devices) of full cycles."""
    cells = CellArray(model, devices, seed=SEED + 2)
    features = {name: np.empty((devices, cycles), np.float32) for name in FEATURES}
    vectors = np.empty((cycles, 4, devices), np.float32)
    for n in range(cycles):
        now = cells.features
        for name in FEATURES:
            features[name][:, n] = now[name]
        vectors[n] = cells.engine_instance.vectors()
        cells.apply_voltage(-2.0).apply_voltage(1.5)
    return features, vectors


def draw(
    model: CellModel,
    output: Path,
    loops: tuple[Array, Array],
    features: dict[str, Array],
    vectors: Array,
) -> None:
    """Write the five figures to the folder ``output``."""
    make_folder(output, "output")
    population = CellArray(model, 5000, seed=SEED + 3).device_parameters
    drawn = (
        figures.iv_loops(*loops),
        figures.feature_series(features),
        figures.feature_distributions(features),
        figures.autocorrelation(vectors, model, model.orders[-1]),
        figures.device_map(population.astype(np.float64), model),
    )
    for name, figure in zip(FIGURES, drawn, strict=True):
        with atomic_path(output / f"{name}.png") as path:
            figure.savefig(path, format="png", dpi=120)
