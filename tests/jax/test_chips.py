"""Chips of any shape are the cells of an array with the same arguments."""

import numpy as np
import pytest

import synfab as sf

jax = pytest.importorskip("jax")
pytest.importorskip("equinox")

SHAPE, SEED, FIRST = (6, 20), 5, 2**33 + 5
ROWS = np.array([[True], [False]] * 3)


@pytest.fixture(scope="module")
def model():
    return sf.load_model()


@pytest.fixture
def cells(model):
    return sf.CellArray(model, SHAPE, seed=SEED, order=2, first_cell=FIRST)


@pytest.fixture(scope="module")
def chip(model):
    return sf.jax.fabricate(model, SHAPE, seed=SEED, order=2, first_cell=FIRST)


def test_cells_have_the_shape_and_the_numbers_of_an_array(chip, cells):
    assert chip.shape == SHAPE
    assert chip.cells.block.shape[-2:] == SHAPE
    np.testing.assert_allclose(chip.cells.r, cells.r, atol=1e-6)


def test_only_selected_cells_are_pulsed(model, chip, cells):
    u = np.where(ROWS, -2.0, np.nan)  # values of other cells are ignored
    pulsed = sf.jax.apply_voltage(model, chip, u, where=ROWS)
    cells.apply_voltage(np.broadcast_to(u, SHAPE), where=ROWS)
    np.testing.assert_allclose(pulsed.cells.r, cells.r, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(pulsed.cells.in_lrs), np.broadcast_to(ROWS, SHAPE))
    np.testing.assert_array_equal(pulsed.cells.block[:, :, 1], chip.cells.block[:, :, 1])


def test_a_mask_may_be_traced(model, chip):
    pulse = jax.jit(lambda mask: sf.jax.apply_voltage(model, chip, -2.0, where=mask).cells.in_lrs)
    np.testing.assert_array_equal(pulse(ROWS), np.broadcast_to(ROWS, SHAPE))


def test_reads_continue_the_numbers_of_the_chip(model, chip, cells):
    found = [sf.jax.read(model, sf.jax.advance(chip, reads=k)) for k in range(2)]
    for current in found:
        np.testing.assert_allclose(current, cells.read(), rtol=3e-5)


def test_read_numbers_wrap_around(chip):
    last = sf.jax.advance(sf.jax.advance(chip, reads=2**32 - 1), reads=2)
    assert int(last.read_number) == 1
    assert int(last.readout_number) == 0


def test_a_matrix_vector_product_is_that_of_an_array(model, chip, cells):
    v = np.linspace(-0.2, 0.2, 60).reshape(20, 3)
    for options in ({"noise": False}, {"number": 7}):
        expected = cells.matvec(v, **options)
        found = sf.jax.matvec(model, chip, v, **options)
        # float32: currents of cells in the HRS are small differences of those in the LRS.
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert sf.jax.matvec(model, chip, v[:, 0]).shape == (6,)


def test_conductances_are_set_as_in_an_array(model, chip, cells):
    g = np.linspace(1e-5, 1.5e-4, 120).reshape(SHAPE)
    placed = sf.jax.set_conductance(model, chip, g, where=ROWS)
    cells.set_conductance(g, where=ROWS)
    selected = np.broadcast_to(ROWS, SHAPE)
    np.testing.assert_array_equal(np.asarray(placed.cells.r)[selected], cells.r[selected])
    # A pulse acts on the thresholds and the steepness that were set.
    placed = sf.jax.apply_voltage(model, placed, 1.0)
    np.testing.assert_allclose(placed.cells.r, cells.apply_voltage(1.0).r, atol=2e-5)


def test_conductances_may_be_traced(model, chip):
    g = np.full(SHAPE, 5e-5, np.float32)
    placed = jax.jit(lambda g: sf.jax.set_conductance(model, chip, g).cells.r)(g)
    expected = sf.jax.set_conductance(model, chip, g).cells.r
    np.testing.assert_allclose(placed, expected, atol=1e-6)


def test_bad_arguments_are_refused_before_anything_is_compiled(model, chip):
    bad = jax.numpy.ones(3)
    for call, match in (
        (lambda: sf.jax.apply_voltage(model, chip, np.full(7, -2.0)), r"^u: shape \(7,\)"),
        (lambda: sf.jax.apply_voltage(model, chip, -2.0, where=bad), r"^where: expected bool"),
        (lambda: sf.jax.set_conductance(model, chip, 1.0), r"^g: expected"),
        (lambda: sf.jax.matvec(model, chip, np.ones(3)), r"^v: expected shape \(20,\)"),
        (lambda: sf.jax.fabricate(model, 3, seed=1, first_cell=-1), r"^first_cell: "),
    ):
        with pytest.raises(sf.SynfabError, match=match):
            call()


def test_a_size_is_now_a_shape(model):
    with pytest.warns(DeprecationWarning, match="size is now shape"):
        made = sf.jax.fabricate(model, size=3, seed=1, order=2)
    assert made.shape == (3,)


def test_the_gradient_through_pulses_is_the_slope_of_the_conductance(model):
    chip = sf.jax.apply_voltage(model, sf.jax.fabricate(model, 120, seed=1, order=2), -2.0)

    def conductance(u):
        pulsed = sf.jax.apply_voltage(model, chip, u)
        return sf.jax.current(model, pulsed, 0.2).mean() / 0.2 * 1e6  # uS

    value = jax.jit(jax.value_and_grad(conductance))
    (low, _), (_, slope), (high, _) = (value(u) for u in (0.799, 0.8, 0.801))
    # Cells that begin their RESET between the voltages are not part of the derivative.
    assert float(slope) == pytest.approx(float(high - low) / 0.002, rel=0.05)
    assert float(slope) < 0.0
