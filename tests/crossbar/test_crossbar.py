"""Crossbars with resistive wires against hand calculation, dense solves and ideal wires."""

import badcrossbar_peer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synfab as sf
from synfab.network.bias import make_bias
from synfab.network.direct import matrix
from synfab.network.network import Cells
from synfab.network.solver import solve_lines
from synfab.network.wires import make_wires


def solve(wires, cells, v, w=0.0):
    return solve_lines(wires, cells, make_bias(wires.shape, v, w))


PEER = badcrossbar_peer.load()


def dense(g, v, along_rows, along_columns, source, out, drive, sense):
    """Sensed currents by nodal analysis, every element stamped one by one."""
    rows, columns = g.shape
    size = 2 * rows * columns
    K, rhs = np.zeros((size, size)), np.zeros(size)
    a = lambda i, j: i * columns + j  # noqa: E731
    b = lambda i, j: rows * columns + i * columns + j  # noqa: E731

    def stamp(p, q, c):
        K[p, p] += c
        K[q, q] += c
        K[p, q] -= c
        K[q, p] -= c

    for i in range(rows):
        for j in range(columns):
            stamp(a(i, j), b(i, j), g[i, j])
            if i > 0:
                segment = along_columns[i if drive != "bottom" else rows - i, j]
                stamp(a(i - 1, j), a(i, j), 1.0 / segment)
            if j > 0:
                segment = along_rows[i, j if sense != "right" else columns - j]
                stamp(b(i, j - 1), b(i, j), 1.0 / segment)
    for j in range(columns):
        c = 1.0 / (source[j] + along_columns[0, j])
        for i in {"top": [0], "bottom": [rows - 1], "both": [0, rows - 1]}[drive]:
            K[a(i, j), a(i, j)] += c
            rhs[a(i, j)] += c * v[j]
    ends = {"left": [0], "right": [columns - 1], "both": [0, columns - 1]}[sense]
    for i in range(rows):
        for j in ends:
            K[b(i, j), b(i, j)] += 1.0 / (out[i] + along_rows[i, 0])
    u = np.linalg.solve(K, rhs)
    return np.array(
        [sum(u[b(i, j)] / (out[i] + along_rows[i, 0]) for j in ends) for i in range(rows)]
    )


def written(rows, columns, seed=3):
    cells = sf.CellArray("published", (rows, columns), seed=seed)
    pulses = np.random.default_rng(seed).uniform(0.6, 1.5, (rows, columns))
    return cells.apply_voltage(-2.0).apply_voltage(pulses)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(["top", "bottom", "both"]),
    st.sampled_from(["left", "right", "both"]),
    st.integers(0, 10_000),
)
def test_random_networks_equal_a_dense_solve(rows, columns, drive, sense, seed):
    generator = np.random.default_rng(seed)
    g = 10.0 ** generator.uniform(-7.0, -3.0, (rows, columns))
    g[generator.random(g.shape) < 0.1] = 0.0  # open cells
    along_rows, along_columns = 10.0 ** generator.uniform(-2.0, 3.0, (2, rows, columns))
    source, out = generator.uniform(0.0, 100.0, columns), generator.uniform(0.0, 100.0, rows)
    v = generator.uniform(-1.0, 1.0, columns)
    wires = make_wires((rows, columns), (along_rows, along_columns), source, out, drive, sense)
    found = solve(wires, Cells(g, None), v)
    exact = dense(g, v, along_rows, along_columns, source, out, drive, sense)
    np.testing.assert_allclose(found.currents, exact, rtol=1e-9, atol=1e-14)
    assert found.residual <= 1e-12
    np.testing.assert_allclose(found.cell_current, g * found.cell_voltage, atol=1e-18)


@pytest.mark.slow
@pytest.mark.skipif(PEER is None, reason="badcrossbar is not installed")
def test_networks_equal_badcrossbar():
    """16 random networks up to 64 x 64 with open cells, rows and columns of their own wire."""
    generator = np.random.default_rng(5)
    for k in range(16):
        rows, columns = generator.integers(2, 65, 2)
        g = 10.0 ** generator.uniform(-6.0, -3.0, (rows, columns))
        if k % 2:
            g[generator.random(g.shape) < 0.05] = 1e-30  # as good as open
        v = generator.uniform(-1.0, 1.0, columns)
        along_rows, along_columns = 10.0 ** generator.uniform(-1.0, 2.0, 2)
        theirs = badcrossbar_peer.sensed(PEER, g, v, along_rows, along_columns)
        wires = make_wires((rows, columns), (along_rows, along_columns), sense="right")
        ours = solve(wires, Cells(g, None), v).currents
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max())


