"""The same cells on the arrays of PyTorch and JAX."""

import subprocess
import sys

import numpy as np
import pytest

import synfab as sf
from synfab.arrays import to_numpy
from synfab.demo import random_voltages

BOUNDS = {"r_hrs": 3e-5, "u_set": 1e-5, "r_lrs": 1e-5, "u_reset": 1e-5}
LIBRARIES = ("torch", "jax")


@pytest.fixture(params=LIBRARIES)
def engine(request):
    pytest.importorskip(request.param)
    return request.param


def live(cells, pulses):
    size = cells.shape
    for k in range(pulses):
        cells.apply_voltage(random_voltages(size, k) * np.float32(1.1))
    return cells


def agree(ours, theirs, allowed):
    tie = ours.cycle != to_numpy(theirs.cycle)
    assert tie.sum() <= allowed  # a threshold met within rounding
    for name, bound in BOUNDS.items():
        np.testing.assert_allclose(
            to_numpy(theirs.features[name])[~tie], ours.features[name][~tie], rtol=bound
        )
    off = np.abs(to_numpy(theirs.r) - ours.r)[~tie] > 2e-5
    assert off.sum() <= allowed


def test_a_hundred_random_pulses_make_the_same_cells(published, engine):
    pair = [live(sf.CellArray(published, 10_000, seed=5, engine=e), 100) for e in ("numba", engine)]
    assert pair[0].cycle.max() > 20
    agree(*pair, allowed=10)


@pytest.mark.slow
def test_compiled_functions_make_the_same_cells(published):
    pytest.importorskip("torch")
    from synfab.torch.engine import COMPILE_FROM

    pair = [
        live(sf.CellArray(published, COMPILE_FROM, seed=5, engine=e), 12)
        for e in ("numba", "torch")
    ]
    agree(*pair, allowed=10)


def test_masks_reads_and_files(published, engine, tmp_path):
    pair = [sf.CellArray(published, (20, 50), seed=1, engine=e) for e in ("numba", engine)]
    mask = random_voltages((20, 50), 1) > 0.0
    target = np.linspace(3e-5, 9e-5, 1000, dtype=np.float32).reshape(20, 50)
    v = random_voltages((50, 3), 2) * np.float32(0.3)
    for cells in pair:
        cells.apply_voltage(-2.0, where=mask).apply_voltage(1.0, where=mask)
        cells.set_conductance(target, where=~mask)
    ours, theirs = pair
    agree(ours, theirs, allowed=1)
    np.testing.assert_allclose(to_numpy(theirs.read()), ours.read(), rtol=3e-4)
    np.testing.assert_allclose(to_numpy(theirs @ v), ours @ v, rtol=2e-4, atol=1e-9)
    copy = theirs.copy()
    copy.apply_voltage(1.5, where=mask)
    np.testing.assert_allclose(to_numpy(theirs.r), ours.r, atol=2e-5)  # the copy is apart
    theirs.save(tmp_path / "cells.npz")
    again = sf.CellArray.load(tmp_path / "cells.npz")
    assert again.engine == engine
    for cells in (theirs, again):
        cells.apply_voltage(1.5)
    assert np.array_equal(to_numpy(again.r), to_numpy(theirs.r))


def test_tensors_go_in_and_come_out(published):
    torch = pytest.importorskip("torch")
    cells = sf.CellArray(published, 1000, seed=1, engine="torch")
    u = torch.full((1000,), -2.0, requires_grad=True)
    cells.apply_voltage(u, where=torch.ones(1000, dtype=torch.bool))
    assert isinstance(cells.read(), torch.Tensor)
    assert bool(cells.in_lrs.all())


def test_a_crossbar_takes_cells_of_any_engine(published, engine):
    v = np.full(8, 0.2)
    read = [
        sf.Crossbar(sf.CellArray(published, (8, 8), seed=1, engine=e)).read(v, noise=False)
        for e in ("numba", engine)
    ]
    np.testing.assert_allclose(read[1], read[0], rtol=3e-5)


@pytest.mark.parametrize("device", ["nowhere", "cuda:7"])
def test_a_device_that_is_not_there(published, engine, device):
    with pytest.raises(sf.InvalidValueError, match="device: expected"):
        sf.CellArray(published, 4, seed=1, engine=engine, device=device)


def test_other_engines_have_no_devices(published):
    with pytest.raises(sf.InvalidValueError, match="device"):
        sf.CellArray(published, 4, seed=1, device="cuda")


def test_bad_voltages_change_nothing(published, engine):
    cells = sf.CellArray(published, 4, seed=1, engine=engine)
    with pytest.raises(sf.InvalidValueError, match="u: expected finite"):
        cells.apply_voltage(np.array([1.0, np.nan, 0.0, 0.0]))
    with pytest.raises(sf.InvalidTypeError, match="u: expected real numbers"):
        cells.apply_voltage(np.array(["a"] * 4))


def test_importing_synfab_imports_neither_library():
    code = "import sys, synfab; sys.exit('torch' in sys.modules or 'jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_compiled_function_makes_chips_of_many_seeds(published):
    jax = pytest.importorskip("jax")

    def pulse(chip, u):
        return sf.jax.apply_voltage(published, chip, u)

    def make(key):
        return sf.jax.fabricate(published, 500, seed=key)

    make, pulse = jax.jit(make), jax.jit(pulse)
    for seed in (3, 2**40 + 1):
        chip, cells = make(sf.jax.seed_words(seed)), sf.CellArray(published, 500, seed=seed)
        for u in (-2.0, 1.0, 1.5, -2.0, 1.2):
            chip = pulse(chip, u)
            cells.apply_voltage(u)
        same = cells.cycle == np.asarray(chip.cells.cycle)
        assert same.sum() >= 499
        np.testing.assert_allclose(np.asarray(chip.cells.r)[same], cells.r[same], atol=2e-5)
        current = sf.jax.read(published, chip, number=2)
        expected = cells.read(number=2)
        np.testing.assert_allclose(np.asarray(current)[same], expected[same], rtol=3e-4)
