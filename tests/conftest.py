import os
import tracemalloc
from pathlib import Path

# Threads of BLAS and OpenMP (PyTorch, scikit-learn) wait in loops for one another: here and in
# every program that tests start they would take up to half of the machine, and gain nothing.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
from kernels import compile_part
from marginals import in_pieces, with_marginals

import synfab as sf

os.environ.setdefault("MPLBACKEND", "Agg")
# One cache of compiled Warp kernels for all processes of the tests.
os.environ.setdefault("WARP_CACHE_PATH", str(Path(__file__).parents[1] / ".cache" / "warp"))
# Where `make test` puts the simulator.
os.environ.setdefault("SYNFAB_CACHE", str(Path(__file__).parents[1] / ".cache" / "tools"))

# JAX compiles each function once for all processes of the tests, and for the next run. With a limit
# of size it locks the cache, so that no process reads what another has half written.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache" / "jax")
)
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# Kernels compile during the first example, so no example has a deadline.
COMMON = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.function_scoped_fixture],
}
hypothesis.settings.register_profile("ci", derandomize=True, **COMMON)
hypothesis.settings.register_profile("search", max_examples=1000, **COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


MANY = 1000  # tests: a run of as many needs every kernel


def pytest_collection_modifyitems(items):
    """Start with the files that have slow tests, so that all processes end at the same time.

    The tests of a file stay together: they share fixtures.
    """
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish(session):
    """Compile kernels before many tests, each process its part."""
    worker = getattr(session.config, "workerinput", None)
    if worker is not None and len(session.items) > MANY:
        number = int(worker["workerid"].removeprefix("gw"))
        compile_part(number, worker["workercount"])


@pytest.fixture(scope="session")
def published() -> sf.CellModel:
    return sf.load_model()


@pytest.fixture
def threads(monkeypatch):
    def use(count: int) -> None:
        monkeypatch.setenv("SYNFAB_NUM_THREADS", str(count))

    return use


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


@pytest.fixture
def scarce(monkeypatch):
    """Let 512 MiB be all that can be had, so that the bombs need not be larger."""
    from synfab.io import memory as capacity
    from synfab.learn.readers import hdf5, parquet

    for module in (capacity, hdf5, parquet):
        monkeypatch.setattr(module, "available_memory", lambda: 2**29)


@pytest.fixture
def refused(tmp_path, scarce):
    """Return a function: a reader refuses, in one line that names the file, and asks for little."""

    def check(read, path, words, most=2**26):
        tracemalloc.start()
        try:
            with pytest.raises(sf.SynfabError, match=words) as caught:
                read(path)
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()
        assert len(str(caught.value).splitlines()) == 1
        assert path.name in str(caught.value)

    return check


@pytest.fixture
def measured(record_property):
    """Record a statistic for the table of docs/validation.md, which tools/validation.py writes.

    The bound begins with < or >; of a test with parameters, the worst value is shown.
    """

    def record(statistic, value, bound):
        record_property("statistic", statistic)
        record_property("value", f"{float(value):.2g}")
        record_property("bound", bound)

    return record