def test_one_cell_by_hand():
    wires = make_wires((1, 1), 10.0, 100.0, 1000.0)
    found = solve(wires, Cells(np.array([[1e-3]]), None), np.array([0.5]))
    assert found.currents[0] == pytest.approx(0.5 / (10 + 100 + 1000 + 10 + 1000), rel=1e-12)


def test_two_cells_by_hand():
    """Two columns, ideal but for the row's sense resistor: a loaded divider."""
    wires = make_wires((1, 2), 0.0, 0.0, 1000.0)
    found = solve(wires, Cells(np.array([[1e-3, 2e-3]]), None), np.array([0.3, 0.6]))
    node = (0.3 * 1e-3 + 0.6 * 2e-3) / (1e-3 + 2e-3 + 1e-3)
    assert found.currents[0] == pytest.approx(node * 1e-3, rel=1e-7)


def test_ideal_wires_are_the_plain_product():
    cells = written(20, 30)
    v = np.linspace(-0.2, 0.2, 30)
    np.testing.assert_array_equal(
        sf.Crossbar(cells, 0.0).read(v, noise=False), cells.matvec(v, noise=False)
    )
    np.testing.assert_allclose(
        sf.Crossbar(cells, 1e-5).read(v, noise=False), cells.matvec(v, noise=False), atol=1e-9
    )
    noisy = sf.Crossbar(cells, 1e-5).read(v, number=7)
    np.testing.assert_allclose(noisy, cells.matvec(v, number=7), atol=2e-9)


def test_a_crossbar_at_rest_has_johnson_noise():
    cells = written(20, 30)
    at_rest = sf.Crossbar(cells, 1e-5).read(np.zeros(30), number=7)
    assert at_rest.all()
    np.testing.assert_allclose(at_rest, cells.matvec(np.zeros(30), number=7), rtol=1e-4)


def test_a_gate_may_be_without_effect():
    bar = sf.Crossbar(written(4, 5), 2.0, access=sf.crossbar.Transistor(1e3, 1e3))
    v = np.full(5, 0.2)
    np.testing.assert_array_equal(bar.solve(v).currents, bar.solve(v, gates=[]).currents)


@pytest.mark.parametrize("resistance", [1e-3, 2.5, 1e3])
def test_nonlinear_networks_meet_kirchhoff(resistance):
    """Currents follow the cells' I-V curves at the voltages found, and no node leaks."""
    cells = written(40, 25)
    v = np.random.default_rng(1).uniform(-1.6, 1.6, 25)
    bar = sf.Crossbar(cells, resistance, source_resistance=50.0)
    found = bar.solve(v)
    assert found.residual <= 1e-12
    exact = cells.model.conduction.current(cells.r.astype(float), found.cell_voltage)
    np.testing.assert_allclose(found.cell_current, exact, rtol=1e-9, atol=1e-16)
    K = matrix(bar.wires, np.zeros(cells.shape))
    nodes = np.concatenate([found.column_voltage.ravel(), found.row_voltage.ravel()])
    balance = K @ nodes
    balance[:1000] += found.cell_current.ravel()
    balance[1000:] -= found.cell_current.ravel()
    balance[:25] -= bar.wires.top * v
    strongest = float(bar.wires.column.max())
    assert np.abs(balance).max() <= 1e-12 + 1e-15 * strongest * 10


def test_wires_weaken_the_far_end():
    cells = sf.CellArray("published", (64, 64), seed=1).apply_voltage(-2.0)
    found = sf.Crossbar(cells, 5.0).solve(np.full(64, 0.2))
    assert found.cell_voltage[0, 0] > found.cell_voltage[-1, 0]
    assert found.cell_voltage[0, 0] > found.cell_voltage[0, -1]
    assert (found.currents < cells.matvec(np.full(64, 0.2), noise=False)).all()


