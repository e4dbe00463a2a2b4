"""Compile the kernels that most tests use, once for all processes of the tests.

The processes start with the same kernels, and without this each of them would compile them all
before any is in Numba's cache. Here each compiles its part.
"""

import numpy as np
from optional_models import model_with_every_part
from trap_models import model_with_traps

import synfab as sf


def cells(model="published", **options):
    array = sf.CellArray(model, (4, 4), seed=1, **options)
    some = np.arange(16).reshape(4, 4) % 2 == 0
    array.apply_voltage(-2.0).apply_voltage(np.full((4, 4), 1.1), where=some)
    array.set_conductance(1e-4, where=some)
    array.read()
    array.current(0.2)
    return array @ np.full(4, 0.2)


def crossbar():
    array = sf.CellArray("published", (4, 4), seed=1)
    bar = sf.Crossbar(array, 2.5, access=sf.crossbar.Transistor(1e3))
    bar.read(np.full(4, 0.2))
    bar.program(1e-4, max_passes=3)


def aging_cells():
    array = sf.CellArray(model_with_traps(), (4, 4), seed=1)
    array.wait(1.0).trace(0.1, 100.0)


PARTS = [
    lambda: (cells(), crossbar()),
    lambda: (cells(history="compact"),),
    lambda: (cells(model_with_every_part()),),
    lambda: (cells(model_with_every_part(wear_in=None, failure=None), history="compact"),
             aging_cells()),
]  # fmt: skip


def compile_part(worker, workers):
    """Compile what process ``worker`` of ``workers`` compiles for all."""
    for part in PARTS[worker::workers]:
        part()
