"""A report on twelve measured cells, made once."""

import numpy as np
import pytest

import synfab as sf
from synfab import learn
from synfab.report import save_report

FACTS = {"devices": 12, "cycles": 360, "rejected_cycles": {"no SET": 1}, "conduction": "given"}
NAMES = tuple(f"device {k}" for k in range(12))


@pytest.fixture(scope="session")
def sweeps(published):
    """Thirty loops of twelve cells with the noise of a read."""
    cells = sf.CellArray(published, len(NAMES), seed=5)
    voltage = np.interp(np.linspace(0, 4, 101), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
    currents = np.array(
        [[cells.apply_voltage(u).read(u, bandwidth=1e6) for u in voltage] for _ in range(30)]
    )
    return learn.sweeps_from_arrays(voltage, currents.transpose(2, 0, 1), NAMES)


@pytest.fixture(scope="session")
def found(published, sweeps):
    return learn.compare(published, learn.extract_features(sweeps), sweeps, seed=3)


@pytest.fixture(scope="session")
def path(found, sweeps, tmp_path_factory):
    pytest.importorskip("bokeh")
    path = tmp_path_factory.mktemp("report") / "report.html"
    save_report(found, path, sweeps=sweeps, diagnostics=FACTS)
    return path
