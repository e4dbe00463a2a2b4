"""Time changes the conductance of cells with traps as their equations say, on every engine."""

import copy
import pickle

import numpy as np
import pytest
from scipy import stats
from trap_models import model_with_traps, traps

import synfab as sf
from synfab.model import Traps

G = 150e-6


def programmed(count=20_000, seed=1, model=None, **options):
    cells = sf.CellArray(model or model_with_traps(), count, seed=seed, **options)
    return cells.set_conductance(G)


def change(cells):
    """Change of the conductance (S) since the cells were programmed to ``G``."""
    conduction = cells.model.conduction
    return conduction.conductance(np.asarray(cells.r)) - G


def error_of_mean(x):
    return np.std(x) / np.sqrt(len(x))


# ---- the law ------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [300.0, 420.0])
def test_the_mean_drifts_as_the_occupancies_relax(temperature):
    cells = programmed(100_000)
    elapsed = 0.0
    for seconds in (0.01, 1.0, 1e3, 1e6):
        cells.wait(seconds, temperature)
        elapsed += seconds
        expected = cells.model.traps.mean_change(elapsed, G, temperature)
        assert abs(np.mean(change(cells)) - expected) < 5.0 * error_of_mean(change(cells))


def test_traps_in_equilibrium_keep_their_occupancy_and_variance():
    """With p_0 = q nothing drifts, and after a long time the variance is twice the stationary."""
    cells = programmed(100_000, model=model_with_traps(initial_occupancy=0.3, occupancy=0.3))
    cells.wait(1e14)
    moved = change(cells)
    assert abs(np.mean(moved)) < 5.0 * error_of_mean(moved)
    expected = 2.0 * cells.model.traps.autocovariance(0.0, G)
    scatter = np.std(moved**2) / np.sqrt(len(moved))
    assert abs(np.mean(moved**2) - expected) < 5.0 * scatter
    occupied = cells.traps.state.occupied
    for k in range(cells.model.traps.count):
        share = np.mean((occupied >> k) & 1)
        assert abs(share - 0.3) < 5.0 * np.sqrt(0.21 / cells.size)


@pytest.mark.parametrize("temperature", [300.0, 380.0])
def test_two_short_waits_are_in_law_one_long_wait(temperature):
    once, twice = programmed(seed=1), programmed(seed=2)
    once.wait(5.0, temperature)
    twice.wait(2.0, temperature).wait(3.0, temperature)
    assert stats.ks_2samp(change(once), change(twice)).pvalue > 1e-4
    for k in range(28):
        counts = [np.sum((c.traps.state.occupied >> k) & 1) for c in (once, twice)]
        table = [[n, once.size - n] for n in counts]
        assert stats.fisher_exact(table).pvalue > 1e-5


def test_heat_is_time():
    """The same time constants: t at 360 K does exactly what the scaled time does at 300 K."""
    model = model_with_traps(time_constants=np.logspace(2, 2.001, 29), attempt_time=1e-12)
    hot, cold = programmed(2000, model=model), programmed(2000, model=model)
    middle = 10.0**2.0005
    scale = (middle / 1e-12) ** (300.0 / 360.0) * 1e-12 / middle
    hot.wait(50.0 * scale, 360.0)
    cold.wait(50.0)
    different = hot.traps.state.occupied ^ cold.traps.state.occupied
    assert np.mean(different != 0) < 0.02  # the intervals are narrow, not points
    assert np.mean(cold.traps.state.occupied ^ cold.traps.state.initial != 0) > 0.9


@pytest.mark.slow
def test_a_trace_has_the_spectrum_and_the_autocovariance_of_its_traps():
    from scipy import signal

    model = model_with_traps(initial_occupancy=0.5, cell_spread=0.0, trap_spread=0.2)
    cells = programmed(400, model=model)
    rate = 100.0
    cells.wait(1e14)  # equilibrium
    current = cells.trace(80.0, rate, noise=False)
    conductance = np.asarray(current, np.float64) / 0.2 * (G / (cells.model.conduction.current(
        cells.model.conduction.state(G), 0.2) / 0.2))  # fmt: skip
    f, density = signal.welch(conductance, rate, nperseg=2048, axis=0, detrend="constant")
    inside = np.flatnonzero((f > 0.5) & (f < 20.0))[::20]
    # Sampling folds the traps that are faster than the rate into the band.
    folded = np.abs(f[inside, None] + rate * np.arange(-4000, 4001))
    expected = cells.model.traps.spectral_density(folded, G).sum(axis=1)
    ratio = density.mean(axis=1)[inside] / expected
    assert abs(np.mean(ratio) - 1.0) < 0.05
    slope = np.polyfit(np.log(f[inside]), np.log(ratio), 1)[0]
    assert abs(slope) < 0.05
    for lag in (1, 10, 100, 1000):
        increments = conductance[lag:] - conductance[:-lag]
        found = np.mean(increments**2, axis=0)
        expected = 2.0 * (
            cells.model.traps.autocovariance(0.0, G)
            - cells.model.traps.autocovariance(lag / rate, G)
        )
        assert abs(np.mean(found) - expected) < 5.0 * error_of_mean(found)