def test_a_falling_curve_falls_back_to_the_direct_solver():
    """LRS cells beyond 1.41 V conduct less with more voltage: not positive definite."""
    wires = make_wires((128, 128), 2.5)
    slope = sf.load_model().conduction.slope(0.0, 1.46)
    assert slope < 0.0
    found = solve(wires, Cells(np.full((128, 128), float(slope)), None), np.full(128, 0.1))
    assert found.residual <= 1e-12
    assert found.direct


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 70)])
def test_odd_shapes_zero_input_and_batches(shape):
    bar = sf.Crossbar(written(*shape), (1.0, 7.0))
    assert not bar.read(np.zeros(shape[1]), noise=False).any()
    batch = np.random.default_rng(2).uniform(-0.3, 0.3, (shape[1], 5))
    together = bar.read(batch, noise=False)
    apart = np.stack([bar.read(column, noise=False) for column in batch.T], axis=1)
    np.testing.assert_allclose(together, apart, atol=2e-12)


def test_noise_counts_on_and_is_reproducible():
    first, second = (sf.Crossbar(written(30, 30), 2.0) for _ in range(2))
    v = np.full(30, 0.2)
    together = first.read(np.stack([v, v], axis=1))
    one_by_one = np.stack([second.read(v), second.read(v)], axis=1)
    np.testing.assert_allclose(together, one_by_one, atol=2e-12)
    assert first.cells.readout_number == 2
    noise = first.read(np.tile(v[:, None], 400)) - first.read(v, noise=False)[:, None]
    ideal = sf.Crossbar(written(30, 30), 0.0)
    plain = ideal.read(np.tile(v[:, None], 400)) - ideal.read(v, noise=False)[:, None]
    assert abs(noise.std() / plain.std() - 1.0) < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wire_resistance": -1.0}, "wire_resistance of rows: expected finite ohm"),
        ({"wire_resistance": (1.0, np.inf)}, "wire_resistance of columns: expected finite"),
        ({"wire_resistance": np.ones(7)}, "expected a number, 4 lines or segments"),
        ({"wire_resistance": (1.0, 1.0, 1.0)}, "a pair"),
        ({"source_resistance": np.ones(3)}, "source_resistance: expected a number or one per"),
        ({"drive": "left"}, "drive: expected one of top, bottom, both"),
        ({"sense": "top"}, "sense: expected one of left, right, both"),
    ],
)
def test_bad_wires_are_one_clear_line(options, message):
    with pytest.raises(sf.InvalidValueError, match=message):
        sf.Crossbar(written(4, 5), **options)


@pytest.mark.parametrize(
    ("v", "message"),
    [
        (np.zeros(4), r"v: expected shape \(5,\)"),
        (np.array([0.0, np.nan, 0.0, 0.0, 0.0]), "NaN or infinity"),
        (np.array(["a"] * 5), "v: expected real numbers"),
        (np.zeros((5, 0)), "v: expected shape"),
    ],
)
def test_bad_voltages_are_one_clear_line(v, message):
    with pytest.raises(sf.SynfabError, match=message):
        sf.Crossbar(written(4, 5)).read(v)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"v": np.full(5, np.nan)}, "v: expected finite voltages"),
        ({"row_voltage": np.inf}, "row_voltage: expected finite voltages"),
        ({"row_voltage": np.zeros(3)}, r"row_voltage: expected shape \(4,\)"),
        ({"floating_rows": -5}, "floating_rows: expected line numbers 0 … 3"),
        ({"floating_rows": [[0, 1]]}, "floating_rows: expected a mask, a slice or line numbers"),
        ({"floating_rows": 0.5}, "floating_rows: expected a mask, a slice or line numbers"),
        ({"floating_rows": np.ones(3, bool)}, r"floating_rows: expected a mask \(4,\)"),
    ],
)
def test_bad_lines_are_one_clear_line(options, message):
    with pytest.raises(sf.SynfabError, match=f"^{message}"):
        sf.Crossbar(written(4, 5), 1.0).solve(**{"v": np.zeros(5), **options})


def test_what_is_too_large_is_said_before_it_is_allocated(monkeypatch):
    cells = written(50, 50)
    monkeypatch.setattr("synfab.io.memory.available_memory", lambda: 10_000)
    with pytest.raises(sf.CapacityError, match="a crossbar of 50 x 50 cells: needs"):
        sf.Crossbar(cells)


