"""Writing through the wires: schemes, disturb, voltage loss, events, energy."""

import numpy as np
import pytest

import synfab as sf
from synfab.network.solver import Network

Transistor = sf.crossbar.Transistor


def fresh(rows, columns, seed=3):
    return sf.CellArray("published", (rows, columns), seed=seed)


@pytest.mark.parametrize(
    ("scheme", "row", "column", "other"),
    [("V/2", 0.5, 0.5, 0.0), ("V/3", 1 / 3, 1 / 3, -1 / 3), ("ground", 0.0, 1.0, 0.0)],
)
def test_schemes_put_their_share_on_every_cell(scheme, row, column, other):
    """Ideal wires: cells on the selected row, on the selected column, and elsewhere."""
    bar = sf.Crossbar(fresh(5, 6), 0.0)
    u = bar.write(rows=2, columns=3, voltage=0.3, scheme=scheme).solution.cell_voltage
    expected = np.full((5, 6), other * 0.3)
    expected[2], expected[:, 3], expected[2, 3] = row * 0.3, column * 0.3, 0.3
    np.testing.assert_allclose(u, expected, atol=1e-15)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("scheme", "unselected"), [("V/2", 0.15), ("V/3", 0.1), ("ground", 0.0)])
def test_columns_of_several_voltages_follow_the_strongest(scheme, unselected, sign):
    """Selected cells see what was asked for, unselected columns a part of the strongest."""
    bar = sf.Crossbar(fresh(4, 5), 0.0)
    asked = sign * np.array([0.1, 0.3])
    u = bar.write(rows=2, columns=[1, 3], voltage=asked, scheme=scheme).solution.cell_voltage
    np.testing.assert_allclose(u[2, [1, 3]], asked, atol=1e-15)
    np.testing.assert_allclose(u[2, [0, 2, 4]], sign * unselected, atol=1e-15)


def test_gates_along_columns_cut_off_the_unselected_ones():
    cells = fresh(6, 6)
    bar = sf.Crossbar(cells, 1.0, access=Transistor(1e3, gates="columns"))
    found = bar.write(rows=slice(None), columns=[1, 4], voltage=-1.5, scheme="ground")
    off = [0, 2, 3, 5]
    assert not found.solution.cell_current[:, off].any()
    assert found.switched[:, [1, 4]].all()
    assert not found.switched[:, off].any()


def test_small_arrays_are_written_event_by_event_unless_told_otherwise():
    solves = {}
    for shape in ((32, 4), (33, 4)):
        solves[shape] = [
            sf.Crossbar(fresh(*shape), 2.5).write(rows=3, columns=1, voltage=-1.2, exact=exact)
            for exact in (None, True, False)
        ]
    default, exact, ramp = (found.solves for found in solves[32, 4])
    assert default == exact != ramp
    default, exact, ramp = (found.solves for found in solves[33, 4])
    assert default == ramp != exact


def test_a_pulse_of_no_duration_takes_no_energy():
    found = sf.Crossbar(fresh(4, 4), 1.0).write(rows=1, columns=1, voltage=-1.5, duration=0.0)
    assert found.switched[1, 1]
    assert (found.energy, found.charge, found.loss) == (0.0, 0.0, 0.0)


def test_a_floating_scheme_shares_the_voltage_out_among_sneak_paths():
    bar = sf.Crossbar(fresh(12, 12), 1.0)
    u = bar.write(rows=2, columns=3, voltage=0.3, scheme="floating").solution.cell_voltage
    assert u[2, 3] == pytest.approx(0.3, rel=1e-3)
    others = np.ones((12, 12), bool)
    others[2, 3] = False
    assert (np.abs(u[others]) < 0.3).all()
    # From column to row of the selected cell by way of three cells of which the middle is reversed.
    assert u[2, 5] > 0.0 > u[5, 5]
    assert u[7, 3] > 0.0


def test_with_ideal_wires_and_no_disturb_a_pulse_is_apply_voltage():
    mine, plain = fresh(10, 8), fresh(10, 8)
    bar = sf.Crossbar(mine, 0.0)
    u = np.linspace(-1.2, -0.5, 8)
    found = bar.write(rows=4, columns=slice(None), voltage=u, scheme="ground")
    where = np.zeros((10, 8), bool)
    where[4] = True
    # "ground" puts the columns' voltage on all rows: a gate keeps it from them.
    np.testing.assert_array_equal(mine.r, plain.apply_voltage(np.tile(u, (10, 1))).r)
    assert found.disturbed.any()
    gated, plain = fresh(10, 8), fresh(10, 8)
    bar = sf.Crossbar(gated, 0.0, access=Transistor(0.0))
    found = bar.write(rows=4, columns=slice(None), voltage=u, scheme="ground")
    np.testing.assert_array_equal(gated.r, plain.apply_voltage(u, where=where).r)
    assert not found.disturbed.any()
    assert found.switched.sum() == (gated.in_lrs[4]).sum() > 0


