"""The object users hold: the same cells everywhere, no surprises, clear errors."""

import numpy as np
import pytest

import synfab as sf
from synfab.cells.state import get_state
from synfab.cli.demo import random_voltages
from synfab.engines.capacity import bytes_per_cell
from synfab.model.conduction import Conduction
from synfab.model.population import Population
from synfab.physics import rules
from synfab.random.arrays import to_numpy

FEATURE_BOUNDS = {"r_hrs": 3e-5, "u_set": 1e-5, "r_lrs": 1e-5, "u_reset": 1e-5}


def live(cells, pulses=30, part=slice(None)):
    """A life of random pulses that is the same for the same cells."""
    for k in range(pulses):
        u = random_voltages((1000,), k)[part] * np.float32(1.1)
        if k % 7 == 3:
            u = -2.0
        cells.apply_voltage(u)
    return cells


def identical(a, b):
    assert np.array_equal(a.r, b.r)
    assert np.array_equal(a.cycle, b.cycle)
    assert np.array_equal(a.in_hrs, b.in_hrs)
    assert np.array_equal(a.in_lrs, b.in_lrs)
    for name in sf.FEATURES:
        assert np.array_equal(a.features[name], b.features[name])


@pytest.mark.parametrize("order", range(1, 11))
def test_engines_agree_at_every_order(published, order):
    fast = live(sf.CellArray(published, 1000, seed=5, order=order))
    plain = live(sf.CellArray(published, 1000, seed=5, order=order, engine="array"))
    tie = fast.cycle != plain.cycle
    assert tie.sum() <= 1  # a threshold met within rounding
    for name, bound in FEATURE_BOUNDS.items():
        np.testing.assert_allclose(
            fast.features[name][~tie], plain.features[name][~tie], rtol=bound
        )
    np.testing.assert_allclose(fast.r[~tie], plain.r[~tie], atol=2e-5)
    np.testing.assert_allclose(fast.device_parameters, plain.device_parameters, rtol=1e-5)


def test_engines_agree_over_a_hundred_cycles(published):
    pair = [sf.CellArray(published, 1000, seed=9, engine=e) for e in ("numba", "array")]
    for _ in range(100):
        for cells in pair:
            cells.apply_voltage(-2.0).apply_voltage(1.5)
    for name, bound in FEATURE_BOUNDS.items():
        np.testing.assert_allclose(pair[0].features[name], pair[1].features[name], rtol=bound)
    for u in (0.2, 0.0, -0.4):
        noisy = [cells.read(u) for cells in pair]
        np.testing.assert_allclose(noisy[0], noisy[1], rtol=3e-5, atol=2e-12)


def test_arrays_know_where_a_short_curve_ends(published):
    """Powers that an HHRS curve lacks, or has beyond those of the LLRS curve, change nothing."""
    c = published.conduction
    longer = Conduction(np.pad(c.hhrs, (5, 0)), c.llrs, c.eta, c.u_max, c.u_0, c.voltage_range)
    parts = (published.marginals, published.histories, published.population)
    pair = [sf.CellArray(sf.CellModel("m", *parts, x), (20, 50), seed=3) for x in (c, longer)]
    for cells in pair:
        cells.apply_voltage(-2.0).apply_voltage(random_voltages((20, 50), 1))
    identical(*pair)
    read = [sf.Crossbar(cells, 2.0).read(np.full(50, 0.3), noise=False) for cells in pair]
    np.testing.assert_allclose(*read, rtol=1e-9)


@pytest.fixture(scope="module")
def odd(published):
    """Devices that no fab aims at, of five kinds.

    Their HRS conducts better than their LRS; they RESET beyond U_max only; their HRS would not be
    passive; they RESET from a negative voltage on; they SET at any voltage.
    """
    common = int(np.argmax(published.population.weights))
    means = np.tile(published.population.means[common], (5, 1))
    means[0, [0, 2]] = 3.5, 2e4
    means[1, 3], means[2, 0], means[3, 3], means[4, 1] = 1.6, 9.0, -0.1, 1.7
    factors = np.stack([published.population.factors[common]] * 5)
    parts = (published.marginals, published.histories)
    return sf.CellModel("odd", *parts, Population(np.ones(5), means, factors), published.conduction)