def test_other_bad_arguments():
    with pytest.raises(sf.InvalidTypeError, match="cells: expected a CellArray"):
        sf.Crossbar(np.ones((3, 3)))
    with pytest.raises(sf.InvalidValueError, match="rows x columns"):
        sf.Crossbar(sf.CellArray("published", 9, seed=1))
    bar = sf.Crossbar(written(4, 5))
    with pytest.raises(sf.InvalidValueError, match="gates: expected None"):
        bar.read(np.zeros(5), gates=[1])
    with pytest.raises(sf.InvalidValueError, match="floating_rows: expected line numbers 0 … 3"):
        bar.solve(np.zeros(5), floating_rows=4)
    with pytest.raises(sf.InvalidValueError, match="at least one line must be driven"):
        bar.solve(np.zeros(5), floating_rows=slice(None), floating_columns=slice(None))
    with pytest.raises(sf.InvalidTypeError, match="access: expected a Transistor"):
        sf.Crossbar(written(4, 5), access=1e3)
    with pytest.raises(sf.InvalidValueError, match="cannot be open and shorted"):
        sf.Crossbar(written(1, 1), open_cells=[[True]], shorted_cells=[[True]])
    with pytest.raises(sf.InvalidValueError, match="off_resistance: expected on_resistance"):
        sf.crossbar.Transistor(1e3, 10.0)
    with pytest.raises(sf.InvalidValueError, match="saturation: expected above 0"):
        sf.crossbar.Selector(0.0)


def full_dense(g, v, w, wires, hold_columns, hold_rows):
    """Currents of the cells by nodal analysis; lines that are not held float."""
    rows, columns = g.shape
    K = matrix(wires, g).toarray()
    rhs = np.zeros(len(K))
    for j in range(columns):
        for i, c in ((0, wires.top[j]), (rows - 1, wires.bottom[j])):
            node = i * columns + j
            if hold_columns[j]:
                rhs[node] += c * v[j]
            else:
                K[node, node] -= c
    for i in range(rows):
        for j, c in ((0, wires.left[i]), (columns - 1, wires.right[i])):
            node = rows * columns + i * columns + j
            if hold_rows[i]:
                rhs[node] += c * w[i]
            else:
                K[node, node] -= c
    u = np.linalg.solve(K, rhs)
    return g * (u[: g.size] - u[g.size :]).reshape(g.shape)


@given(
    st.integers(2, 6),
    st.integers(2, 6),
    st.sampled_from(["top", "bottom", "both"]),
    st.sampled_from(["left", "right", "both"]),
    st.integers(0, 10_000),
)
def test_driven_rows_and_floating_lines_equal_a_dense_solve(rows, columns, drive, sense, seed):
    generator = np.random.default_rng(seed)
    g = 10.0 ** generator.uniform(-6.0, -3.0, (rows, columns))
    v, w = generator.uniform(-1.0, 1.0, columns), generator.uniform(-1.0, 1.0, rows)
    float_columns, float_rows = generator.random(columns) < 0.4, generator.random(rows) < 0.4
    float_columns[0] = False
    wires = make_wires((rows, columns), (2.0, 5.0), 30.0, 70.0, drive, sense)
    exact = full_dense(g, v, w, wires, ~float_columns, ~float_rows)
    v, w = np.where(float_columns, 0.0, v), np.where(float_rows, 0.0, w)
    found = solve(wires.floating(float_rows, float_columns), Cells(g, None), v, w)
    np.testing.assert_allclose(found.cell_current, exact, atol=1e-11)
    assert found.residual <= 1e-12
    np.testing.assert_allclose(found.currents.sum(), found.driver_currents.sum(), atol=1e-11)


def test_a_floating_line_carries_nothing_and_settles_between_its_neighbours():
    """Ideal wires, two columns in series by way of a floating row."""
    cells = written(1, 2)
    found = sf.Crossbar(cells, 0.0).solve(np.array([0.2, 0.0]), floating_rows=[0])
    assert found.driver_currents.sum() == pytest.approx(0.0, abs=1e-9)
    assert 0.0 < found.row_voltage[0, 0] < 0.2
    assert found.driver_currents[0] > 1e-7


def test_floating_lines_of_open_cells_are_no_problem():
    cells = written(6, 6)
    dead = np.zeros((6, 6), bool)
    dead[2] = dead[:, 4] = True
    bar = sf.Crossbar(cells, 2.0, open_cells=dead)
    found = bar.solve(np.full(6, 0.2), floating_rows=2, floating_columns=4)
    assert found.residual <= 1e-12
    assert not found.cell_current[dead].any()


@pytest.mark.parametrize("side", ["rows", "columns"])
def test_a_floating_line_beside_driven_ones_carries_nothing_to_its_end(side):
    bar = sf.Crossbar(written(6, 6), 2.0)
    found = bar.solve(np.linspace(0.1, 0.3, 6), **{f"floating_{side}": 2})
    ends = found.currents if side == "rows" else found.driver_currents
    assert abs(ends[2]) < 1e-12
    assert (np.abs(np.delete(ends, 2)) > 1e-7).all()


