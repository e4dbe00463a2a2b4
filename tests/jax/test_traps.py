"""Chips of JAX that change with time are the cells of an array."""

import numpy as np
import pytest

import synfab as sf

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.slow

MODEL = sf.load_model("published").replace(
    name="with traps",
    traps=sf.model.Traps(
        np.geomspace(1e-3, 1e9, 6), 0.5, [0.0, 1e-4], [3e-6, 9e-6], initial_occupancy=0.3
    ),
)
SIZE, SEED = 300, 7
U = np.linspace(-2.0, 1.2, SIZE)


def lived(chip):
    """A chip of which some cells switch, and some of them again after a time."""
    chip = sf.jax.apply_voltage(MODEL, chip, np.full(SIZE, -2.0))
    chip = sf.jax.apply_voltage(MODEL, chip, np.abs(U))
    chip = sf.jax.wait(MODEL, chip, 60.0, number=0)
    chip = sf.jax.apply_voltage(MODEL, chip, U)
    return sf.jax.wait(MODEL, chip, 1e6, 350.0, number=1)


@pytest.fixture(scope="module")
def cells():
    made = sf.CellArray(MODEL, SIZE, seed=SEED, engine="array", arrays="jax", order=2)
    made.apply_voltage(-2.0).apply_voltage(np.abs(U)).wait(60.0)
    return made.apply_voltage(U).wait(1e6, 350.0)


def fabricate():
    return sf.jax.fabricate(MODEL, SIZE, seed=SEED, order=2)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_chip_ages_as_an_array(cells, compiled):
    made = (jax.jit(lived) if compiled else lived)(fabricate())
    state = cells.traps.state
    np.testing.assert_array_equal(made.traps.occupied, state.occupied)
    np.testing.assert_array_equal(made.traps.initial, state.initial)
    np.testing.assert_allclose(made.seen, np.asarray(cells.r), rtol=0.0, atol=2e-6)
    assert np.abs(np.asarray(made.seen) - np.asarray(made.cells.r)).max() > 1e-3
    current = sf.jax.current(MODEL, made, 0.2)
    np.testing.assert_allclose(current, np.asarray(cells.current(0.2)), rtol=1e-4)
    noisy = sf.jax.read(MODEL, made, 0.2, number=3)
    wanted = np.asarray(cells.read(0.2, number=3))
    np.testing.assert_allclose(noisy, wanted, rtol=1e-4)


def test_time_and_temperature_may_be_traced():
    chip = sf.jax.apply_voltage(MODEL, fabricate(), np.full(SIZE, -2.0))
    wait = jax.jit(lambda t, k, n: sf.jax.wait(MODEL, chip, t, k, number=n).seen)
    for seconds, kelvin in ((0.0, 300.0), (1.0, 300.0), (1e7, 360.0)):
        plain = sf.jax.wait(MODEL, chip, seconds, kelvin, number=np.uint32(2)).seen
        traced = wait(np.float32(seconds), np.float32(kelvin), np.uint32(2))
        # A time rounded to float32 may move a trap whose random number is just at its limit.
        assert np.mean(np.abs(np.asarray(traced) - np.asarray(plain)) > 2e-6) < 0.02
    assert (np.asarray(wait(0.0, 300.0, np.uint32(0))) == np.asarray(chip.cells.r)).all()


def test_a_switching_cell_is_seen_as_programmed():
    chip = lived(fabricate())
    chip = sf.jax.apply_voltage(MODEL, chip, np.full(SIZE, -3.0))
    switched = np.asarray(chip.cells.in_lrs)
    assert switched.mean() > 0.9
    np.testing.assert_array_equal(
        np.asarray(chip.seen)[switched & np.isnan(chip.traps.known)],
        np.asarray(chip.cells.r)[switched & np.isnan(chip.traps.known)],
    )


def test_chips_without_traps_and_wrong_times_are_refused():
    published = sf.load_model("published")
    plain = sf.jax.fabricate(published, 3, seed=1, order=1)
    with pytest.raises(sf.InvalidValueError, match=r"'published' has no traps"):
        sf.jax.wait(published, plain, 1.0, number=0)
    with pytest.raises(sf.InvalidValueError, match=r"^chip: traps: "):
        sf.jax.current(MODEL, plain, 0.2)
    for options in ({"seconds": -1.0}, {"seconds": 1.0, "temperature": 0.0}):
        with pytest.raises(sf.InvalidValueError, match=r"^(seconds|temperature): "):
            sf.jax.wait(MODEL, fabricate(), number=0, **options)
