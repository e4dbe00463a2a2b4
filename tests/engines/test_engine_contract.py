"""What every engine does, whatever it is registered under; see ``synfab.engines.base.Engine``."""

import dictionary_engine
import numpy as np
import pytest

import synfab as sf
from synfab.engines import registry
from synfab.engines.base import Engine
from synfab.physics import rules
from synfab.physics.noise import ReadNoise
from synfab.random.arrays import to_numpy

assert "dictionary" in registry.engines(), dictionary_engine
BUILT_IN = ("numba", "array", "dictionary")
KINDS = [
    *((e, history, "numpy") for e in BUILT_IN for history in registry.histories(e)),
    ("array", "float32", "torch"),
    ("array", "float32", "jax"),
    *(("warp", "float32", arrays) for arrays in ("numpy", "torch", "jax")),
]
CELLS = 300
SOME = np.arange(3, CELLS, 7)
EXACT = ("array", "dictionary")  # the rules on NumPy: no rounding differs


@pytest.fixture(params=KINDS, ids="-".join)
def kind(request):
    if request.param[2] != "numpy":
        pytest.importorskip(request.param[2])
    if request.param[0] == "warp":
        pytest.importorskip("warp")
    return request.param


def options_of(kind):
    return dict(zip(("engine", "history", "arrays"), kind, strict=True))


@pytest.fixture
def cells(kind):
    """Cells in all phases: in the LRS, in the HRS, RESET in part, after some cycles."""
    made = sf.CellArray("published", CELLS, seed=5, order=2, **options_of(kind))
    random = np.random.default_rng(3)
    for _ in range(12):
        made.apply_voltage(random.normal(0.0, 1.4, CELLS).astype(np.float32))
    return made


def numpy_of(arrays):
    return [np.array(to_numpy(array)) for array in arrays]


def everything(engine):
    found = (*engine.take(), *engine.features(), engine.cycles(), engine.parameters())
    return numpy_of(found)


def assert_equal(found, wanted):
    for mine, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_listed_cells_are_those_of_all(cells):
    engine = cells.engine_instance
    listed = engine.library.asarray(SOME)
    assert_equal(numpy_of(engine.take(listed)), [a[SOME] for a in numpy_of(engine.take())])
    for ask in (engine.cycles, engine.parameters):
        np.testing.assert_array_equal(to_numpy(ask(listed)), to_numpy(ask())[SOME])
    np.testing.assert_array_equal(
        to_numpy(engine.vectors(listed)), to_numpy(engine.vectors())[:, SOME]
    )
    for mine, other in zip(engine.features(listed), engine.features(), strict=True):
        np.testing.assert_allclose(to_numpy(mine), to_numpy(other)[SOME], rtol=3e-5)


def test_components_are_those_of_the_population(cells):
    population = cells.model.population
    wanted = population.component(to_numpy(cells.engine_instance.parameters()))
    np.testing.assert_array_equal(cells.engine_instance.components(), wanted)
    assert len(np.unique(wanted)) > 1


def test_shapes_and_types(cells, kind):
    engine = cells.engine_instance
    state = numpy_of(engine.take())
    assert [a.dtype.name for a in state] == ["float32"] * 3 + ["bool"] * 2
    assert all(a.shape == (CELLS,) for a in state)
    assert to_numpy(engine.vectors()).shape == (4, CELLS)
    assert to_numpy(engine.parameters()).shape == (CELLS, 8)
    assert tuple(engine.storage()) == engine.STORED
    for name, wanted in zip(("states", "in_hrs", "in_lrs"), (0, 3, 4), strict=True):
        rounding = 1e-6 if kind[1] == "compact" else 0.0
        np.testing.assert_allclose(to_numpy(getattr(engine, name)), state[wanted], atol=rounding)


def test_what_was_taken_can_be_put_back(cells):
    engine = cells.engine_instance
    before = everything(engine)
    listed = engine.library.asarray(SOME)
    engine.put(listed, engine.take(listed))
    assert_equal(everything(engine), before)


def test_put_changes_the_listed_cells_only_and_no_history(cells, kind):
    engine = cells.engine_instance
    before = everything(engine)
    flags = np.arange(len(SOME)) % 2 == 0
    half = np.full(len(SOME), 0.5, np.float32)
    new = rules.SwitchingState(half, half * 2, half * 1e-3, flags, ~flags)
    put = rules.SwitchingState(*map(engine.library.asarray, new))
    engine.put(engine.library.asarray(SOME), put)
    engine.put(engine.library.asarray(SOME), put)  # twice is once
    after = everything(engine)
    apart = np.delete(np.arange(CELLS), SOME)
    assert_equal([a[..., apart] if a.ndim == 1 else a for a in after], [
        b[..., apart] if b.ndim == 1 else b for b in before
    ])  # fmt: skip
    assert_equal(after[5:], before[5:])  # features, cycle, parameters
    compact = kind[1] == "compact"
    for name, mine, wanted in zip(new._fields, after, new, strict=False):
        if not (compact and name == "steepness"):  # it follows from the rest
            np.testing.assert_allclose(mine[SOME], wanted, atol=1e-4 if compact else 0.0)


