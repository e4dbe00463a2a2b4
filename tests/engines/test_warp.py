"""Engine "warp": kernels on the CPU, on a GPU where there is one, and compiled for one."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optional_models import models

import synfab as sf
from synfab.physics import rules
from synfab.random import streams
from synfab.random.arrays import to_numpy
from synfab.random.backend import find_library

wp = pytest.importorskip("warp")

from synfab.engines.warp import kernels, scalar, setup  # noqa: E402
from synfab.engines.warp.blocks import block_kernels  # noqa: E402
from synfab.engines.warp.engine import bytes_per_cell  # noqa: E402
from synfab.engines.warp.layout import MAX_CELLS  # noqa: E402

# The Random123 known answers: two words of the cell number, index, stream; key; words.
ANSWERS = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)  # fmt: skip

LAST = 2**64 - 1 - 400  # the last number at which 400 cells may start


def places():
    """Return the devices of Warp that compute here."""
    return ["cpu", "cuda"] if setup.has_gpu() and gpu_libraries() else ["cpu"]


def gpu_libraries():
    """Return the array libraries that are built for the GPU of this machine."""
    found = []
    for name in ("torch", "jax"):
        try:
            find_library(name, "cuda")
        except (ImportError, sf.SynfabError):
            continue
        found.append(name)
    return found


@pytest.fixture(params=places())
def place(request):
    """Options of an array of cells that choose the device."""
    if request.param == "cpu":
        return {"arrays": "numpy", "device": "cpu"}
    return {"arrays": gpu_libraries()[0], "device": "cuda"}


def fresh(n=400, engine="warp", **options):
    return sf.CellArray("published", n, seed=7, engine=engine, **{"order": 3} | options)


def live(cells, pulses=24, seed=2, start=0, total=400):
    """Apply random pulses, masked or not: those of cells ``start`` … among ``total``."""
    random, own = np.random.default_rng(seed), slice(start, start + cells.size)
    for k in range(pulses):
        u = random.normal(0.0, 1.5, total).astype(np.float32)
        where = random.random(total) < 0.6
        cells.apply_voltage(u[own], where=where[own] if k % 2 else None)
    return cells


def host(values):
    return np.array(to_numpy(values))


def everything(cells):
    return {name: host(array) for name, array in cells.engine_instance.storage().items()}


def assert_same(mine, other, part=slice(None)):
    other = everything(other)
    for name, array in everything(mine).items():
        np.testing.assert_array_equal(array, other[name][..., part], err_msg=name)


@wp.kernel(enable_backward=False)
def draw(
    number: wp.uint64, index: wp.uint32, stream: wp.uint32, k0: wp.uint32, k1: wp.uint32,
    out: wp.array[wp.uint32],
):  # fmt: skip
    w0, w1, w2, w3 = scalar.philox(number, index, stream, k0, k1)
    out[0] = w0
    out[1] = w1
    out[2] = w2
    out[3] = w3


@pytest.mark.parametrize(("counter", "key", "words"), ANSWERS)
def test_philox_gives_the_known_answers(counter, key, words, place):
    low, high, index, stream = counter
    out = wp.empty(4, dtype=wp.uint32, device=place["device"])
    given = [wp.uint64(low | high << 32), *map(wp.uint32, (index, stream, *key)), out]
    with setup.quiet():
        wp.launch(draw, 1, given, device=place["device"])
    assert tuple(out.numpy()) == words


def test_readout_normals_are_those_of_the_contract(place):
    rows, first, number = 500, 2**32 - 100, 2**32 - 2  # numbers of inputs wrap around
    drawn = fresh(rows, **place).engine_instance.readout_noise(first, rows, number, 4)
    row = np.arange(first, first + rows, dtype=np.uint64)[:, None]
    index = np.array([2**32 - 2, 2**32 - 1, 0, 1], np.uint32)[None, :]
    low, high = (w.astype(np.uint32) + index * 0 for w in (row & streams.WORD, row >> 32))
    words = streams.words(7, (low, high), index, streams.Stream.READOUT_NOISE)
    np.testing.assert_allclose(host(drawn), streams.normals(words)[0], atol=2e-6)


@pytest.mark.parametrize("first_cell", [0, 5, 2**32 - 150, LAST])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 90), (101, 398), (397, 400)])
def test_a_part_of_an_array_is_the_same_bit_for_bit(first_cell, low, high, place):
    whole = live(fresh(first_cell=first_cell, **place))
    part = live(fresh(high - low, first_cell=first_cell + low, **place), start=low)
    assert host(whole.cycle).max() > 3
    assert_same(part, whole, slice(low, high))
    own = slice(low, high)
    for u in (0.2, 0.0, np.linspace(-0.5, 0.5, 400)):
        there = u if np.ndim(u) == 0 else u[own]
        mine, wanted = part.read(there, number=3), whole.read(u, number=3)
        np.testing.assert_array_equal(host(mine), host(wanted)[own])
    for name in sf.FEATURES:
        np.testing.assert_array_equal(host(part.features[name]), host(whole.features[name])[own])


@pytest.mark.parametrize("first_cell", [0, 2**32 - 150, LAST])
@pytest.mark.parametrize("order", [1, 2, 7, 10])
def test_fresh_cells_are_those_of_the_reference(first_cell, order, place):
    ours = fresh(first_cell=first_cell, order=order, **place)
    theirs = fresh(engine="array", first_cell=first_cell, order=order)
    for name in sf.FEATURES:
        np.testing.assert_allclose(host(ours.features[name]), theirs.features[name], rtol=1e-5)
    np.testing.assert_allclose(host(ours.r), theirs.r, atol=3e-6)
    scale = np.abs(theirs.device_parameters).max(axis=0)
    off = np.abs(host(ours.device_parameters) - theirs.device_parameters).max(axis=0)
    assert (off < 1e-6 * scale).all()
    for u in (0.2, 0.0):
        mine, wanted = ours.read(u, number=9), theirs.read(u, number=9)
        np.testing.assert_allclose(host(mine), wanted, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("part", models())
@pytest.mark.parametrize("order", [1, 10])
def test_cells_with_optional_parts_are_those_of_the_reference(part, order, place):
    model = models()[part]
    ours, theirs = (
        sf.CellArray(model, 300, seed=5, order=order, first_cell=2**40 + 3, **options)
        for options in ({"engine": "warp"} | place, {"engine": "array"})
    )
    random = np.random.default_rng(1)
    for k in range(60):
        u = -3.1 if k % 3 == 0 else random.uniform(0.5 if k % 3 == 1 else -3.0, 1.7, 300)
        where = random.random(300) < 0.3 if k % 5 == 4 else None
        for cells in (ours, theirs):
            cells.apply_voltage(u, where=where)
    np.testing.assert_array_equal(host(ours.cycle), theirs.cycle)
    np.testing.assert_allclose(host(ours.r), theirs.r, atol=1e-5)
    found = {name: host(values) for name, values in ours.features.items()}
    for name, values in theirs.features.items():
        np.testing.assert_allclose(found[name], values, rtol=3e-5)
    dead = np.isinf(found["u_set"]) | np.isinf(found["u_reset"])
    assert dead.any() == (model.failure is not None)
    for cells in (ours, theirs):
        cells.set_conductance(1e-4)
    np.testing.assert_allclose(host(ours.r), theirs.r, atol=1e-5)
    np.testing.assert_array_equal(host(ours.in_lrs), theirs.in_lrs)
    vectors = (host(cells.engine_instance.vectors()) for cells in (ours, theirs))
    np.testing.assert_allclose(*vectors, atol=2e-5)


def test_a_part_of_an_array_with_optional_parts_is_the_same(place):
    options = {"seed": 7, "engine": "warp", "order": 3} | place
    model = models()["every part"]
    whole = live(sf.CellArray(model, 400, first_cell=LAST, **options))
    part = sf.CellArray(model, 97, first_cell=LAST + 101, **options)
    assert_same(live(part, start=101), whole, slice(101, 198))
    assert_same(pickle.loads(pickle.dumps(whole)), whole)


def test_copies_files_and_pickles_resume_exactly(tmp_path, place):
    cells = live(fresh(**place))
    cells.save(tmp_path / "cells")
    others = [sf.CellArray.load(tmp_path / "cells", **place), cells.copy()]
    others.append(pickle.loads(pickle.dumps(cells)))
    before = everything(cells)
    live(others[1], seed=4)
    for name, array in everything(cells).items():
        np.testing.assert_array_equal(array, before[name])
    live(cells, seed=4)
    for other in (others[0], others[2]):
        assert other.engine == "warp"
        live(other, seed=4)
    for other in others:
        assert_same(other, cells)


def test_a_pulse_interrupted_between_its_kernels_is_completed(monkeypatch, place):
    """Ctrl-C may come where cells are listed whose history is not yet drawn."""
    cells, others = fresh(**place), fresh(**place)
    launch = wp.launch

    def interrupted(kernel, *arguments, **options):
        if "resets" in kernel.key:
            raise KeyboardInterrupt
        launch(kernel, *arguments, **options)

    for k in range(12):
        for each in (cells, others):
            each.apply_voltage(-3.0)
        others.apply_voltage(1.6)
        monkeypatch.setattr(wp, "launch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cells.apply_voltage(1.6)
        monkeypatch.undo()
        if k % 3 == 0:
            assert_same(cells, others)
    assert_same(cells.copy(), others)


def test_a_file_with_impossible_cells_is_refused(place):
    cells = fresh(**place)
    for name, value in (("u_set", np.nan), ("in_lrs", True), ("cycle", -1), ("block", np.inf)):
        arrays = everything(cells)
        arrays[name][..., 3] = value
        with pytest.raises(sf.FileFormatError, match=name):
            cells.engine_instance.check(arrays)
    arrays = everything(cells)
    arrays["block"] = arrays["block"][:-1]
    with pytest.raises(sf.FileFormatError, match=r"block: expected float32 \(12, 400\)"):
        cells.engine_instance.check(arrays)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_arrays_of_other_libraries_are_the_same_cells(name):
    """Arguments and results share memory with the kernels' arrays."""
    pytest.importorskip(name)
    ours, theirs = live(fresh(arrays=name, device="cpu")), live(fresh())
    kind = find_library(name, "cpu").kind
    mask = np.arange(400) % 3 == 0
    for cells in (ours, theirs):
        engine = cells.engine_instance
        some = engine.library.asarray(np.flatnonzero(mask))
        engine.program(some, engine.library.asarray(np.linspace(0.1, 0.8, 134, dtype=np.float32)))
        engine.begin_cycle(some)
        cells.apply_voltage(1.3, where=mask)
    assert_same(ours, theirs)
    for result in (ours.r, ours.read(), ours.current(0.3), ours.in_lrs, ours.features["u_set"]):
        assert isinstance(result, kind)
    np.testing.assert_array_equal(to_numpy(ours.read(number=4)), theirs.read(number=4))
    held = ours.r
    before = np.array(to_numpy(held))
    assert isinstance(held, kind)
    ours.apply_voltage(-3.0)
    np.testing.assert_array_equal(to_numpy(held), before)