@pytest.mark.parametrize("engine", ["numba", "warp"])
def test_engines_agree_on_odd_devices(odd, engine):
    if engine == "warp":
        pytest.importorskip("warp")
    pair = [sf.CellArray(odd, 1000, seed=7, engine=e) for e in (engine, "array")]
    g = np.linspace(1e-6, 2.6e-4, 1000)
    top = rules.highest_state(odd)
    for u in (-2.0, 0.0, 0.05, 1.0, 1.1, 1.46, -2.0, 1.3, 1.5, -2.0, 1.7, "program", 1.0, 1.4):
        for cells in pair:
            _ = cells.set_conductance(g) if u == "program" else cells.apply_voltage(u)
        fast, slow = map(get_state, pair)
        for name in ("r", "threshold", "steepness", "phase", "cycle"):
            np.testing.assert_allclose(fast[name], slow[name], atol=2e-5, err_msg=f"{u} V: {name}")
        assert fast["r"].max() <= top
        assert not (pair[0].in_hrs & pair[0].in_lrs).any()


@pytest.mark.parametrize("engine", ["numba", "array"])
def test_beyond_the_trained_voltages_arrays_are_ohmic(published, engine):
    cells = live(sf.CellArray(published, 1000, seed=1, engine=engine))
    for u in (-3.0, -1.6, -1.5, -0.4, 1.4, 1.46, 1.6, 3.0):
        exact = published.conduction.current(cells.r.astype(np.float64), np.float32(u))
        np.testing.assert_allclose(cells.current(u), exact, rtol=1e-5, atol=2e-11)


def test_threads_do_not_change_a_bit(published, threads):
    made = []
    for count in (1, 2, 3):
        threads(count)
        cells = sf.CellArray(published, (200, 300), seed=3)
        for k in range(12):
            cells.apply_voltage(random_voltages((200, 300), k) * np.float32(1.2))
        made.append((cells, cells.read(), cells @ np.full(300, 0.2)))
    for cells, current, rows in made[1:]:
        identical(cells, made[0][0])
        assert np.array_equal(current, made[0][1])
        assert np.array_equal(rows, made[0][2])


@pytest.mark.parametrize("start", [1, 4, 257, 511])
def test_a_slice_by_global_number_is_the_same_cells(published, start):
    whole = live(sf.CellArray(published, 1000, seed=3))
    part = live(
        sf.CellArray(published, 1000 - start, seed=3, first_cell=start),
        part=slice(start, None),
    )
    assert np.array_equal(part.r, whole.r[start:])
    assert np.array_equal(part.cycle, whole.cycle[start:])
    assert np.array_equal(part.read(number=4), whole.read(number=4)[start:])


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("order", [1, 2, 10])
def test_neighbours_that_begin_a_block_together_keep_their_own(published, order, masked):
    """Runs of cells side by side, from anywhere to anywhere, use their blocks up at once."""
    made = {}
    for engine in ("numba", "array"):
        cells = sf.CellArray(published, 900, seed=3, order=order, engine=engine)
        for k in range(32):
            run = np.zeros(900, bool)
            run[(37 * k) % 700 : (37 * k) % 700 + 130 + 11 * (k % 9)] = True
            for part in (run, ~run):
                for u in (-2.0, 1.6):
                    if masked:
                        cells.apply_voltage(u, where=part)
                    else:
                        cells.apply_voltage(np.where(part, u, 0.0).astype(np.float32))
        made[engine] = cells
    assert np.array_equal(made["numba"].cycle, made["array"].cycle)
    for name, bound in FEATURE_BOUNDS.items():
        ours, reference = made["numba"].features[name], made["array"].features[name]
        np.testing.assert_allclose(ours, reference, rtol=bound)


