"""Passes of write-verify in kernels give the bits of passes one by one."""

import numpy as np
import pytest
from optional_models import model_with_every_part

import synfab as sf
from synfab.programming import passes
from synfab.programming.methods import program_arrays, program_cells
from synfab.programming.passes import KernelPasses, SinglePasses
from synfab.programming.pulser import DirectPulser
from synfab.programming.result import Outcome
from synfab.programming.write_verify import WriteVerify

RESULTS = ("targets", "achieved", "outcome", "pulses", "energy", "outliers", "pending", "error")
COUNTERS = ("read_number", "cycle_bound", "readout_number")
PULSED = 1.3e-6  # S, a tolerance that read noise often exceeds


def cells_of(shape, before=(), *, model="published", read_number=0, **options):
    cells = sf.CellArray(model, shape, **{"seed": 3, **options})
    for u in before:
        cells.apply_voltage(u)
    cells.read_number = read_number
    return cells


def targets_of(random, shape):
    """Targets in and out of reach; some cells have none."""
    targets = 10.0 ** random.uniform(-6.3, -3.6, shape)
    return np.where(random.random(shape) < random.choice([0.0, 0.2, 0.9]), np.nan, targets)


def one_by_one(monkeypatch):
    monkeypatch.setattr(KernelPasses, "of", lambda *_: None)


def assert_same(found, expected):
    for name in RESULTS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)


def assert_same_cells(ours, theirs):
    for name in COUNTERS:
        assert getattr(ours, name) == getattr(theirs, name), name
    for name, array in ours.engine_instance.storage().items():
        count = ours.size if array.ndim == 1 else None  # the rest is padding
        other = theirs.engine_instance.storage()[name]
        np.testing.assert_array_equal(array[:count], other[:count], name)


def random_run(random):
    """A run of write-verify with random settings, as a function."""
    shape = (1,), (1, 1), (int(random.integers(2, 60)), 7), (int(random.integers(900, 2700)),)
    shape = shape[random.integers(len(shape))]
    seed = int(random.integers(2**32))
    settings = {
        "tolerance": random.choice([None, PULSED, 1e-5]), "retries": int(random.integers(0, 5)),
        "max_passes": int(random.choice([0, 1, 7, 150])),
    }  # fmt: skip
    options = {
        "model": "published" if random.random() < 0.7 else model_with_every_part(),
        "first_cell": int(random.choice([0, 3, 1021, 2**32 - 5])),
        "read_number": int(random.choice([0, 2**32 - 3])), "order": int(random.choice([1, 3, 10])),
        "before": [(), (-2.0,), (-2.0, 0.9)][random.integers(3)],
        "arrays": str(random.choice(["numpy", "torch"])),
    }  # fmt: skip
    targets, erased = targets_of(random, shape), random.random() < 0.5

    def run():
        cells = cells_of(shape, seed=seed, **options)
        work = WriteVerify(DirectPulser(cells, 2e-7), targets, **settings)
        return (work.erase() if erased else work).run(), cells

    return run


def test_random_runs_are_the_same_in_kernels(monkeypatch):
    """30 runs with random masks, tolerances, stuck cells and numbers of the first cell."""
    random = np.random.default_rng(11)
    runs = [random_run(random) for _ in range(30)]
    found = [run() for run in runs]
    one_by_one(monkeypatch)
    outcomes = set()
    for (ours, cells), run in zip(found, runs, strict=True):
        theirs, reference = run()
        assert_same(ours, theirs)
        assert_same_cells(cells, reference)
        outcomes |= set(ours.outcome.ravel().tolist())
    assert outcomes == {*Outcome} - {Outcome.DEFECT}


@pytest.mark.parametrize("threads", ["1", "3"])
def test_passes_that_are_distributed_over_threads_are_the_same(monkeypatch, threads):
    targets = np.random.default_rng(0).uniform(2e-5, 1.5e-4, 20_001)

    def run():
        work = WriteVerify(DirectPulser(cells_of(targets.size)), targets, max_passes=30)
        return work.erase().run()

    expected = run()
    monkeypatch.setattr(passes, "MANY", 1)
    monkeypatch.setenv("SYNFAB_NUM_THREADS", threads)
    assert_same(run(), expected)


def test_passes_in_several_calls_are_the_same(monkeypatch):
    def run():
        return WriteVerify(DirectPulser(cells_of((8, 9))), 1e-4, tolerance=PULSED).run()

    expected = run()
    monkeypatch.setattr(passes, "CELLS_AT_ONCE", 500)
    assert_same(run(), expected)