def test_half_selected_cells_are_disturbed_where_the_scheme_allows_it():
    halves = sf.Crossbar(fresh(32, 32), 1.0).write(rows=3, columns=5, voltage=-1.3)
    thirds = sf.Crossbar(fresh(32, 32), 1.0).write(rows=3, columns=5, voltage=-1.3, scheme="V/3")
    assert halves.disturbed.any()
    assert not thirds.disturbed.any()
    lines = np.zeros((32, 32), bool)
    lines[3] = lines[:, 5] = True
    assert not halves.disturbed[~lines].any()
    u_set = fresh(32, 32).features["u_set"]
    np.testing.assert_array_equal(
        halves.switched & lines, (halves.extreme_voltage <= u_set) & lines
    )


def test_the_far_end_of_a_line_loses_voltage():
    cells = fresh(64, 64).apply_voltage(-2.0)
    found = sf.Crossbar(cells, 5.0).write(
        rows=slice(None), columns=slice(None), voltage=0.9, scheme="ground"
    )
    assert found.switched[:3, :3].mean() > 0.5
    assert not found.switched[8:, 8:].any()
    assert np.abs(found.extreme_voltage[-1, -1]) < 0.2 * found.extreme_voltage[0, 0]


def test_one_set_takes_the_voltage_from_its_neighbours():
    """Behind one large resistor the first cell that SETs starves the others."""
    outcomes = []
    for exact in (True, False):
        cells = fresh(1, 8)
        bar = sf.Crossbar(cells, 1.0, sense_resistance=4e3)
        found = bar.write(
            rows=0, columns=slice(None), voltage=-1.3, scheme="ground", exact=exact, steps=1
        )
        outcomes.append(found.switched.sum())
    u_set = fresh(1, 8).features["u_set"]
    assert outcomes[0] < outcomes[1]
    cells = fresh(1, 8)
    bar = sf.Crossbar(cells, 1.0, sense_resistance=4e3)
    strongest = int(np.argmax(u_set))  # sets at the smallest voltage
    found = bar.write(rows=0, columns=slice(None), voltage=-1.3, scheme="ground")
    assert found.switched[0, strongest]


@pytest.mark.parametrize("voltage", [-1.0, 1.2])
def test_the_ramp_comes_close_to_the_events(voltage):
    states = []
    for exact in (True, False):
        cells = fresh(24, 24)
        if voltage > 0.0:
            cells.apply_voltage(-2.0)
        bar = sf.Crossbar(cells, 2.5)
        for row in range(24):
            bar.write(rows=row, columns=slice(None), voltage=voltage, exact=exact)
        states.append(cells.r)
    differs = np.abs(states[0] - states[1])
    assert (differs > 0.01).mean() < 0.02
    assert np.median(differs) < 1e-3


def test_after_a_reset_every_cell_stands_on_its_curve():
    """Event-exact: another pulse of the same size finds nothing left to do."""
    cells = fresh(16, 16).apply_voltage(-2.0)
    bar = sf.Crossbar(cells, 2.5)
    pulse = {"rows": slice(None), "columns": slice(None), "voltage": 1.1, "scheme": "ground"}
    first = bar.write(**pulse)
    r = cells.r
    bar.write(**pulse)
    assert first.switched.any()
    np.testing.assert_allclose(cells.r, r, atol=2e-5)


def test_energy_is_what_cells_and_wires_take():
    cells = fresh(20, 20)
    found = sf.Crossbar(cells, 0.0).write(rows=1, columns=[2, 3], voltage=-1.1, duration=1e-7)
    assert found.energy == pytest.approx(found.cell_energy.sum(), rel=1e-9)
    assert found.loss == pytest.approx(0.0, abs=1e-9)
    bar = sf.Crossbar(fresh(20, 20), 10.0, source_resistance=500.0)
    found = bar.write(rows=1, columns=slice(None), voltage=-1.3, duration=1e-7, scheme="V/3")
    s = found.solution
    wires = bar.wires
    lost = (wires.column * np.diff(s.column_voltage, axis=0) ** 2).sum()
    lost += (wires.row * np.diff(s.row_voltage, axis=1) ** 2).sum()
    lost += (s.driver_currents**2 / wires.top).sum() + (s.currents**2 / wires.left).sum()
    total = found.cell_energy.sum() + lost * 1e-7
    assert found.energy == pytest.approx(total, rel=1e-9)
    assert found.loss == pytest.approx(lost * 1e-7 / total, rel=1e-6)
    assert found.charge == pytest.approx(np.abs(s.cell_current).sum() * 1e-7)