@pytest.mark.parametrize("arrays", ["numpy", "torch"])
@pytest.mark.parametrize(("first", "stop"), [(0, 1), (137, 337), (500, 1000)])
def test_a_slice_on_another_engine_is_the_same_cells(published, arrays, first, stop):
    """To the bit: sums of products do not depend on how many cells there are beside one."""
    if arrays == "torch":
        pytest.importorskip("torch")
    options = {"engine": "array", "arrays": arrays}
    whole = live(sf.CellArray(published, 1000, seed=3, **options))
    part = live(
        sf.CellArray(published, stop - first, seed=3, first_cell=first, **options),
        part=slice(first, stop),
    )
    for mine, all_ in (
        (part.device_parameters, whole.device_parameters), (part.cycle, whole.cycle),
        (part.r, whole.r), (part.features["r_hrs"], whole.features["r_hrs"]),
        (part.read(number=4), whole.read(number=4)),
    ):  # fmt: skip
        assert np.array_equal(to_numpy(mine), to_numpy(all_)[first:stop])


@pytest.mark.parametrize("engine", ["numba", "array"])
@pytest.mark.parametrize("arrays", ["numpy", "torch"])
def test_numbers_of_reads_go_on_from_zero_beyond_a_word(published, tmp_path, engine, arrays):
    if arrays == "torch":
        pytest.importorskip("torch")
    cells = sf.CellArray(published, (4, 3), seed=3, engine=engine, arrays=arrays)
    v = np.full((3, 2), 0.1)
    cells.read_number = cells.readout_number = 2**32 - 1
    read, rows = cells.read(), cells @ v
    assert (cells.read_number, cells.readout_number) == (0, 1)
    assert np.array_equal(to_numpy(read), to_numpy(cells.read(number=2**32 - 1)))
    for k, number in enumerate((2**32 - 1, 0)):
        alone = cells.matvec(v[:, k], number=number)
        assert np.array_equal(to_numpy(rows)[:, k], to_numpy(alone))
    cells.save(tmp_path / "cells.npz")
    assert sf.CellArray.load(tmp_path / "cells.npz").readout_number == 1


def test_a_mask_touches_only_the_selected_cells(published):
    masked, split = (live(sf.CellArray(published, 1000, seed=2)) for _ in range(2))
    before = masked.r
    mask = random_voltages((1000,), 99) < -1.0
    u = np.where(mask, random_voltages((1000,), 98), np.nan)
    masked.apply_voltage(u, where=mask)
    split.apply_voltage(np.where(mask, u, 0.0))
    identical(masked, split)
    assert np.array_equal(masked.r[~mask], before[~mask])
    masked.apply_voltage(-2.0, where=mask).apply_voltage(1.5, where=mask)
    assert np.array_equal(masked.r[~mask], before[~mask])


@pytest.mark.parametrize("where", [None, np.ones(1000, bool)])
def test_kernels_meet_thresholds_as_the_rules_do(published, where):
    """SET at u_set itself, RESET beyond the threshold only, completely at U_max itself."""
    cells = sf.CellArray(published, 1000, seed=2)
    u_set, u_reset = cells.features["u_set"], cells.features["u_reset"]
    cells.apply_voltage(np.nextafter(u_set, np.float32(1.0)), where=where)
    assert not cells.in_lrs.any()
    cells.apply_voltage(u_set, where=where)
    assert cells.in_lrs.all()
    cells.apply_voltage(u_reset, where=where)
    assert cells.in_lrs.all()
    partly = cells.copy().apply_voltage(np.nextafter(u_reset, np.float32(2.0)), where=where)
    assert not (partly.in_lrs | partly.in_hrs).any()
    partly.apply_voltage(np.nextafter(np.float32(1.46), np.float32(0.0)), where=where)
    assert not partly.in_hrs.any()
    partly.apply_voltage(1.46, where=where)
    assert partly.in_hrs.all()
    assert (partly.cycle == 1).all()


