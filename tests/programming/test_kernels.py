"""Kernels of write-verify change no bit: medians, currents of few cells, known results."""

import hashlib

import numpy as np
import pytest

import synfab as sf
from synfab.cells.reading import currents_of
from synfab.programming.methods import program_cells


@pytest.mark.parametrize("options", [{}, {"engine": "array"}, {"history": "compact"}])
def test_currents_of_listed_cells_are_those_of_the_array(options):
    cells = sf.CellArray("published", (6, 50), seed=1, **options).apply_voltage(-2.0)
    cells.apply_voltage(np.linspace(0.5, 1.4, 50))
    u = np.linspace(-1.5, 1.5, 300).reshape(6, 50)
    listed = np.arange(300)[::7]
    wanted = cells.current(u).reshape(-1)[listed]
    np.testing.assert_array_equal(currents_of(cells, listed, u.reshape(-1)[listed]), wanted)


def test_write_verify_gives_the_bits_of_its_first_version():
    """Of an array of 32 x 64 cells; some without a target, some with one out of reach."""
    cells = sf.CellArray("published", (32, 64), seed=1)
    targets = np.random.default_rng(0).uniform(1e-5, 1.2e-4, cells.shape)
    targets[:, ::9], targets[3], targets[:2, :] = np.nan, 1.5e-4, 3e-6
    found = program_cells(cells, targets, "write-verify", {"retries": 4, "max_passes": 150})
    parts = (found.achieved, found.outcome, found.pulses, found.energy, found.pending, found.error)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in parts))
    assert digest.hexdigest() == "cbdfd641ad2a3a3f90dc6e1f830ba8cb829b370a1bf6f0c7867f66cbf5bd92d3"