def test_defective_cells_never_switch():
    dead = np.zeros((8, 8), bool)
    dead[2, 2], short = True, np.zeros((8, 8), bool)
    short[2, 4] = True
    bar = sf.Crossbar(fresh(8, 8), 1.0, open_cells=dead, shorted_cells=short)
    found = bar.write(rows=2, columns=slice(None), voltage=-1.5)
    assert not (found.switched & (dead | short)).any()
    assert found.switched[2].sum() >= 5


def test_pulses_are_reproducible():
    results = []
    for _ in range(2):
        bar = sf.Crossbar(fresh(40, 40), 2.5)
        bar.write(rows=3, columns=slice(None), voltage=-1.4)
        bar.write(rows=3, columns=[1, 7], voltage=[1.2, 0.9])
        results.append(bar.cells.r)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "V/4"}, "scheme: expected one of V/2, V/3, floating, ground"),
        ({"steps": 11}, "steps: expected 1 … 10, found 11"),
        ({"steps": 0}, "steps: expected 1 … 10, found 0"),
        ({"voltage": [1.0, 2.0, 3.0]}, "voltage: expected one finite number, or one for each of 2"),
        ({"voltage": np.nan}, "voltage: expected one finite"),
        ({"rows": []}, "at least one selected line"),
        ({"columns": [0, 9]}, "columns: expected line numbers 0 … 3"),
        ({"duration": -1.0}, "duration: expected at least 0"),
    ],
)
def test_bad_pulses_are_one_clear_line_and_change_nothing(options, message):
    bar = sf.Crossbar(fresh(4, 4), 1.0)
    before = bar.cells.r
    with pytest.raises(sf.InvalidValueError, match=message):
        bar.write(**{"rows": 1, "columns": [0, 2], "voltage": -1.0, **options})
    np.testing.assert_array_equal(bar.cells.r, before)


@pytest.mark.parametrize("drive", ["top", "bottom", "both"])
def test_rows_whose_gates_are_off_may_be_left_out(drive):
    """A gate that leaks next to nothing keeps its row in the network: the maps agree."""
    maps = []
    for off in (np.inf, 1e14):
        cells = fresh(12, 9).apply_voltage(-2.0)
        bar = sf.Crossbar(cells, (2.0, 7.0), access=Transistor(1e3, off), drive=drive)
        found = bar.write(rows=[3, 8], columns=[1, 4, 5], voltage=1.1, exact=True)
        maps.append((found, cells.r))
    (left_out, r), (kept, same) = maps
    np.testing.assert_allclose(r, same, atol=1e-5)
    a, b = left_out.solution, kept.solution
    np.testing.assert_allclose(a.column_voltage, b.column_voltage, atol=1e-5)
    np.testing.assert_allclose(a.row_voltage, b.row_voltage, atol=1e-5)
    np.testing.assert_allclose(a.cell_current, b.cell_current, atol=1e-9)
    np.testing.assert_allclose(a.driver_currents, b.driver_currents, atol=1e-8)
    assert left_out.energy == pytest.approx(kept.energy, rel=1e-5)
    np.testing.assert_array_equal(left_out.switched, kept.switched)
    on = [3, 8]
    np.testing.assert_allclose(
        left_out.extreme_voltage[on], kept.extreme_voltage[on], rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(("scheme", "voltage"), [("V/2", -1.2), ("V/3", -0.8), ("V/2", 1.1)])
def test_rows_written_from_warm_starts_are_those_of_cold_accurate_solves(
    monkeypatch, scheme, voltage
):
    """The solves of a pulse share a network and a loose tolerance; no cell's fate depends on it."""
    states, switched = [], []
    solve = Network.solve

    def cold(self, cells, bias, tolerance=None):
        self.x[:] = self.b[:] = 0.0
        solve(self, cells, bias)

    for network_solve in (solve, cold):
        monkeypatch.setattr(Network, "solve", network_solve)
        cells = fresh(48, 48)
        if voltage > 0.0:
            cells.apply_voltage(-2.0)
        bar = sf.Crossbar(cells, 2.5)
        pulses = [
            bar.write(rows=row, columns=slice(None), voltage=voltage, scheme=scheme)
            for row in range(48)
        ]
        states.append(cells.r)
        switched.append([pulse.switched for pulse in pulses])
    assert np.any(switched[0])
    np.testing.assert_array_equal(*[np.array(one) for one in switched])
    np.testing.assert_allclose(*states, rtol=0.0, atol=1e-4)