def test_memory_per_cell_is_what_is_said(published):
    cells = sf.CellArray(published, 2**16, seed=1)
    assert cells.nbytes == cells.size * bytes_per_cell(10, "float32")
    assert bytes_per_cell(10, "float32") <= 464 / 2


def test_reading_changes_nothing_and_numbers_its_reads(published):
    cells = live(sf.CellArray(published, 1000, seed=1))
    before = cells.r
    first, second = cells.read(), cells.read()
    assert not np.array_equal(first, second)
    assert np.array_equal(cells.read(number=0), first)
    assert cells.read_number == 2
    assert np.array_equal(cells.read(noise=False), cells.current(0.2))
    assert np.array_equal(cells.r, before)


@pytest.mark.parametrize("u", [0.2, -0.3, 0.0])
def test_read_noise_has_the_stated_variance(published, u, measured):
    cells = live(sf.CellArray(published, 1000, seed=1))
    current = cells.current(u)
    reads = np.stack([cells.read(u) for _ in range(400)]).astype(np.float64)
    slope = published.conduction.slope(cells.r, 0.0)
    conductance = slope if u == 0.0 else np.abs(current / u)
    variance = 1e8 * (4 * 1.380649e-23 * 300 * conductance + 2 * 1.602176634e-19 * np.abs(current))
    z = (reads - current) / np.sqrt(variance)
    # 400,000 standard normal numbers: standard errors .0016 of the mean, .0022 of the variance.
    assert abs(z.mean()) < 4.5 * 0.0016
    measured("deviation of the relative variance, 400,000 reads", abs(z.var() - 1.0), "< 0.01035")
    assert abs(z.var() - 1.0) < 4.5 * 0.0023