# ---- switching ----------------------------------------------------------------------------------


def test_a_switching_cell_is_seen_as_programmed_until_time_passes():
    cells = programmed()
    cells.wait(1e4)
    untouched = cells.r
    where = np.arange(cells.size) < 100
    cells.apply_voltage(2.0, where=where)
    assert (cells.r[100:] == untouched[100:]).all()
    np.testing.assert_array_equal(cells.r[:100], cells.engine_instance.states[:100])
    cells.wait(1e4)
    assert np.mean(cells.r[:100] != cells.engine_instance.states[:100]) > 0.9


def test_programming_to_the_same_conductance_draws_the_traps_again():
    cells = programmed().wait(1e4)
    assert np.std(change(cells)) > 1e-6
    cells.set_conductance(G)
    assert np.abs(change(cells)).max() < 1e-9
    initial = cells.traps.state.initial.copy()
    cells.wait(1.0)
    assert np.mean(cells.traps.state.initial != initial) > 0.9


def test_every_cycle_has_its_own_traps():
    cells = programmed(5000, model=model_with_traps(cell_spread=0.0)).wait(1e12)
    first = change(cells)
    cells.apply_voltage(-2.0).apply_voltage(2.0)
    cells.set_conductance(G).wait(1e12)
    assert abs(np.corrcoef(first, change(cells))[0, 1]) < 0.1
    assert np.std(change(cells)) == pytest.approx(np.std(first), rel=0.1)


def test_seen_states_remain_physical():
    huge = model_with_traps(amplitude=[1e-3, 1e-3, 1e-3], raising=0.5)
    cells = programmed(model=huge).wait(1e6)
    top = huge.conduction.r_max
    assert cells.r.min() == 0.0
    assert top * 0.999 < cells.r.max() < top
    assert (cells.current(1.4) >= 0.0).all()


def test_a_program_with_reads_sees_the_traps():
    cells = programmed(300).wait(100.0)
    loop = cells.copy()
    u = [0.0, -1.0, 1.2, 0.0]
    found = cells.apply_program(u, read=0.2)
    expected = []
    for voltage in u:
        loop.apply_voltage(voltage)
        expected.append(loop.read(0.2))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(cells.wait(5.0).r, loop.wait(5.0).r)


# ---- identity -----------------------------------------------------------------------------------

OTHERS = [("array", "numpy"), ("array", "torch"), ("array", "jax"), ("warp", "torch")]


def act(cells):
    """Pulses and waits that reach every part of the rules."""
    ramp = np.linspace(-1.2, 1.4, cells.size, dtype=np.float32)
    cells.wait(0.0)
    for k, seconds in enumerate((1e-3, 2.0, 1e5)):
        cells.apply_voltage(-1.5)
        cells.wait(seconds, 300.0 + 30.0 * k)
        cells.apply_voltage(ramp)
        cells.wait(seconds)
        cells.apply_voltage(1.5, where=np.arange(cells.size) % 3 == 0)
    return cells.wait(10.0)


@pytest.mark.parametrize(("engine", "arrays"), OTHERS)
def test_every_engine_moves_the_same_traps(engine, arrays):
    for package in {"torch": ["torch"], "jax": ["jax"]}.get(arrays, []):
        pytest.importorskip(package)
    if engine == "warp":
        pytest.importorskip("warp")
    model = model_with_traps()
    reference = act(sf.CellArray(model, 1000, seed=5, first_cell=2**33 + 3))
    cells = act(
        sf.CellArray(model, 1000, seed=5, first_cell=2**33 + 3, engine=engine, arrays=arrays)
    )
    occupied = np.asarray(cells.traps.state.occupied).astype(np.uint32)
    same = occupied == reference.traps.state.occupied
    assert np.mean(~same) < 2e-3  # cells within rounding of a probability or a threshold
    difference = np.abs(np.asarray(cells.r) - reference.r)[same]
    assert np.mean(difference > 1e-4) < 2e-3
    assert np.median(difference) < 1e-6
    if engine == "array":
        found = np.asarray(cells.read(0.2))[same]
        np.testing.assert_allclose(found, reference.read(0.2)[same], rtol=1e-3, atol=1e-10)


