"""Kernels of the crossbar solver against NumPy, for widths that do and do not fill a vector."""

import numpy as np
import pytest
from numba.core.errors import TypingError

import synfab as sf
from synfab.network import kernels
from synfab.network.bias import make_bias
from synfab.network.network import Cells, evaluate
from synfab.network.solver import Network, solve_lines
from synfab.network.vectors import load_part
from synfab.network.wires import make_wires

CONDUCTION = sf.load_model().conduction
WIDTHS = [1, 2, 7, 8, 9, 16, 33]


def currents(r, u, conduction=CONDUCTION):
    """Currents and slopes of cells at voltages ``u``."""
    nodes = (u, np.zeros(u.shape), np.zeros(u.shape[1]), np.zeros(len(u)))
    g, current = np.full(u.shape, np.inf), np.full(u.shape, np.inf)
    evaluate(Cells(r, conduction), nodes, None, g, current, 0, len(u))
    return current, g


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("reach", [1.0, 4.0])
def test_currents_follow_the_curves_inside_and_outside_their_range(width, reach):
    generator = np.random.default_rng(width)
    r = generator.uniform(0.0, 1.0, (5, width))
    u = generator.uniform(-reach, reach, (5, width))
    u[0, 0], u[1, -1], u[2, 0] = 0.0, CONDUCTION.voltage_range[0], CONDUCTION.voltage_range[1]
    current, slope = currents(r, u)
    np.testing.assert_allclose(current, CONDUCTION.current(r, u), rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(slope, CONDUCTION.slope(r, u), rtol=1e-12, atol=1e-20)


@pytest.mark.parametrize("width", WIDTHS)
def test_currents_of_ohmic_cells_are_those_of_ohms_law(width):
    generator = np.random.default_rng(width)
    g, u = generator.uniform(0.0, 1e-3, (3, width)), generator.normal(size=(3, width))
    current, slope = currents(g, u, None)
    np.testing.assert_array_equal(slope, g)
    np.testing.assert_allclose(current, g * u, rtol=1e-15)


def random_network(rows, columns):
    """A network at random voltages, and its residuals by NumPy."""
    generator = np.random.default_rng(columns)
    wires = make_wires((rows, columns), (2.0, 3.0), 5.0, 7.0, drive="both", sense="both")
    network = Network(wires)
    network.x[:], network.b[:] = generator.normal(size=(2, rows, columns))
    network.cells = Cells(generator.uniform(0.1, 1.0, (rows, columns)), None)
    network.v, network.w = generator.normal(size=columns), generator.normal(size=rows)
    current = network.cells.values * (network.v - network.w[:, None] + network.x - network.b)
    x, b = np.pad(network.x, ((1, 1), (0, 0))), np.pad(network.b, ((0, 0), (1, 1)))
    along_columns = np.vstack([wires.top, wires.column, wires.bottom]) * np.diff(x, axis=0)
    along_rows = np.column_stack([wires.left, wires.row, wires.right]) * np.diff(b, axis=1)
    return network, np.diff(along_columns, axis=0) - current, np.diff(along_rows, axis=1) + current


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rows", [1, 2, 11])
def test_residuals_are_those_of_kirchhoffs_law(rows, width):
    network, f_column, f_row = random_network(rows, width)
    network.measure()
    np.testing.assert_allclose(network.f_column, f_column, rtol=0.0, atol=1e-14)
    np.testing.assert_allclose(network.f_row, f_row, rtol=0.0, atol=1e-14)
    worst = max(np.abs(f_column).max(), np.abs(f_row).max())
    assert network.worst == pytest.approx(worst, rel=1e-12)
    assert network.highest == max(np.abs(network.x).max(), np.abs(network.b).max())


@pytest.mark.parametrize("node", [(0, 0), (3, 4), (10, 20)])
def test_a_voltage_that_is_not_a_number_makes_the_residual_not_a_number(node):
    network, _, _ = random_network(11, 21)
    network.x[node] = np.nan
    network.measure()
    assert np.isnan(network.worst)


def test_cells_in_any_order_of_memory_have_the_same_solution():
    r = np.random.default_rng(0).uniform(0.0, 1.0, (9, 20))
    wires, bias = make_wires(r.shape, 2.5), make_bias(r.shape, 0.3)
    expected = solve_lines(wires, Cells(r, CONDUCTION), bias).currents
    for other in (np.asfortranarray(r), np.repeat(r, 2, axis=1)[:, ::2]):
        found = solve_lines(wires, Cells(other, CONDUCTION), bias).currents
        np.testing.assert_array_equal(found, expected)


def test_vectors_of_an_array_with_gaps_are_refused():
    from numba import njit

    @njit
    def first(array):
        load_part(array, 0, 1, 0.0, 8)

    with pytest.raises(TypingError, match="expected a C-contiguous array"):
        first(np.zeros((4, 4))[:, ::2])


def test_the_larger_voltage_of_a_cell_is_kept_with_its_sign():
    extreme = np.array([[0.5, -0.5, 0.0, 0.2]])
    kernels.keep_larger(np.array([[-0.6, 0.4, -0.1, -0.2]]), extreme)
    np.testing.assert_array_equal(extreme, [[-0.6, -0.5, -0.1, 0.2]])