def test_what_a_floating_line_would_be_held_at_does_not_matter():
    """Not even if nothing else is tied to it."""
    dead = np.zeros((6, 6), bool)
    dead[:, 4] = True
    bar = sf.Crossbar(written(6, 6), 2.0, open_cells=dead)
    v = np.full(6, 0.2)
    one = bar.solve(v, floating_columns=4)
    v[4] = 5.0
    two = bar.solve(v, floating_columns=4)
    np.testing.assert_array_equal(one.column_voltage, two.column_voltage)


def test_open_and_shorted_cells():
    cells = written(8, 8)
    broken, short = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    broken[1, 2] = short[3, 4] = True
    bar = sf.Crossbar(cells, 2.0, open_cells=broken, shorted_cells=short, short_resistance=50.0)
    found = bar.solve(np.full(8, 0.2))
    assert found.cell_current[1, 2] == 0.0
    assert found.cell_current[3, 4] == pytest.approx(found.cell_voltage[3, 4] / 50.0, rel=1e-12)
    good = ~(broken | short)
    exact = cells.model.conduction.current(cells.r.astype(float), found.cell_voltage)
    np.testing.assert_allclose(found.cell_current[good], exact[good], rtol=1e-9)


def test_a_transistor_takes_its_share_and_its_gate_cuts_the_cell_off():
    cells = written(8, 8)
    bar = sf.Crossbar(cells, 2.0, access=sf.crossbar.Transistor(3e3))
    found = bar.solve(np.full(8, 0.3), gates=[2, 5])
    drop = found.column_voltage - found.row_voltage - found.cell_voltage
    on = np.zeros(8, bool)
    on[[2, 5]] = True
    np.testing.assert_allclose(drop[on], 3e3 * found.cell_current[on], rtol=1e-9)
    exact = cells.model.conduction.current(cells.r[on].astype(float), found.cell_voltage[on])
    np.testing.assert_allclose(found.cell_current[on], exact, rtol=1e-9)
    assert not found.cell_current[~on].any()
    linear = sf.Crossbar(cells, 0.0, access=sf.crossbar.Transistor(3e3)).solve(
        np.full(8, 0.3), linear=True
    )
    g = cells.conductance(0.2)
    np.testing.assert_allclose(linear.currents, (0.3 * g / (1 + g * 3e3)).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("resistance", [0.0, 2.5])
def test_a_selector_follows_its_curve(resistance):
    cells = written(8, 8)
    bar = sf.Crossbar(cells, resistance, access=sf.crossbar.Selector(1e-8, 0.05))
    found = bar.solve(np.linspace(-1.2, 1.2, 8))
    across = found.column_voltage - found.row_voltage - found.cell_voltage
    np.testing.assert_allclose(found.cell_current, 1e-8 * np.sinh(across / 0.05), rtol=1e-6)
    exact = cells.model.conduction.current(cells.r.astype(float), found.cell_voltage)
    np.testing.assert_allclose(found.cell_current, exact, rtol=1e-9)
    assert found.residual <= 1e-12


def test_a_warm_start_saves_steps_and_changes_nothing():
    bar = sf.Crossbar(written(40, 40), 5.0)
    v = np.linspace(0.5, 1.2, 40)
    cold, near = bar.solve(v), bar.solve(0.999 * v)
    warm = bar.solve(v, start=near)
    assert warm.iterations < cold.iterations
    np.testing.assert_allclose(warm.currents, cold.currents, atol=1e-11)


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(-3, 3),
    st.integers(0, 10_000),
)
def test_any_wire_and_six_decades_of_cells_meet_kirchhoff(rows, columns, power, seed):
    generator = np.random.default_rng(seed)
    g = 10.0 ** generator.uniform(-9.0, -3.0, (rows, columns))
    v = generator.uniform(-2.0, 2.0, columns)
    wires = make_wires((rows, columns), 10.0**power)
    found = solve(wires, Cells(g, None), v)
    strongest = max(float(line.max(initial=0.0)) for line in (wires.column, wires.row, wires.top))
    assert found.residual <= max(1e-12, 1e-15 * strongest)
    exact = full_dense(g, v, np.zeros(rows), wires, np.ones(columns, bool), np.ones(rows, bool))
    np.testing.assert_allclose(found.cell_current, exact, rtol=1e-6, atol=1e-12)


