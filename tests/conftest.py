import os

import hypothesis
import pytest

import synfab as sf

os.environ.setdefault("MPLBACKEND", "Agg")

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