def test_state_of_torch_shares_the_memory_of_the_kernels():
    pytest.importorskip("torch")
    library = find_library("torch", "cpu")
    engine = fresh(50, arrays="torch").engine_instance
    states = engine.states
    engine.apply_voltage(library.asarray(np.array([-3.0], np.float32)), None)
    assert bool((states < 0.5).all())
    assert states.data_ptr() == engine.cells.r.ptr


def test_numbers_of_no_cell_are_ignored():
    """JAX pads lists of cells with them."""
    pytest.importorskip("jax")
    made = [fresh(arrays="jax"), fresh(arrays="jax")]
    padded = np.array([5, 400, -1, 2**31 - 1, -(2**31), 7], np.int32)
    for cells, listed in zip(made, (padded, padded[[0, 5]]), strict=True):
        engine = cells.engine_instance
        r = engine.library.asarray(np.full(len(listed), 0.3, np.float32))
        cell = engine.library.asarray(listed)
        engine.program(cell, r)
        engine.put(cell, rules.SwitchingState(r * 0.5, r, r, r < 0.0, r < 0.0))
        engine.begin_cycle(cell)
    assert_same(*made)


def test_devices_without_kernels_are_refused():
    pytest.importorskip("torch")
    with pytest.raises(sf.InvalidValueError, match='engine "warp" computes on the CPU and on NVID'):
        setup.prepare(find_library("torch", "meta"))
    with pytest.raises(sf.InvalidValueError, match=r"^device: "):
        fresh(device="cuda")