def test_begin_cycle_advances_the_history_of_the_listed_cells_only(cells):
    engine = cells.engine_instance
    state, cycle = numpy_of(engine.take()), to_numpy(engine.cycles()).copy()
    vectors = to_numpy(engine.vectors()).copy()
    for number in range(1, 4):
        begun = engine.begin_cycle(engine.library.asarray(SOME))
        for mine, other in zip(begun, engine.features(), strict=True):
            np.testing.assert_allclose(to_numpy(mine), to_numpy(other)[SOME], rtol=3e-5)
        wanted = cycle + np.where(np.isin(np.arange(CELLS), SOME), number, 0).astype(cycle.dtype)
        np.testing.assert_array_equal(to_numpy(engine.cycles()), wanted)
    moved = (to_numpy(engine.vectors()) != vectors).any(axis=0)
    np.testing.assert_array_equal(np.flatnonzero(moved), SOME)
    names = rules.SwitchingState._fields
    for name, mine, before in zip(names, numpy_of(engine.take()), state, strict=True):
        if name != "steepness":  # compact cells derive it from the cycle
            np.testing.assert_array_equal(mine, before)


@pytest.mark.parametrize("masked", [False, True])
def test_the_default_pulse_does_what_the_fast_one_does(cells, kind, masked):
    ours, theirs = cells.copy(), cells
    random = np.random.default_rng(9)
    for _ in range(8):
        u = random.normal(0.0, 1.5, CELLS).astype(np.float32)
        where = random.random(CELLS) < 0.5 if masked else None
        theirs.apply_voltage(u, where=where)
        bring = ours.engine_instance.library.asarray
        Engine.apply_voltage(
            ours.engine_instance, bring(u), None if where is None else bring(where)
        )
    found, wanted = everything(ours.engine_instance), everything(theirs.engine_instance)
    if kind[0] in EXACT and kind[2] == "numpy":
        assert_equal(found, wanted)
        return
    np.testing.assert_array_equal(found[9], wanted[9])  # cycles
    np.testing.assert_allclose(found[0], wanted[0], atol=2e-4)  # r, rounded in its own way
    np.testing.assert_array_equal(found[3], wanted[3])


def test_other_defaults_do_what_the_fast_methods_do(cells, kind):
    engine = cells.engine_instance
    bring, close = engine.library.asarray, 2e-6 if kind[1] != "compact" else 2e-4
    u = bring(np.linspace(-0.4, 0.4, CELLS).astype(np.float32))
    weights = np.linspace(-1.0, 1.0, 60, dtype=np.float32).reshape(2, 30)
    for job in (
        lambda kind: kind.current(engine, u),
        lambda kind: kind.row_sums(engine, 30, weights),
        lambda kind: kind.readout_noise(engine, 2, 5, 7, 3),
    ):
        np.testing.assert_allclose(
            to_numpy(job(Engine)), to_numpy(job(type(engine))), rtol=1e-4, atol=1e-5
        )
    noise = ReadNoise.of_bandwidth(1e8)
    mine, wanted = (k.read(engine, u, 3, noise) for k in (Engine, type(engine)))
    np.testing.assert_allclose(to_numpy(mine), to_numpy(wanted), rtol=1e-3, atol=1e-9)
    twin = cells.copy().engine_instance
    r = bring(np.linspace(0.1, 0.8, len(SOME)).astype(np.float32))
    type(engine).program(engine, bring(SOME), r)
    Engine.program(twin, bring(SOME), r)
    for name, mine, wanted in zip(
        rules.SwitchingState._fields, numpy_of(twin.take()), numpy_of(engine.take()), strict=True
    ):
        if not (kind[1] == "compact" and name == "steepness"):
            np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=close)


def test_storage_restores_the_cells_into_another_engine(cells, kind):
    stored = {n: np.array(to_numpy(a)) for n, a in cells.engine_instance.storage().items()}
    other = sf.CellArray("published", CELLS, seed=5, order=2, **options_of(kind))
    other.engine_instance.check(stored)
    other.engine_instance.restore(stored)
    for made in (cells, other):
        made.apply_voltage(-2.0).apply_voltage(1.5)
    assert_equal(everything(other.engine_instance), everything(cells.engine_instance))


def test_copies_are_apart(cells):
    before = everything(cells.engine_instance)
    cells.copy().apply_voltage(-3.0).apply_voltage(3.0)
    assert_equal(everything(cells.engine_instance), before)


def test_cells_of_other_numbers_are_fabricated_after_begin_at(cells, kind):
    engine = cells.engine_instance
    engine.begin_at(1000)
    engine.fabricate()
    fresh = sf.CellArray("published", CELLS, seed=5, order=2, first_cell=1000, **options_of(kind))
    assert_equal(everything(engine), everything(fresh.engine_instance))
    assert not to_numpy(engine.cycles()).any()
    assert to_numpy(engine.in_hrs).all()
