"""The same cells on the arrays of PyTorch and JAX."""

import os
import subprocess
import sys

import numpy as np
import pytest

import synfab as sf
from synfab.cli.demo import random_voltages
from synfab.engines import registry
from synfab.random.arrays import to_numpy

BOUNDS = {"r_hrs": 3e-5, "u_set": 1e-5, "r_lrs": 1e-5, "u_reset": 1e-5}
LIBRARIES = ("torch", "jax")


@pytest.fixture(params=LIBRARIES)
def arrays(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(params=["numba", "array"])
def options(request, arrays):
    """Kernels and reference, with the arrays of each library."""
    return {"engine": request.param, "arrays": arrays}


def assert_same_bits(ours, theirs):
    for name in ("r", "cycle", "in_lrs", "device_parameters"):
        assert np.array_equal(getattr(ours, name), to_numpy(getattr(theirs, name)))
    for name, feature in ours.features.items():
        assert np.array_equal(feature, to_numpy(theirs.features[name]))


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


def test_a_hundred_random_pulses_make_the_same_cells(published, arrays):
    pair = [
        live(sf.CellArray(published, 10_000, seed=5, **options), 100)
        for options in ({}, {"engine": "array", "arrays": arrays})
    ]
    assert pair[0].cycle.max() > 20
    agree(*pair, allowed=10)


def test_masks_reads_and_files(published, options, tmp_path):
    pair = [sf.CellArray(published, (20, 50), seed=1, **kind) for kind in ({}, options)]
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
    assert {name: getattr(again, name) for name in options} == options
    for cells in (theirs, again):
        cells.apply_voltage(1.5)
    assert np.array_equal(to_numpy(again.r), to_numpy(theirs.r))


def test_kernels_make_the_same_bits_for_arrays_of_any_library(published, arrays):
    ours, theirs = (
        sf.CellArray(published, (50, 70), seed=3, arrays=kind) for kind in ("numpy", arrays)
    )
    bring = theirs.arguments.outer.asarray
    for k in range(8):
        u = random_voltages((50, 70), k) * np.float32(1.2)
        where = None if k % 2 else random_voltages((50, 70), k + 100) > 0.5
        ours.apply_voltage(u, where=where)
        theirs.apply_voltage(bring(u), where=None if where is None else bring(where))
    assert_same_bits(ours, theirs)
    v = random_voltages((70, 2), 5) * np.float32(0.2)
    for mine, other in (
        (ours.read(), theirs.read()), (ours @ v, theirs @ bring(v)),
        (ours.current(0.1), theirs.current(0.1)), (ours.conductance(), theirs.conductance()),
        (ours[3:5].r, theirs[3:5].r), (ours.readout_noise(2), theirs.readout_noise(2)),
    ):  # fmt: skip
        assert isinstance(other, theirs.arguments.outer.kind)
        found = to_numpy(other)  # JAX rounds float64 to float32
        assert np.array_equal(mine.astype(found.dtype), found)
    g = np.linspace(3e-5, 9e-5, 3500, dtype=np.float32).reshape(50, 70)
    assert_same_bits(ours.set_conductance(g), theirs.set_conductance(bring(g)))


def test_results_and_arguments_are_not_memory_of_the_cells(published, options):
    """Changing what was returned, or what was passed, changes no cell."""
    cells = sf.CellArray(published, 20_000, seed=1, **options)
    u = np.full(20_000, -2.0, np.float32)
    cells.apply_voltage(u)
    u[:] = 5.0
    before = to_numpy(cells.r).copy()
    for array in (cells.r, cells.cycle, cells.device_parameters, cells.read(number=0)):
        if options["arrays"] == "torch":  # arrays of JAX are immutable
            array.zero_()
    assert np.array_equal(to_numpy(cells.r), before)
    assert to_numpy(cells.in_lrs).all()


def test_few_copies_between_the_kernels_and_tensors(published):
    """PyTorch and the kernels share memory: a tensor is no copy of what the kernel wrote."""
    torch = pytest.importorskip("torch")
    cells = sf.CellArray(published, 1000, seed=1, arrays="torch")
    written = np.zeros(1000, np.float32)
    assert cells.arguments.returned(written).data_ptr() == written.ctypes.data
    given = torch.zeros(1000)
    assert cells.arguments.voltages(given).ctypes.data == given.data_ptr()


def test_tensors_go_in_and_come_out(published):
    torch = pytest.importorskip("torch")
    for engine in ("numba", "array"):
        cells = sf.CellArray(published, 1000, seed=1, engine=engine, arrays="torch")
        u = torch.full((1000,), -2.0, requires_grad=True)
        cells.apply_voltage(u, where=torch.ones(1000, dtype=torch.bool))
        assert isinstance(cells.read(), torch.Tensor)
        assert bool(cells.in_lrs.all())


@pytest.mark.parametrize("name", LIBRARIES)
def test_engines_named_after_a_library_are_the_reference_on_its_arrays(published, tmp_path, name):
    pytest.importorskip(name)
    with pytest.warns(DeprecationWarning, match=f'engine="{name}" is now arrays="{name}"'):
        cells = sf.CellArray(published, 40, seed=1, engine=name)
    assert (cells.engine, cells.arrays) == ("array", name)


def test_a_saved_array_is_loaded_for_another_library(published, tmp_path, arrays):
    cells = sf.CellArray(published, 40, seed=1, arrays=arrays).apply_voltage(-2.0)
    cells.save(tmp_path / "cells.npz")
    for asked, found in ((None, arrays), ("numpy", "numpy"), ("torch", "torch")):
        again = sf.CellArray.load(tmp_path / "cells.npz", arrays=asked)
        assert again.arrays == found
        assert np.array_equal(to_numpy(again.r), to_numpy(cells.r))
        assert again.copy().arrays == found
    with pytest.raises(sf.InvalidValueError, match=r"^arrays: expected one of numpy"):
        sf.CellArray.load(tmp_path / "cells.npz", arrays="cupy")


@pytest.mark.parametrize("engine", ["numba", "array", "warp"])
@pytest.mark.parametrize("saved", ["numpy", *LIBRARIES])
@pytest.mark.parametrize("loaded", ["numpy", *LIBRARIES])
def test_an_array_is_saved_with_one_library_and_pulsed_with_another(
    published, tmp_path, engine, saved, loaded
):
    for name in {saved, loaded, engine} & {"torch", "jax", "warp"}:
        pytest.importorskip(name)
    cells = sf.CellArray(published, 40, seed=1, order=2, engine=engine, arrays=saved)
    cells.apply_voltage(-2.0).apply_voltage(1.5).save(tmp_path / "cells.npz")
    again = sf.CellArray.load(tmp_path / "cells.npz", arrays=loaded)
    for each in (cells, again):
        each.apply_voltage(-2.0).apply_voltage(1.1)
    np.testing.assert_allclose(to_numpy(again.r), to_numpy(cells.r), rtol=1e-5)
    assert to_numpy(again.cycle + 1).max() == 3


def test_cells_of_any_library_are_written_and_programmed_through_wires(published, options):
    found = []
    for kind in ({}, options):
        cells = sf.CellArray(published, (4, 4), seed=1, **kind).apply_voltage(-2.0)
        bar = sf.Crossbar(cells, 2.0)
        bar.write(rows=[0], columns=[1], voltage=1.2)
        bar.write(rows=[1], columns=[2], voltage=-1.5)
        bar.program_open_loop(np.full((4, 4), 8e-5))
        bar.program(np.full((4, 4), 9e-5), max_passes=3)
        found.append(to_numpy(cells.r))
    np.testing.assert_allclose(found[1], found[0], atol=2e-5)


def test_a_crossbar_takes_cells_of_any_engine(published, options):
    v = np.full(8, 0.2)
    read = [
        sf.Crossbar(sf.CellArray(published, (8, 8), seed=1, **kind)).read(v, noise=False)
        for kind in ({}, options)
    ]
    np.testing.assert_allclose(read[1], read[0], rtol=3e-5)


def test_the_automatic_engine_on_a_gpu_is_the_one_with_kernels(monkeypatch):
    setup = pytest.importorskip("synfab.engines.warp.setup")
    for present, name in ((True, "warp"), (False, "array")):
        monkeypatch.setattr(setup, "has_gpu", lambda present=present: present)
        for place in ("cuda:0", "gpu:1"):
            assert registry.check_engine("auto", "float32", place) == name
    assert registry.check_engine("auto", "float32", "mps") == "array"
    assert registry.check_engine("auto", "float32", "cpu") == "numba"


@pytest.mark.parametrize("device", ["nowhere", "cuda:7"])
def test_a_device_that_is_not_there(published, options, device):
    with pytest.raises(sf.InvalidValueError, match="device: expected"):
        sf.CellArray(published, 4, seed=1, device=device, **options)


def test_kernels_for_cpus_refuse_other_devices(published):
    pytest.importorskip("torch")
    with pytest.raises(sf.InvalidValueError, match=r'^device: engine "numba" computes on the CPU'):
        sf.CellArray(published, 4, seed=1, engine="numba", arrays="torch", device="meta")


def test_numpy_has_no_devices(published):
    with pytest.raises(sf.InvalidValueError, match=r"^device: NumPy arrays are on"):
        sf.CellArray(published, 4, seed=1, device="cuda")


def test_bad_voltages_change_nothing(published, options):
    cells = sf.CellArray(published, 4, seed=1, **options)
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
        (published, 10.5, 1, "shape: expected"),
        (published, 0, 1, "shape: expected"),
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
