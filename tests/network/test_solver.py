"""The iterative solver against sparse direct solutions, and its independence of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import diags_array
from scipy.sparse.linalg import spsolve

import synfab as sf
from synfab.network import conjugate, solver
from synfab.network.bias import make_bias
from synfab.network.direct import matrix
from synfab.network.network import Cells
from synfab.network.wires import make_wires

CONDUCTION = sf.load_model().conduction


def direct(wires, v, w, current, slope):
    """Column and row voltages by Newton's method with a sparse direct solver (SuperLU)."""
    shape, half = wires.shape, wires.top.size * wires.left.size
    K = matrix(wires, np.zeros(shape))
    drive = np.zeros((2, *shape))
    drive[0, 0] += wires.top * v
    drive[0, -1] += wires.bottom * v
    drive[1, :, 0] += wires.left * w
    drive[1, :, -1] += wires.right * w
    x = spsolve(K + matrix_of_cells(slope(np.zeros(shape))), drive.ravel())
    for _ in range(60):
        u = (x[:half] - x[half:]).reshape(shape)
        flow = np.concatenate([current(u).ravel(), -current(u).ravel()])
        step = spsolve(K + matrix_of_cells(slope(u)), drive.ravel() - K @ x - flow)
        x = x + step
        if np.abs(step).max() < 1e-14:
            break
    return x[:half].reshape(shape), x[half:].reshape(shape)


def matrix_of_cells(g):
    flat, half = g.ravel(), g.size
    return diags_array([np.tile(flat, 2), -flat, -flat], offsets=[0, half, -half], format="csc")


SHAPES = [(1, 1), (1, 40), (40, 1), (7, 5), (31, 33), (32, 32), (33, 65)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ohm", [1e-3, 0.1, 2.5, 50.0, 1e3])
def test_ohmic_networks_equal_a_sparse_direct_solution(shape, ohm):
    generator = np.random.default_rng(7)
    g = 10.0 ** generator.uniform(-7.0, -3.0, shape)
    g[generator.random(shape) < 0.1] = 0.0  # broken cells
    v, w = generator.uniform(-1.0, 1.0, shape[1]), generator.uniform(-0.5, 0.5, shape[0])
    wires = make_wires(shape, (ohm, 3.0 * ohm), 10.0)
    columns, rows = direct(wires, v, w, lambda u: g * u, lambda u: g)
    found = solver.solve_lines(wires, Cells(g, None), make_bias(shape, v, w))
    np.testing.assert_allclose(found.column_voltage, columns, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(found.row_voltage, rows, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(
        found.cell_current, g * (columns - rows), rtol=0.0, atol=1e-9 * np.abs(g).max()
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ohm", [1e-3, 0.1, 2.5, 50.0, 1e3])
def test_nonlinear_networks_equal_newton_with_a_sparse_direct_solver(shape, ohm):
    generator = np.random.default_rng(8)
    r = generator.uniform(0.0, 0.9, shape)
    v = generator.uniform(-0.9, 0.9, shape[1])
    wires = make_wires(shape, (2.0 * ohm, ohm), 0.0, 30.0, drive="both", sense="right")
    w = np.zeros(shape[0])
    columns, rows = direct(
        wires, v, w, lambda u: CONDUCTION.current(r, u), lambda u: CONDUCTION.slope(r, u)
    )
    found = solver.solve_lines(wires, Cells(r, CONDUCTION), make_bias(shape, v))
    np.testing.assert_allclose(found.column_voltage, columns, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(found.row_voltage, rows, rtol=0.0, atol=1e-9)
    assert not found.direct


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(-3.0, 3.0),
    st.floats(-3.0, 3.0),
    st.integers(0, 10_000),
)
def test_random_networks_with_floating_lines_equal_a_sparse_direct_solution(
    rows, columns, row_power, column_power, seed
):
    generator = np.random.default_rng(seed)
    g = 10.0 ** generator.uniform(-6.0, -3.0, (rows, columns))
    v, w = generator.uniform(-1.0, 1.0, columns), generator.uniform(-1.0, 1.0, rows)
    float_columns, float_rows = generator.random(columns) < 0.3, generator.random(rows) < 0.3
    float_columns[0] = False
    wires = make_wires((rows, columns), (10.0**row_power, 10.0**column_power)).floating(
        float_rows, float_columns
    )
    exact, _ = direct(wires, v, w, lambda u: g * u, lambda u: g)
    found = solver.solve_lines(wires, Cells(g, None), make_bias((rows, columns), v, w))
    np.testing.assert_allclose(found.column_voltage, exact, rtol=0.0, atol=1e-7)


def test_a_step_in_double_precision_gives_the_same_solution(monkeypatch):
    """Where single precision fails, double precision takes over."""
    wires = make_wires((50, 70), 2.5)
    r = np.random.default_rng(1).uniform(0.0, 0.9, (50, 70))
    bias = make_bias((50, 70), np.linspace(-0.5, 0.9, 70))
    single = solver.solve_lines(wires, Cells(r, CONDUCTION), bias)
    solve = conjugate.Linearised.solve
    used = []

    def fails(self, *arguments):
        used.append(self.dtype)
        return -1 if self.dtype is np.float32 else solve(self, *arguments)

    monkeypatch.setattr(conjugate.Linearised, "solve", fails)
    double = solver.solve_lines(wires, Cells(r, CONDUCTION), bias)
    assert set(used[1:]) == {np.float64}
    assert not double.direct
    np.testing.assert_allclose(double.column_voltage, single.column_voltage, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("linear", [True, False])
def test_no_bit_depends_on_the_number_of_threads(monkeypatch, linear):
    monkeypatch.setattr(conjugate, "SHARED", 0)
    cells = sf.CellArray("published", (150, 170), seed=2).apply_voltage(-2.0)
    cells.apply_voltage(np.random.default_rng(1).uniform(0.6, 1.5, (150, 170)))
    bar, v = sf.Crossbar(cells, 2.5), np.linspace(0.0, 0.3, 170)
    solutions = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("SYNFAB_NUM_THREADS", threads)
        solutions.append(bar.solve(v, linear=linear))
    for other in solutions[1:]:
        for name in ("column_voltage", "row_voltage", "cell_current", "currents"):
            np.testing.assert_array_equal(getattr(other, name), getattr(solutions[0], name))


def test_networks_of_one_thread_and_of_several_agree(monkeypatch):
    cells = sf.CellArray("published", (90, 60), seed=2).apply_voltage(-2.0)
    bar, v = sf.Crossbar(cells, 2.5), np.linspace(0.0, 0.9, 60)
    alone = bar.solve(v)
    monkeypatch.setattr(conjugate, "SHARED", 0)
    shared = bar.solve(v)
    assert shared.iterations == alone.iterations
    np.testing.assert_allclose(shared.column_voltage, alone.column_voltage, rtol=0.0, atol=1e-13)


def test_a_residual_that_is_not_a_number_is_never_accepted():
    wires = make_wires((4, 4), 2.5)
    network = solver.Network(wires)
    network.x[1, 2] = np.nan
    with pytest.raises(sf.SynfabError):
        network.solve(Cells(np.full((4, 4), 1e-5), None), make_bias((4, 4), np.ones(4)))