def test_more_cells_than_addresses_reach_are_refused(monkeypatch):
    monkeypatch.setattr("synfab.cells.identity.check_capacity", lambda *_, **__: None)
    with pytest.raises(sf.CapacityError, match=f"up to {MAX_CELLS} cells, found {MAX_CELLS + 1}"):
        fresh(MAX_CELLS + 1)


def test_cells_that_do_not_fit_on_the_device_are_refused(monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")  # as PyTorch and Warp do

    monkeypatch.setattr("synfab.engines.warp.engine.empty", fail)
    with pytest.raises(sf.CapacityError, match=r"1000 cells need 209\.0 KiB, more than is free"):
        fresh(1000, order=10)


def test_memory_per_cell_is_as_stated():
    cells = fresh(1000, order=10)
    assert cells.nbytes == 1000 * bytes_per_cell(10) == 1000 * 214
    with_averages = sf.CellArray(models()["averages"], 1000, seed=1, order=10, engine="warp")
    assert with_averages.nbytes == 1000 * bytes_per_cell(12)


PROGRAM = """
import synfab as sf
cells = sf.CellArray("published", 10, seed=1, engine="warp").apply_voltage(-2.0)
cells.read()
import warp
assert warp.config.log_level == warp.LOG_INFO
"""


def test_nothing_is_printed():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    # Warp's native library writes this line where there is no NVIDIA driver.
    assert [line for line in done.stderr.splitlines() if "NVIDIA CUDA driver" not in line] == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    program = (
        "import synfab as sf\ntry:\n    "
        + PROGRAM.splitlines()[2]
        + ("\nexcept sf.SynfabError as error:\n    print(error)")
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "WARP_CACHE_PATH": str(tmp_path / "file")},
    )  # fmt: skip
    assert done.stdout.startswith("Warp cannot keep compiled kernels (")
    assert done.stdout.endswith("; set WARP_CACHE_PATH to a folder that can be written\n")


