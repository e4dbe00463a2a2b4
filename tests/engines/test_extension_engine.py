"""An engine of one file and one registration does everything that arrays do, bit for bit."""

import copy
import pickle

import dictionary_engine
import numpy as np
import pytest

import synfab as sf
from synfab.cells.files import dump_cells, restore_cells
from synfab.cells.state import get_state, with_state
from synfab.engines.base import Engine
from synfab.engines.registry import register
from synfab.programming.tiles import Tiles
from synfab.random.arrays import to_numpy

SHAPE = (6, 5)


def fresh(engine, **options):
    return sf.CellArray("published", SHAPE, seed=7, order=2, engine=engine, **options)


def live(cells, pulses=40, seed=1):
    """Random pulses, some on some of the cells, until blocks of the history are used up."""
    random = np.random.default_rng(seed)
    for _ in range(pulses):
        u = random.normal(0.0, 1.6, SHAPE).astype(np.float32)
        where = random.random(SHAPE) < 0.7 if random.random() < 0.5 else None
        cells.apply_voltage(u, where=where)
    return cells


@pytest.fixture
def pair():
    return live(fresh("dictionary")), live(fresh("array"))


def assert_same(ours, theirs):
    for name, array in dump_cells(theirs)["storage"].items():
        assert np.array_equal(dump_cells(ours)["storage"][name], array), name


def test_pulses_make_the_cells_of_the_reference(pair):
    ours, theirs = pair
    assert theirs.cycle.max() > 4
    assert_same(ours, theirs)
    for name, values in theirs.features.items():
        assert np.array_equal(ours.features[name], values)
    assert np.array_equal(ours.device_parameters, theirs.device_parameters)


def test_reads_are_those_of_the_reference(pair):
    ours, theirs = pair
    v = np.linspace(-0.2, 0.3, 5)
    for job in (
        lambda cells: cells.read(), lambda cells: cells.read(0.0, number=3),
        lambda cells: cells.current(0.1), lambda cells: cells.conductance(),
        lambda cells: cells @ v, lambda cells: cells.readout_noise(2),
        lambda cells: sf.Crossbar(cells, wire_resistance=2.0).read(v),
    ):  # fmt: skip
        assert np.array_equal(job(ours), job(theirs))


def test_views_are_those_of_the_reference(pair):
    ours, theirs = (cells[1:4, ::2] for cells in pair)
    for name in ("r", "cycle", "in_hrs", "in_lrs"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))
    assert np.array_equal(ours.features["u_set"], theirs.features["u_set"])
    assert np.array_equal(ours.current(), theirs.current())


def test_ideal_programming_is_that_of_the_reference(pair):
    target = np.linspace(2e-5, 2e-4, 30).reshape(SHAPE)
    for cells in pair:
        cells.set_conductance(target).set_conductance(5e-5, where=target < 8e-5)
    assert_same(*pair)


def test_files_copies_and_states_resume_exactly(pair, tmp_path):
    ours, theirs = pair
    ours.read()
    ours.save(tmp_path / "cells.npz")
    loaded = sf.CellArray.load(tmp_path / "cells.npz")
    assert (loaded.engine, loaded.read_number) == ("dictionary", 1)
    restored = fresh("dictionary")
    restore_cells(restored, dump_cells(ours))
    moved = with_state(ours, get_state(ours))
    others = [loaded, restored, ours.copy(), copy.copy(ours), moved]
    others.append(pickle.loads(pickle.dumps(ours)))
    live(theirs, 10, seed=2)
    for cells in others:
        assert_same(live(cells, 10, seed=2), theirs)
    assert (ours.cycle <= theirs.cycle).all()
    assert not np.array_equal(ours.cycle, theirs.cycle)  # the copies were apart


def test_tiles_are_made_of_it():
    tiles = [
        Tiles(sf.load_model(), (3, 4), (4, 4), first_cell=0, seed=1, engine=engine)
        for engine in ("dictionary", "array")
    ]
    assert np.array_equal(tiles[0].states(), tiles[1].states())


def test_a_file_of_it_is_checked(pair, tmp_path):
    state = dump_cells(pair[0])
    state["storage"]["r"] = state["storage"]["r"][:3]
    with pytest.raises(sf.FileFormatError, match=r"^r: expected float32"):
        restore_cells(fresh("dictionary"), state)


class Incomplete(Engine):
    pass


# Implements all methods, but does not name its arrays.
Unnamed = type("Unnamed", (Engine,), dict.fromkeys(Engine.__abstractmethods__))


def test_messages_list_what_is_registered():
    with pytest.raises(sf.InvalidValueError, match=r"expected one of auto, numba.*dictionary"):
        fresh("abacus")
    with pytest.raises(sf.InvalidValueError, match='"compact" needs engine "numba"'):
        fresh("dictionary", history="compact")
    with pytest.raises(sf.InvalidValueError, match=r"^name: "):
        register("auto", dictionary_engine.DictionaryEngine)
    with pytest.raises(sf.InvalidTypeError, match=r"^location: expected a class or"):
        register("a number", 3)
    for name in ("", "torch"):
        with pytest.raises(sf.InvalidValueError, match=r"^name: .* is reserved"):
            register(name, dictionary_engine.DictionaryEngine)
    for histories in ("float32", (1,), None, ()):
        with pytest.raises(sf.InvalidTypeError, match=r"^histories: expected names"):
            register("mine", dictionary_engine.DictionaryEngine, histories=histories)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (int, "is registered with no subclass of Engine"),
        ("no_such_module:Thing", "cannot be imported: No module named"),
        (":Thing", "cannot be imported: Empty module name"),
        ("synfab.engines.reference:Thing", "cannot be imported: module"),
        (Incomplete, "does not implement begin_cycle, cycles"),
        (Unnamed, "does not implement STORED"),
    ],
)
def test_an_engine_that_is_incomplete_is_refused(location, message):
    register("unfinished", location)
    with pytest.raises(sf.InvalidTypeError, match=f'^engine: "unfinished" {message}'):
        fresh("unfinished")


def test_an_engine_of_numpy_serves_the_arrays_of_another_library():
    torch = pytest.importorskip("torch")
    ours, theirs = live(fresh("dictionary", arrays="torch")), live(fresh("array"))
    u = torch.full(SHAPE, -2.0)
    ours.apply_voltage(u, where=u < 0.0)
    theirs.apply_voltage(-2.0)
    results = [
        (
            cells.r,
            cells.read(),
            cells @ np.ones(5),
            cells.in_lrs,
            cells[2].r,
            cells.features["u_set"],
        )
        for cells in (ours, theirs)
    ]
    for mine, wanted in zip(*results, strict=True):
        assert isinstance(mine, torch.Tensor)
        assert np.array_equal(to_numpy(mine), wanted)


def test_an_engine_that_holds_other_cells_is_refused():
    with pytest.raises(sf.InvalidValueError, match=r"^engine: expected seed 8, found 7"):
        sf.CellArray("published", SHAPE, seed=8, order=2, engine=fresh("array").engine_instance)