@pytest.mark.parametrize("engine", ["numba", "array"])
def test_a_crossbar_readout_sums_the_cells_of_a_row(published, engine):
    cells = sf.CellArray(published, (20, 50), seed=1, engine=engine)
    cells.apply_voltage(-2.0).apply_voltage(random_voltages((20, 50), 1))
    v = random_voltages((50,), 2) * np.float32(0.5)
    v[:3] = 0.0, 2.0, -1.7
    expected = published.conduction.current(cells.r, v.astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(cells.matvec(v, noise=False), expected, rtol=1e-5, atol=1e-11)
    batch = np.stack([v, v[::-1]], axis=1)
    sums = cells.matvec(batch, noise=False)
    assert sums.shape == (20, 2)
    np.testing.assert_allclose(sums[:, 0], cells.matvec(v, noise=False), rtol=1e-9)


def test_crossbar_noise_is_that_of_its_cells(published, measured):
    cells = sf.CellArray(published, (50, 40), seed=1).apply_voltage(-2.0)
    v = random_voltages((40,), 2) * np.float32(0.3)
    v[0] = 0.0
    reads = np.stack([cells @ v for _ in range(2000)])
    summed = np.stack([cells.read(np.broadcast_to(v, (50, 40))) for _ in range(2000)]).sum(axis=2)
    # Variances of 100,000 numbers each: standard error of their ratio .0063.
    ratio = (reads.var(axis=0) / summed.var(axis=0)).mean()
    measured("deviation of the ratio of variances, 100,000 reads", abs(ratio - 1.0), "< 0.02925")
    assert abs(ratio - 1.0) < 4.5 * 0.0065
    assert cells.readout_number == 2000


def test_readouts_without_bandwidth_have_no_noise(published):
    cells = sf.CellArray(published, (5, 4), seed=1)
    v = np.linspace(-0.2, 0.2, 4)
    quiet = cells.matvec(v, noise=False)
    np.testing.assert_allclose(cells.matvec(v, bandwidth=0.0), quiet, rtol=1e-6)
    np.testing.assert_array_equal(cells.read(bandwidth=0.0), cells.current(0.2))


def test_a_crossbar_at_rest_has_the_johnson_noise_of_its_cells(published):
    row = sf.CellArray(published, (2, 500), seed=1)
    row.apply_voltage(-2.0).apply_voltage(random_voltages((2, 500), 1))
    noise = row.matvec(np.zeros((500, 4000)))
    slope = published.conduction.slope(row.r.astype(np.float64), 0.0).sum(axis=1)
    variance = 4 * 1.380649e-23 * 300 * 1e8 * slope
    # Variances of 4,000 numbers each: standard error .022.
    np.testing.assert_allclose(noise.var(axis=1), variance, rtol=4.5 * 0.0224)


@pytest.mark.parametrize("engine", ["numba", "array"])
def test_renewed_cells_are_those_of_a_new_array(published, engine):
    used = sf.CellArray(published, (20, 50), seed=3, engine=engine)
    used.apply_voltage(-2.0).apply_voltage(1.2)
    _ = used.read(), used @ np.full(50, 0.1)
    used.renew(77)
    new = sf.CellArray(published, (20, 50), seed=3, engine=engine, first_cell=77)
    for cells in (used, new):
        cells.apply_voltage(-2.0).apply_voltage(1.2)
    identical(used, new)
    assert np.array_equal(used.read(), new.read())
    assert np.array_equal(used @ np.full(50, 0.1), new @ np.full(50, 0.1))
    assert used.first_cell == 77


def test_views_read_the_cells_they_name(published):
    cells = sf.CellArray(published, (20, 50), seed=1).apply_voltage(-2.0)
    view = cells[3:9, ::2]
    cells.apply_voltage(1.0)
    assert np.array_equal(view.r, cells.r[3:9, ::2])
    assert np.array_equal(view.cycle, cells.cycle[3:9, ::2])
    np.testing.assert_allclose(view.current(0.2), cells.current(0.2)[3:9, ::2], rtol=1e-6)
    np.testing.assert_allclose(view.features["r_hrs"], cells.features["r_hrs"][3:9, ::2], rtol=3e-5)
    assert cells[0, 0].shape == ()


def test_ideal_programming_is_the_same_in_both_engines(published):
    g = np.random.default_rng(1).uniform(1e-6, 2.6e-4, 40_000)
    states = []
    for engine in ("numba", "array"):
        cells = sf.CellArray(published, g.size, seed=3, engine=engine)
        cells.apply_voltage(-2.0).apply_voltage(1.6).set_conductance(g)
        states.append(get_state(cells))
    fast, slow = states
    for name, bound in (("r", 0.0), ("threshold", 1e-5), ("steepness", 1e-6), ("phase", 0.0)):
        np.testing.assert_allclose(fast[name], slow[name], rtol=0.0, atol=bound, err_msg=name)


@pytest.mark.parametrize("engine", ["numba", "array"])
def test_set_conductance_is_exact_and_lasting(published, engine):
    cells = sf.CellArray(published, 1000, seed=1, engine=engine)
    g = np.linspace(2e-5, 2.4e-4, 1000)
    cells.set_conductance(g)
    np.testing.assert_allclose(cells.conductance(), g, rtol=2e-5)
    cells.apply_voltage(0.2).apply_voltage(-0.1)
    np.testing.assert_allclose(cells.conductance(), g, rtol=1e-2, atol=2e-6)
    cells.set_conductance(1e-4, where=np.arange(1000) < 10)
    np.testing.assert_allclose(cells.conductance()[:10], 1e-4, rtol=2e-5)


@pytest.mark.parametrize("engine", ["numba", "array"])
def test_set_conductance_takes_the_whole_window_with_its_ends(published, engine):
    conduction = published.conduction
    high = conduction.g_llrs
    low = high - rules.highest_state(published) * (high - conduction.g_hhrs)
    cells = sf.CellArray(published, 2, seed=1, engine=engine).set_conductance([low, high])
    assert cells.r[0] <= rules.highest_state(published)
    assert cells.r[1] == 0.0
    for beyond in (np.nextafter(low, 0.0), np.nextafter(high, 1.0)):
        with pytest.raises(sf.InvalidValueError, match=r"^g: expected"):
            cells.set_conductance(beyond)


def test_readouts_are_numbered_as_far_as_words_go(published):
    cells = sf.CellArray(published, (3, 2), seed=1)
    batch = np.full((2, 2), 0.1)
    last = cells.matvec(batch, number=2**32 - 2)
    assert np.array_equal(cells.matvec(batch[:, 1], number=2**32 - 1), last[:, 1])
    for job in (cells.matvec, lambda b, number: cells.readout_noise(2, number)):
        with pytest.raises(sf.InvalidValueError, match=r"^number: expected 0"):
            job(batch, number=2**32 - 1)
    assert cells.readout_number == 0
    with pytest.raises(sf.InvalidValueError, match=r"^v: expected finite voltages"):
        cells.matvec([0.1, np.nan])


def test_many_cells_are_programmed_as_few_are(published, monkeypatch):
    g = np.linspace(2e-5, 2.4e-4, 50)
    whole = sf.CellArray(published, 50, seed=1, engine="array").set_conductance(g)
    monkeypatch.setattr("synfab.engines.base.PROGRAMMED_AT_ONCE", 8)
    parts = sf.CellArray(published, 50, seed=1, engine="array").set_conductance(g)
    assert np.array_equal(get_state(parts)["threshold"], get_state(whole)["threshold"])
    assert np.array_equal(parts.r, whole.r)


@pytest.mark.parametrize("engine", ["numba", "array"])
def test_results_never_alias_the_state(published, engine):
    cells = live(sf.CellArray(published, 1000, seed=1, engine=engine))
    before, count = cells.r.copy(), cells.cycle.copy()
    r, cycle, hrs, lrs = cells.r, cells.cycle, cells.in_hrs, cells.in_lrs
    for array in (r, cycle, hrs, lrs, cells.device_parameters, cells.current(0.2)):
        array[...] = 0
    for array in cells.features.values():
        array[...] = 0
    assert np.array_equal(cells.r, before)
    assert np.array_equal(cells.cycle, count)
    u = np.zeros(1000)
    cells.read(u)
    assert not u.any()


def test_a_copy_goes_on_alike_and_apart(published):
    cells = live(sf.CellArray(published, 1000, seed=1))
    twin = cells.copy()
    identical(live(cells, 5), live(twin, 5))
    twin.apply_voltage(-2.0)
    assert not np.array_equal(cells.r, twin.r)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (lambda c: c.apply_voltage(np.nan), "u: expected finite voltages"),
        (lambda c: c.apply_voltage([1.0, 2.0, np.inf, 0.0]), "u: expected finite voltages"),
        (lambda c: c.apply_voltage(1e39), "u: expected finite voltages"),
        (
            lambda c: c.apply_voltage([0.0, np.nan, 0.0, 0.0], where=[False, True, True, False]),
            "u: expected finite voltages",
        ),
        (lambda c: c.apply_voltage(np.zeros(3)), r"u: shape \(3,\) does not broadcast"),
        (lambda c: c.apply_voltage("1"), "u: expected real numbers"),
        (lambda c: c.apply_voltage(1.0, where=np.ones(3, bool)), "where: shape"),
        (lambda c: c.apply_voltage(1.0, where=[1, 0, 1, 0]), "where: expected booleans"),
        (
            lambda c: c.read(bandwidth=-1.0),
            r"bandwidth: expected at least 0 and at most 1e\+15, found -1",
        ),
        (lambda c: c.read(number=-1), "number: expected 0"),
        (lambda c: c.conductance(0.0), "u: expected one voltage"),
        (lambda c: c.conductance([0.1, 0.2, 0.2, 0.2]), "u: expected one voltage"),
        (lambda c: c.apply_voltage(True), "u: expected real numbers"),
        (lambda c: c.apply_voltage(np.ones((1, 1, 1))), r"u: shape \(1, 1, 1\) does not"),
        (lambda c: c.read(number=2**32), r"number: expected 0 … 2\*\*32 - 1"),
        (lambda c: c @ np.zeros(4), "cells: a crossbar readout needs rows x columns"),
        (lambda c: c.set_conductance(1.0), "g: expected"),
        (lambda c: c.set_conductance(np.nan), "g: expected"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(published, job, message):
    cells = sf.CellArray(published, 4, seed=1).apply_voltage(-2.0)
    before = cells.r
    with pytest.raises(sf.SynfabError, match=f"^{message}") as error:
        job(cells)
    assert "\n" not in str(error.value)
    assert np.array_equal(cells.r, before)
    assert cells.read_number == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": 0}, "shape: expected axes of 1 or more"),
        ({"shape": (3, -1)}, "shape: expected axes"),
        ({"shape": 2.5}, "shape: expected an integer"),
        ({"shape": 10**13}, "shape: 10000000000000 cells need"),
        ({"engine": "cuda"}, "engine: expected one of auto, numba, array"),
        ({"history": "int16"}, "history: expected one of float32, compact, found 'int16'"),
        ({"engine": "array", "history": "compact"}, "history"),
        ({"order": 11}, "order: the model has no order 11"),
        ({"order": 2.0}, "order: expected an integer"),
        ({"first_cell": -1}, "first_cell: expected"),
        ({"first_cell": 2**64 - 4}, "first_cell: expected"),
        ({"shape": (1,) * 33}, "shape: expected 1 … 32 axes, found 33"),
        ({"shape": ()}, "shape: expected 1 … 32 axes, found 0"),
        ({"model": "none.json"}, "none.json: cannot read"),
        ({"model": 3}, "model: expected"),
    ],
)
def test_impossible_arrays_are_refused(published, arguments, message):
    given = {"model": published, "shape": 4, "seed": 1, **arguments}
    with pytest.raises(sf.SynfabError, match=f"^{message}"):
        sf.CellArray(given.pop("model"), given.pop("shape"), **given)