def test_a_run_that_goes_on_is_the_same(monkeypatch):
    """A second run of the same object begins with its controllers as they are."""

    def run():
        work = WriteVerify(DirectPulser(cells_of((8, 9))), 1e-4, tolerance=PULSED, max_passes=5)
        return work.run(), work.run()

    found = run()
    one_by_one(monkeypatch)
    for ours, theirs in zip(found, run(), strict=True):
        assert_same(ours, theirs)


TRAPS = sf.model.Traps([1e-3, 1.0], 0.5, [0.0], [5e-6])


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, KernelPasses),
        ({"arrays": "torch"}, KernelPasses),
        ({"engine": "array"}, type(None)),
        ({"history": "compact"}, type(None)),
        ({"model": sf.load_model().replace(traps=TRAPS)}, type(None)),
    ],
    ids=("plain", "torch", "array", "compact", "traps"),
)
def test_which_cells_have_kernels(options, kind):
    work = WriteVerify(DirectPulser(cells_of((2, 3), **options)), 1e-4)
    assert type(KernelPasses.of(work.pulser, work.controllers, 300)) is kind


def test_cells_with_traps_are_programmed_one_by_one():
    cells = cells_of((4, 5), model=sf.load_model().replace(traps=TRAPS))
    found = WriteVerify(DirectPulser(cells), 1e-4).run()
    assert (found.outcome == Outcome.REACHED).mean() > 0.9


def test_other_noise_is_read_one_by_one(monkeypatch):
    monkeypatch.setattr(passes.ReadNoise, "linear", False)
    work = WriteVerify(DirectPulser(cells_of(3)), 1e-4)
    assert KernelPasses.of(work.pulser, work.controllers, 300) is None


def test_cells_near_their_last_cycle_are_programmed_one_by_one():
    work = WriteVerify(DirectPulser(cells_of(3)), 1e-4)
    work.cells.cycle_bound = 2**30 - 200
    assert KernelPasses.of(work.pulser, work.controllers, 300) is None


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025, 5000])
def test_medians_are_those_of_numpy(count):
    """Of the first read, and of others that the limits of the last median miss or contain."""
    random = np.random.default_rng(count)
    targets = np.where(random.random(count) < 0.3, np.nan, random.uniform(1e-6, 2e-4, count))
    targets[0] = 1e-4
    cells = cells_of(count)
    work = WriteVerify(DirectPulser(cells), targets)
    kernels = KernelPasses.of(work.pulser, work.controllers, 300)
    for factor in (1.0, 1.001, 3.0, 1e3, 0.0):
        kernels.error *= factor
        ((_, error),) = kernels.advance(1, 0)
        assert error == np.nanmedian(np.abs(kernels.measured() - targets))


def test_arrays_are_programmed_together_as_one_after_the_other():
    sizes = ((40, 30), (1, 1), (3, 5000), (64, 64))
    random = np.random.default_rng(5)
    targets = [targets_of(random, size) for size in sizes]
    ours, theirs = ([cells_of(size, seed=7) for size in sizes] for _ in range(2))
    calls = []
    found = program_arrays(ours, targets, "write-verify", {}, lambda: calls.append(1))
    assert len(calls) == len(sizes)
    for k, cells in enumerate(theirs):
        assert_same(found[k], program_cells(cells, targets[k], "write-verify", {}))
        assert_same_cells(ours[k], cells)


def test_arrays_of_other_engines_are_programmed_one_after_the_other(monkeypatch):
    arrays = [cells_of(20_000), cells_of((2, 2), engine="array")]
    monkeypatch.setattr("synfab.programming.methods.share", None)
    assert len(program_arrays(arrays, [np.full(c.shape, 1e-4) for c in arrays], "ideal", {})) == 2


@pytest.mark.parametrize("method", ["ideal", "write-verify", "refresh", "open-loop"])
@pytest.mark.parametrize("shape", [(1, 1), (1,), (3, 2)], ids=str)
@pytest.mark.parametrize("options", [{}, {"engine": "array"}], ids=("kernels", "rules"))
def test_cells_without_targets_are_left_alone(method, shape, options):
    cells = cells_of(shape, (-2.0,), **options)
    before = cells.r
    found = program_cells(cells, np.full(shape, np.nan), method, {})
    assert (found.outcome == Outcome.LEFT_ALONE).all()
    assert found.pulses.sum() == found.energy.sum() == 0
    np.testing.assert_array_equal(cells.r, before)


def test_single_passes_have_the_error_0_without_targets():
    work = WriteVerify(DirectPulser(cells_of((2, 2))), np.nan)
    assert SinglePasses(work.pulser, work.controllers).advance(1, 1) == [(0, 0.0)]
