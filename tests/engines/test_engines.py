"""The same cells on the arrays of PyTorch and JAX."""

import os
import subprocess
import sys

import numpy as np
import pytest

import synfab as sf
from synfab.cli.demo import random_voltages
from synfab.random.arrays import to_numpy

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


# PyTorch's compiler uses parts of PyTorch that warn of their age.
compiles = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@compiles
@pytest.mark.slow
def test_compiled_functions_make_the_same_cells(published):
    pytest.importorskip("torch")
    from synfab.random.torch_backend import COMPILE_FROM

    pair = [
        live(sf.CellArray(published, COMPILE_FROM, seed=5, engine=e), 12)
        for e in ("numba", "torch")
    ]
    agree(*pair, allowed=10)


@compiles
@pytest.mark.slow
def test_what_is_compiled_serves_any_number_of_cells_and_any_order(published, caplog):
    pytest.importorskip("torch")
    from synfab.random.torch_backend import COMPILE_FROM

    size = 2 * COMPILE_FROM
    some = np.arange(size) % 3 != 0
    for order in (4, 8):
        pair = [
            sf.CellArray(published, size, seed=5, engine=e, order=order) for e in ("numba", "torch")
        ]
        for cells in pair:
            cells.apply_voltage(-2.0).apply_voltage(1.5)
            for _ in range(order):  # the cells' blocks end at two different pulses
                cells.apply_voltage(-2.0, where=some).apply_voltage(1.2, where=some)
            cells.apply_voltage(-2.0).apply_voltage(1.5)
        agree(*pair, allowed=10)
    gave_up = [record for record in caplog.records if record.name.startswith("synfab")]
    assert not gave_up


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


def test_a_chip_of_nothing_is_refused_in_a_line(published):
    pytest.importorskip("jax")
    for model, size, seed, match in (
        (published, 10, -1, "seed: expected"),
        (published, 10, 1.5, "seed: expected"),
        (published, 10.5, 1, "size: expected"),
        (published, 0, 1, "size: expected"),
        ("published", 10, 1, "model: expected a CellModel"),
    ):
        with pytest.raises(sf.SynfabError, match=match):
            sf.jax.fabricate(model, size, seed=seed)
    one, two = (sf.jax.fabricate(published, 3, seed=seed) for seed in (5, np.int64(5)))
    np.testing.assert_array_equal(one.cells.r, two.cells.r)


def keys_of(jax, seeds):
    words = [sf.jax.seed_words(seed) for seed in seeds]
    return tuple(jax.numpy.stack(word) for word in zip(*words, strict=True))


def test_many_chips_at_once_are_the_chips_one_by_one(published):
    jax = pytest.importorskip("jax")
    seeds = (1, 2, 2**40 + 3)

    def life(key, u):
        chip = sf.jax.fabricate(published, 300, seed=key)
        for _ in range(2):
            chip = sf.jax.apply_voltage(published, chip, -2.0)
            chip = sf.jax.apply_voltage(published, chip, u)
        return chip.cells.r, sf.jax.read(published, chip)

    u = np.linspace(0.5, 1.5, 300, dtype=np.float32)
    r, current = jax.jit(jax.vmap(life, in_axes=(0, None)))(keys_of(jax, seeds), u)
    for k, seed in enumerate(seeds):
        cells = sf.CellArray(published, 300, seed=seed)
        for _ in range(2):
            cells.apply_voltage(-2.0).apply_voltage(u)
        same = np.abs(np.asarray(r[k]) - cells.r) < 2e-5
        assert same.sum() >= 299  # a threshold met within rounding
        np.testing.assert_allclose(np.asarray(current[k])[same], cells.read()[same], rtol=3e-4)


SHARDED = """
import jax, numpy as np, synfab as sf
from jax.sharding import NamedSharding, PartitionSpec
mesh = jax.make_mesh((4,), ("cells",), axis_types=(jax.sharding.AxisType.Auto,))
model = sf.load_model("published")

def life(chip):
    for u in (-2.0, 0.9, 1.5, -2.0):
        chip = sf.jax.apply_voltage(model, chip, u)
    return chip

chip = jax.jit(lambda key: sf.jax.fabricate(model, 4096, seed=key))(sf.jax.seed_words(5))
there = jax.tree.map(
    lambda a: jax.device_put(a, NamedSharding(mesh, PartitionSpec(*[None] * (a.ndim - 1), "cells")
                                              if a.ndim else PartitionSpec())), chip)
one, four = jax.jit(life)(chip), jax.jit(life)(there)
assert len(four.cells.r.sharding.device_set) == 4
assert np.abs(np.asarray(one.cells.r) - np.asarray(four.cells.r)).max() < 2e-5
assert np.array_equal(one.cells.cycle, four.cells.cycle)
"""


def test_a_chip_spread_over_four_devices_is_the_same_chip():
    pytest.importorskip("jax")
    four = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    run = subprocess.run(
        [sys.executable, "-c", SHARDED], check=False, env=four, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
