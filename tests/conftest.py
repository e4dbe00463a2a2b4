import os

import hypothesis
import pytest

import synfab as sf

hypothesis.settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("default")


@pytest.fixture(scope="session")
def published() -> sf.CellModel:
    return sf.load_model()


@pytest.fixture
def threads(monkeypatch):
    def use(count: int) -> None:
        monkeypatch.setenv("SYNFAB_NUM_THREADS", str(count))

    assert os.cpu_count()
    return use