def test_slices_and_threads_have_the_same_bits(monkeypatch):
    model = model_with_traps()
    whole = act(sf.CellArray(model, 40_000, seed=9))
    with monkeypatch.context() as patch:
        patch.setenv("SYNFAB_NUM_THREADS", "1")
        np.testing.assert_array_equal(act(sf.CellArray(model, 40_000, seed=9)).r, whole.r)
    # Pulses of ``act`` depend on the position, so a slice waits only.
    every = sf.CellArray(model, 3000, seed=9).wait(1.0).wait(1e3)
    part = sf.CellArray(model, 700, seed=9, first_cell=1001).wait(1.0).wait(1e3)
    np.testing.assert_array_equal(part.r, every.r[1001:1701])


def test_compact_cells_have_the_same_traps():
    plain, small = programmed(2000), programmed(2000, history="compact")
    for cells in (plain, small):
        cells.wait(3.0)
    np.testing.assert_array_equal(plain.traps.state.occupied, small.traps.state.occupied)
    assert np.abs(change(small) - change(plain)).max() < 2e-8


@pytest.mark.parametrize("engine", ["numba", "array"])
@pytest.mark.parametrize("noise", [False, True])
def test_a_trace_is_a_train_of_reads(engine, noise):
    cells = programmed(50, engine=engine).wait(1e-4)
    loop = cells.copy()
    key = np.array([[3, 48], [7, 3]])
    found = cells.trace(0.06, 1e3, cells=key, noise=noise, u=0.3)
    assert found.shape == (60, 2, 2)
    expected = [loop.read(0.3, interval=1e-3, bandwidth=500.0, noise=noise)[key] for _ in range(60)]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-14)
    if engine == "numba":
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(cells.r[key], loop.r[key])
    assert cells.read_number == loop.read_number
    assert cells.traps.step_number == loop.traps.step_number
    # Records continue, and the other cells have aged as well.
    np.testing.assert_allclose(
        cells.trace(0.01, 1e3, cells=key, noise=False),
        [loop.read(0.2, interval=1e-3, noise=False)[key] for _ in range(10)],
        rtol=2e-6,
    )
    others = np.setdiff1d(np.arange(50), key)
    assert (cells.r[others] != cells.engine_instance.states[others]).any()


@pytest.mark.parametrize("engine", ["numba", "array"])
@pytest.mark.parametrize("history", ["float32", "compact"])
def test_files_copies_and_pickles_continue_with_the_same_traps(tmp_path, engine, history):
    if engine == "array" and history == "compact":
        pytest.skip("only numba has compact cells")
    cells = act(programmed(500, engine=engine, history=history))
    cells.apply_voltage(-1.0)  # some have switched since the last time step
    cells.save(tmp_path / "cells.npz")
    twins = [
        sf.CellArray.load(tmp_path / "cells.npz"), cells.copy(), copy.deepcopy(cells),
        pickle.loads(pickle.dumps(cells)),
    ]  # fmt: skip
    seen, after = cells.r, cells.wait(50.0).read(0.2)
    for twin in twins:
        np.testing.assert_array_equal(twin.r, seen)
        np.testing.assert_array_equal(twin.wait(50.0).read(0.2), after)


def test_renewed_cells_begin_at_time_zero():
    cells = act(programmed(500))
    cells.renew()
    np.testing.assert_array_equal(
        cells.wait(3.0).r, sf.CellArray(cells.model, 500, seed=1).wait(3.0).r
    )