def test_too_many_cells_are_a_memory_error(published):
    with pytest.raises(MemoryError, match="GiB"):
        sf.CellArray(published, (2**20, 2**20), seed=1)


def test_the_converter_clips_at_both_ends():
    levels = sf.adc(np.array([-1.0, 0.0, 0.24, 0.26, 3.0, 9.0]), 0.0, 3.0, 2)
    np.testing.assert_allclose(levels, [0.0, 0.0, 0.0, 0.0, 3.0, 3.0])
    assert sf.adc(1.6, 0.0, 3.0, 2) == 2.0
    for bad in (
        {"bits": 0},
        {"bits": 25},
        {"bits": 1.5},
        {"i_max": 0.0},
        {"i": np.nan},
        {"i": "1"},
    ):
        with pytest.raises(sf.SynfabError, match=f"^{next(iter(bad))}"):
            sf.adc(**{"i": 1.0, "i_min": 0.0, "i_max": 3.0, "bits": 2, **bad})


def test_repr_says_what_it_is(published):
    text = repr(sf.CellArray(published, (2, 3), seed=5))
    assert text.startswith("CellArray(2 x 3 cells of 'published', seed=5, order=10")


def test_engines_draw_the_same_readout_noise(published):
    pair = [sf.CellArray(published, (30, 20), seed=2**40 + 5, engine=e) for e in ("numba", "array")]
    batch = np.full((20, 3), 0.2)
    noisy = [cells.matvec(batch, number=7) for cells in pair]
    quiet = [cells.matvec(batch, noise=False) for cells in pair]
    np.testing.assert_allclose(noisy[0] - quiet[0], noisy[1] - quiet[1], rtol=1e-3, atol=1e-12)
    np.testing.assert_array_equal(noisy[0][:, 2], pair[0].matvec(batch[:, 0], number=9))