@pytest.mark.slow
def test_2048_by_2048_is_solved():
    """Its network alone, cells as plain conductances: no array of four million devices."""
    assert sf.crossbar.network_bytes((2048, 2048)) < 2**30
    g = 10.0 ** np.random.default_rng(1).uniform(-5.5, -3.7, (2048, 2048))
    found = solve(make_wires((2048, 2048), 1.0), Cells(g, None), np.full(2048, 0.2))
    assert found.residual <= 1e-12
    np.testing.assert_allclose(found.currents.sum(), found.driver_currents.sum(), rtol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_floating_ideal_lines_are_those_of_very_short_wires(seed):
    """Kirchhoff's law to 1e-12 A; voltages and gradients as with 1e-4 ohm a segment."""
    generator = np.random.default_rng(seed)
    cells = sf.CellArray("published", (7, 9), seed=seed).apply_voltage(-2.0).apply_voltage(1.05)
    v, w = generator.uniform(-0.6, 0.8, 9), generator.uniform(-0.3, 0.3, 7)
    lines = {
        "floating_columns": generator.random(9) < 0.4,
        "floating_rows": generator.random(7) < 0.4,
    }
    lines["floating_columns"][0] = False
    ideal, short = sf.Crossbar(cells, 0.0), sf.Crossbar(cells, 1e-4)
    found = ideal.solve(v, row_voltage=w, **lines)
    assert found.residual <= 1e-12
    near = short.solve(v, row_voltage=w, **lines)
    np.testing.assert_allclose(found.cell_voltage, near.cell_voltage, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(found.currents, near.currents, rtol=0.0, atol=1e-9)
    assert (found.currents[lines["floating_rows"]] == 0.0).all()
    given = generator.normal(size=7)
    ours = ideal.gradient(v, given, row_voltage=w, **lines)
    theirs = short.gradient(v, given, row_voltage=w, **lines)
    np.testing.assert_allclose(ours.conductance, theirs.conductance, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours.columns, theirs.columns, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(ours.rows, theirs.rows, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", ["along", "conducting", "solve_bias", "wires_for"])
def test_members_of_the_circuit_are_found_on_the_crossbar_for_one_more_release(name):
    bar = sf.Crossbar(sf.CellArray("published", (2, 3), seed=1))
    with pytest.warns(DeprecationWarning, match=f"is now Crossbar.circuit.{name}"):
        found = getattr(bar, name)
    np.testing.assert_equal(found, getattr(bar.circuit, name))
    assert not hasattr(bar, "no_such_member")


AGING = sf.load_model("published").replace(
    name="aging",
    traps=sf.model.Traps(np.geomspace(1e-3, 1e6, 10), 0.5, [0.0, 1e-4], [2e-6, 6e-6]),
)


def test_reads_through_wires_see_what_traps_have_changed():
    cells = sf.CellArray(AGING, (6, 5), seed=2).set_conductance(np.full((6, 5), 8e-5))
    bar, v = sf.Crossbar(cells, 5.0), np.linspace(0.1, 0.3, 5)
    before = bar.read(v, noise=False)
    cells.wait(3600.0)
    same = sf.CellArray("published", (6, 5), seed=2).set_conductance(cells.conductance())
    after, expected = bar.read(v, noise=False), sf.Crossbar(same, 5.0).read(v, noise=False)
    assert np.abs(after - before).max() > 1e-7
    # The voltage of set_conductance differs from that of reads: conductances agree to 1e-3.
    np.testing.assert_allclose(after, expected, rtol=5e-3)


def test_programming_through_wires_corrects_what_traps_have_changed():
    cells = sf.CellArray(AGING, (6, 5), seed=2).set_conductance(np.full((6, 5), 8e-5))
    cells.wait(3600.0)
    bar = sf.Crossbar(cells, 1.0)
    assert np.abs(cells.conductance() - 8e-5).max() > 4e-6
    done = bar.program(8e-5, tolerance=2e-6)
    reached = ~done.unreachable
    assert reached.mean() > 0.7
    u_0 = AGING.conduction.u_0
    assert (np.abs(cells.conductance(u_0) - 8e-5)[reached] < 2.5e-6).all()
    disturbed = bar.write(rows=[0], columns=[0], voltage=0.3).switched
    assert not disturbed.any()
