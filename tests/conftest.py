import os
from pathlib import Path

# Threads of BLAS wait in loops for one another: here and in every program that tests start they
# would take a third of the machine, and gain nothing.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

import synfab as sf
from synfab.model import PIECES_END

os.environ.setdefault("MPLBACKEND", "Agg")
# Where `make test` puts the simulator.
os.environ.setdefault("SYNFAB_CACHE", str(Path(__file__).parents[1] / ".cache" / "tools"))

# Kernels compile during the first example, so no example has a deadline.
COMMON = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.function_scoped_fixture],
}
hypothesis.settings.register_profile("ci", derandomize=True, **COMMON)
hypothesis.settings.register_profile("search", max_examples=1000, **COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def published() -> sf.CellModel:
    return sf.load_model()


@pytest.fixture
def threads(monkeypatch):
    def use(count: int) -> None:
        monkeypatch.setenv("SYNFAB_NUM_THREADS", str(count))

    return use


def in_pieces(polynomials, count):
    """Rewrite polynomials in the position within each piece (Taylor's formula)."""
    edges = np.linspace(-PIECES_END, PIECES_END, count + 1)
    width = edges[1] - edges[0]
    degree = polynomials.shape[1] - 1
    result = np.empty((4, count, degree + 1))
    for f, row in enumerate(polynomials):
        for k in range(degree + 1):
            derivative = np.polyder(row, k) if k else row
            scale = width**k / np.prod(np.arange(1.0, k + 1.0))
            result[f, :, degree - k] = np.polyval(derivative, edges[:-1]) * scale
    return result


def with_marginals(model, marginals):
    return sf.CellModel(model.name, marginals, model.histories, model.population, model.conduction)


@pytest.fixture(scope="session")
def pieces(published) -> sf.CellModel:
    """Published model with its marginals rewritten in 64 pieces."""
    return with_marginals(published, in_pieces(published.marginals, 64))


@pytest.fixture(scope="session")
def ngspice():
    """Skip where no ngspice loads compiled devices (`make test` provides one)."""
    from synfab.circuit import find_ngspice

    try:
        return find_ngspice()
    except sf.SynfabError as error:
        pytest.skip(str(error))