def test_views_and_crossbars_read_the_moved_cells():
    cells = sf.CellArray(model_with_traps(), (8, 6), seed=2).set_conductance(G).wait(1e5)
    np.testing.assert_array_equal(cells[2:4].r, cells.r[2:4])
    np.testing.assert_allclose(cells[1, 2].current(0.2), cells.current(0.2)[1, 2], rtol=1e-6)
    v = np.linspace(0.1, 0.3, 6)
    exact = (cells.current(np.broadcast_to(v, (8, 6))).astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(cells.matvec(v, noise=False), exact, rtol=1e-5)
    ideal = cells.copy().set_conductance(G).matvec(v, noise=False)
    assert np.abs(cells.matvec(v, noise=False) / ideal - 1.0).max() > 1e-3


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_traps_raises_the_conductance(share):
    lone = Traps(
        [1.0, 1.001], 1.0, [0.0], [2e-6], trap_spread=0.0, initial_occupancy=0.0, raising=share
    )
    moved = change(
        programmed(20_000, model=sf.load_model("published").replace(traps=lone)).wait(1e4)
    )
    changed = np.abs(moved) > 1e-6
    assert abs(np.mean(moved[changed] > 0.0) - share) < 5.0 * np.sqrt(0.25 / changed.sum())
    assert abs(np.mean(moved) - lone.mean_change(1e4, G)) < 5.0 * error_of_mean(moved) + 1e-9


# ---- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.wait(-1.0), "seconds: expected"),
        (lambda c: c.wait(np.inf), "seconds: expected"),
        (lambda c: c.wait(np.nan), "seconds: expected"),
        (lambda c: c.wait(1e30), "seconds: expected up to 1e\\+18 s"),
        (lambda c: c.wait("1 h"), "seconds: expected"),
        (lambda c: c.wait(1.0, 0.0), "temperature: expected"),
        (lambda c: c.wait(1.0, -5.0), "temperature: expected"),
        (lambda c: c.wait(1.0, 25000.0), "temperature: expected 1 … 2000 K"),
        (lambda c: c.read(0.2, interval=-1.0), "interval: expected"),
        (lambda c: c.read(0.2, temperature=350.0), "temperature: only with interval"),
        (lambda c: c.read(0.2, bandwidth=1e300), "bandwidth: expected"),
        (lambda c: c.read(np.nan, interval=1.0), "u: expected"),
        (lambda c: c.read(0.2, interval=1.0, number=-1), "number: expected"),
        (lambda c: c.trace(1.0, 0.0), "rate: expected"),
        (lambda c: c.trace(1.0, 1e-320), "rate: expected at least 1e-18"),
        (lambda c: c.trace(1e-300, 1e300), "rate: expected at least 1e-18 and at most 1e\\+18"),
        (lambda c: c.trace(1e18, 1e18, cells=[]), "seconds: needs"),
        (lambda c: c.trace(0.0, 10.0), "seconds: expected"),
        (lambda c: c.trace(0.01, 10.0), "seconds: expected at least one sample"),
        (lambda c: c.trace(1.0, 10.0, cells=500), "cells: no cells"),
        (lambda c: c.trace(1.0, 10.0, u=np.zeros(50)), "u: expected one voltage"),
        (lambda c: c.trace(1e9, 1e6), "seconds"),
    ],
)
def test_bad_times_are_refused_and_nothing_moves(call, message):
    cells = programmed(50)
    with pytest.raises(sf.SynfabError, match=message):
        call(cells)
    assert cells.traps.step_number == 0
    assert cells.read_number == 0
    np.testing.assert_array_equal(cells.r, cells.engine_instance.states)


def test_cells_without_traps_say_so():
    cells = sf.CellArray("published", 10, seed=1)
    for call in (lambda: cells.wait(1.0), lambda: cells.trace(1.0, 10.0)):
        with pytest.raises(sf.InvalidValueError, match=r"model: '.*' has no traps"):
            call()


def test_damaged_traps_in_a_file_are_refused(tmp_path):
    cells = programmed(50).wait(1.0)
    from synfab.cells.files import dump_cells, restore_cells

    state = dump_cells(cells)
    for name, wrong in (
        ("traps_occupied", np.full(50, 2**31, np.uint32)),
        ("traps_initial", np.zeros(49, np.uint32)),
        ("traps_drawn", np.zeros(50, np.uint8)),
    ):
        with pytest.raises(sf.FileFormatError, match=name):
            restore_cells(cells, {**state, "storage": {**state["storage"], name: wrong}})


def test_one_trap_and_one_node_are_enough():
    lone = Traps([1.0, 1.001], 1.0, [0.0], [2e-6], trap_spread=0.0, initial_occupancy=0.0)
    cells = programmed(10_000, model=sf.load_model("published").replace(traps=lone))
    moved = change(cells.wait(1.0))
    captured = moved < -1e-6
    expected = 0.5 * (1.0 - np.exp(-1.0))
    assert abs(np.mean(captured) - expected) < 5.0 * np.sqrt(expected / cells.size)
    np.testing.assert_allclose(moved[captured], -2e-6, rtol=1e-3)
    assert np.abs(moved[~captured]).max() < 1e-9
    assert traps().count == 28


def test_memory_includes_the_traps():
    plain = sf.CellArray("published", 100, seed=1)
    assert programmed(100).nbytes == plain.nbytes + 100 * 5 * 4


@pytest.mark.parametrize("engine", ["numba", "array"])
@pytest.mark.parametrize("above", [1e-4 * (1.0 + 1e-12), 1e-4 * (1.0 + 1e-9)])
def test_the_amplitude_can_jump_between_two_nodes(engine, above):
    """The two nodes are the same number in float32."""
    model = sf.load_model("published").replace(
        traps=Traps([1e-3, 1e3], 1.0, [0.0, 1e-4, above, 2e-4], [0.0, 0.0, 5e-6, 5e-6])
    )
    cells = sf.CellArray(model, 400, seed=1, engine=engine)
    g = np.repeat([0.5e-4, 1.5e-4], 200)
    before = cells.set_conductance(g).conductance()
    moved = np.abs(cells.wait(1e6).conductance() - before)
    assert moved[:200].max() < 1e-10
    assert np.median(moved[moved > 1e-9]) > 1e-6
