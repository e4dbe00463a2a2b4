"""``apply_program`` is the same as pulses and reads one by one."""

import numpy as np
import pytest

import synfab as sf
from synfab.physics import rules
from synfab.random.arrays import to_numpy

KINDS = {
    "numba": {},
    "compact": {"history": "compact"},
    "array": {"engine": "array"},
    "torch": {"arrays": "torch"},
    "jax": {"arrays": "jax"},
    "array-torch": {"engine": "array", "arrays": "torch"},
}
SHAPE = (5, 60)  # more than a group
LOOP = np.concatenate([np.linspace(0.0, -1.6, 9), np.linspace(-1.4, 1.5, 20)])


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def options(request):
    for name in ("torch", "jax"):
        if request.param.get("arrays") == name:
            pytest.importorskip(name)
    return request.param


def pair(options, shape=SHAPE):
    return [sf.CellArray("published", shape, seed=4, order=2, **options) for _ in range(2)]


def assert_same(ours, theirs):
    for name in ("r", "cycle", "in_hrs", "in_lrs"):
        assert np.array_equal(to_numpy(getattr(ours, name)), to_numpy(getattr(theirs, name)))
    assert (ours.read_number, ours.cycle_bound) == (theirs.read_number, theirs.cycle_bound)


def test_a_sweep_without_noise(options):
    ours, theirs = pair(options)
    program = np.tile(LOOP, 4)
    found = ours.apply_program(program, read="pulse", noise=False)
    wanted = [to_numpy(theirs.apply_voltage(u).current(u)) for u in program]
    assert isinstance(found, type(theirs.r))
    assert np.array_equal(to_numpy(found), np.stack(wanted))
    assert_same(ours, theirs)


def test_voltages_and_reads_for_each_cell_with_noise(options):
    ours, theirs = pair(options)
    random = np.random.default_rng(1)
    program = random.normal(0.0, 1.3, (15, *SHAPE)).astype(np.float32)
    reads = random.normal(0.0, 0.2, (15, *SHAPE)).astype(np.float32)
    for cells in (ours, theirs):
        cells.read()
    found = ours.apply_program(program, read=reads, bandwidth=1e7)
    wanted = [
        to_numpy(theirs.apply_voltage(u).read(v, bandwidth=1e7))
        for u, v in zip(program, reads, strict=True)
    ]
    assert np.array_equal(to_numpy(found), np.stack(wanted))
    assert_same(ours, theirs)


def test_without_reads_the_array_itself_is_returned(options):
    ours, theirs = pair(options, 10)
    assert ours.apply_program(LOOP) is ours
    for u in LOOP:
        theirs.apply_voltage(u)
    assert_same(ours, theirs)


def test_rows_broadcast_and_one_voltage_reads_all(published):
    ours, theirs = pair({})
    program = np.outer(LOOP, np.linspace(0.5, 1.0, 60))[:, None, :]  # the same in every row
    found = ours.apply_program(program, read=0.1)
    for k, u in enumerate(program):
        assert np.array_equal(found[k], theirs.apply_voltage(u).read(0.1))
    assert ours.apply_program(np.empty(0), read=0.1).shape == (0, *SHAPE)
    assert_same(ours, theirs)


@pytest.mark.parametrize("size", [300, 20_000])  # in a kernel, and one call per pulse
def test_no_thread_count_and_no_length_of_a_piece_changes_a_bit(monkeypatch, threads, size):
    from synfab.engines.numba import engine

    program = np.random.default_rng(2).normal(0.0, 1.3, 12)
    found = []
    for count, at_once in ((1, 2**24), (2, 2**24), (2, 900)):
        threads(count)
        monkeypatch.setattr(engine, "CELLS_AT_ONCE", at_once)
        cells = sf.CellArray("published", size, seed=4)
        found.append((cells.apply_program(program, read="pulse"), cells.r))
    for current, r in found[1:]:
        assert np.array_equal(current, found[0][0])
        assert np.array_equal(r, found[0][1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.apply_program(1.0), "voltages: expected pulses along the first axis"),
        (lambda c: c.apply_program([0.1, np.nan]), "voltages: expected finite voltages"),
        (lambda c: c.apply_program(np.zeros((3, 7))), r"voltages: shape \(3, 7\) does not"),
        (lambda c: c.apply_program([0.1], read=[0.1, 0.2]), "read: expected 1 voltages"),
        (lambda c: c.apply_program([0.1], read="now"), "read: expected one of pulse"),
        (lambda c: c.apply_program([0.1], read=0.1, noise=1), "noise: "),
        (lambda c: c.apply_program(["a"]), "voltages: "),
    ],
)
def test_wrong_arguments_change_nothing(call, message):
    ours, theirs = pair({}, 4)
    with pytest.raises(sf.SynfabError, match=rf"^{message}"):
        call(ours)
    assert_same(ours, theirs)


def test_a_program_that_could_exceed_the_last_cycle_is_refused():
    cells = sf.CellArray("published", 4, seed=1)
    cells.cycle_bound = rules.MAX_CYCLE  # as after loading: the numbers of the cells are looked up
    cells.apply_program([-2.0, 1.5])
    assert cells.cycle_bound == 2
    arrays = {k: np.array(a) for k, a in cells.engine_instance.storage().items()}
    arrays["status"] |= np.uint32((rules.MAX_CYCLE - 1) << 2)
    cells.engine_instance.restore(arrays)
    cells.cycle_bound = rules.MAX_CYCLE
    before = cells.r
    with pytest.raises(sf.InvalidValueError, match=r"^voltages: 3 pulses could take a cell"):
        cells.apply_program([-2.0, 1.5, -2.0])
    assert np.array_equal(cells.r, before)


@pytest.mark.parametrize("arrays", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("engine", ["numba", "array"])
def test_one_voltage_reads_all_cells_of_any_library(engine, arrays):
    pytest.importorskip(arrays)
    cells = sf.CellArray("published", 3, seed=1, engine=engine, arrays=arrays)
    assert cells.apply_program([-2.0, 1.0], read=0.2).shape == (2, 3)
    with pytest.raises(sf.InvalidValueError, match=r"^voltages: expected pulses along"):
        cells.apply_program(-2.0)


def test_an_interrupted_program_uses_its_read_numbers(monkeypatch):
    cells = sf.CellArray("published", 3, seed=1)
    monkeypatch.setattr(
        type(cells.engine_instance), "apply_program", lambda *_: (_ for _ in ()).throw(KeyError)
    )
    with pytest.raises(KeyError):
        cells.apply_program([-2.0, 1.0], read=0.2)
    assert cells.read_number == 2