@pytest.mark.slow
def test_all_kernels_compile_for_an_h100_without_one(tmp_path):
    setup.prepare(find_library("numpy"))
    if not (Path(wp.__file__).parent / "bin" / "warp.so").is_file():
        pytest.skip("this build of Warp has no compiler for CUDA")
    blocks = block_kernels(10, 0)
    with setup.quiet():
        for module in (kernels, blocks.fabricate.module):
            wp.compile_aot_module(module, arch=90, module_dir=tmp_path, use_ptx=True)
    compiled = sorted(tmp_path.glob("*.sm90.ptx"))
    assert len(compiled) == 2
    text = "".join(code.read_text() for code in compiled)
    assert ".target sm_90" in text
    for kernel in (
        "fabricate", "apply_voltage", "apply_voltage_with_parts", "resets", "begin_cycles",
        "program", "put", "features", "currents", "read", "readout_normals",
    ):  # fmt: skip
        assert re.search(rf"\.entry \w*\b{kernel}_|\.entry \w*_{kernel}_", text), kernel
    assert ".reg .f64" not in text  # an expression in double precision would be slow
    assert ".local" not in text  # nor an array that does not fit into registers


def gpu(library):
    """Library on an NVIDIA GPU, or the reason to skip."""
    pytest.importorskip(library)
    if not setup.has_gpu():
        pytest.skip("no CUDA device")
    try:
        return find_library(library, "cuda")
    except sf.InvalidValueError:
        pytest.skip(f"{library} is built without CUDA")


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_gpu_simulates_the_cells_of_the_cpu(name):
    library = gpu(name)
    ours = live(fresh(arrays=name, device=library.device))
    theirs = live(fresh(engine="array"))
    np.testing.assert_array_equal(to_numpy(ours.cycle), theirs.cycle)
    np.testing.assert_allclose(to_numpy(ours.r), theirs.r, atol=3e-5)
    for key, values in theirs.features.items():
        np.testing.assert_allclose(to_numpy(ours.features[key]), values, rtol=3e-5)
    mine = to_numpy(ours.read(number=4))
    np.testing.assert_allclose(mine, theirs.read(number=4), rtol=1e-4, atol=1e-12)
    assert_same(pickle.loads(pickle.dumps(ours)), ours)
    assert sf.CellArray("published", 3, seed=1, arrays=name, device=library.device).engine == "warp"
    part = live(fresh(97, arrays=name, device=library.device, first_cell=3), start=3)
    assert_same(part, ours, slice(3, 100))
