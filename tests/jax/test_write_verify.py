"""Write-verify in a compiled loop programs the cells as write-verify of arrays does."""

import numpy as np
import pytest

import synfab as sf
from synfab.programming import kernels
from synfab.programming.controller import LEARNED
from synfab.programming.controller import Controllers as Rule
from synfab.programming.pulser import DirectPulser
from synfab.programming.write_verify import WriteVerify

jax = pytest.importorskip("jax")
pytest.importorskip("equinox")

SHAPE, SEED = (4, 30), 7
TARGETS = np.linspace(1e-5, 1.3e-4, 120).reshape(SHAPE)
TARGETS[2, 3] = np.nan


@pytest.fixture(scope="module")
def model():
    return sf.load_model()


@pytest.fixture(scope="module")
def programmed(model):
    chip = sf.jax.fabricate(model, SHAPE, seed=SEED, order=2)
    write = jax.jit(lambda chip, targets: sf.jax.write_verify(model, chip, targets))
    return write(chip, np.float32(TARGETS))


@pytest.fixture(scope="module")
def reference(model):
    cells = sf.CellArray(model, SHAPE, seed=SEED, order=2)
    return cells, WriteVerify(DirectPulser(cells), TARGETS).erase().run()


def test_cells_reach_the_same_conductances_with_the_same_pulses(programmed, reference):
    (chip, result), (cells, expected) = programmed, reference
    # A float32 rounding may change one decision of a controller: at most one cell of 120.
    same = np.asarray(result.pulses) == expected.pulses
    assert same.sum() >= 119
    outcome = np.asarray(result.outcome)
    np.testing.assert_array_equal(outcome[same], expected.outcome[same])
    np.testing.assert_allclose(np.asarray(chip.cells.r)[same], cells.r[same], atol=2e-5)
    achieved, energy = np.asarray(result.achieved)[same], np.asarray(result.energy)[same]
    np.testing.assert_allclose(achieved, expected.achieved[same], atol=5e-9)
    np.testing.assert_allclose(energy, expected.energy[same], rtol=1e-3)


def test_reads_and_passes_are_counted(programmed, reference):
    (chip, result), (cells, expected) = programmed, reference
    assert int(result.passes) == len(expected.pending) - 1
    assert int(chip.read_number) == cells.read_number


def test_a_cell_without_a_target_is_left_alone(model, programmed):
    chip, result = programmed
    fresh = sf.jax.fabricate(model, SHAPE, seed=SEED, order=2)
    assert int(result.pulses[2, 3]) == 0
    assert int(result.outcome[2, 3]) == sf.crossbar.Outcome.LEFT_ALONE
    assert float(chip.cells.r[2, 3]) == float(fresh.cells.r[2, 3])


def test_the_controller_is_that_of_the_kernel_bit_for_bit(model):
    from synfab.jax import controller

    generator = np.random.default_rng(0)
    targets = generator.uniform(1e-5, 1e-4, 4000)
    targets[::50] = np.nan
    rule = Rule(model, targets, 1e-6, 3)
    size = targets.size
    rule.last = generator.integers(0, 4, size).astype(np.int8)
    rule.amplitude = generator.choice([0.5, 0.9, rule.limit], size)
    rule.step = generator.choice([0.0, 0.01], size)
    rule.before = targets + generator.normal(0.0, 5e-6, size)
    rule.top = rule.before + generator.choice([0.0, 1e-5], size)
    for name in ("attempts", "above_lrs", "below_hrs"):
        setattr(rule, name, generator.integers(0, 4, size))
    rule.given_up, rule.settled = (generator.random((2, size)) < 0.1).astype(np.bool_)
    rule.step[rule.given_up | rule.settled] = 0.0  # as both leave it
    g = targets + generator.normal(0.0, 2e-6, size)
    with jax.enable_x64(True):
        levels = controller.Levels.of(model, rule.within, rule.retries)
        known = controller.Controllers(
            **{
                name: jax.numpy.asarray(getattr(rule, name))
                for name in controller.Controllers._fields
            }
        )
        voltage, after = controller.next_voltages(levels, jax.numpy.asarray(targets), known, g)
        fired = controller.fired(levels, after, voltage)
    expected = rule.next_voltages(g)
    np.testing.assert_array_equal(voltage, expected)
    rule.fired(expected)
    # The kernel skips inactive cells, whose reads nothing uses.
    compared = {name: np.isfinite(expected if name in ("before", "top") else targets)
                for name in LEARNED}  # fmt: skip
    for name, cells in compared.items():
        ours, theirs = (np.asarray(getattr(one, name))[cells] for one in (fired, rule))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert kernels.STAIR in rule.last


def test_wrong_options_are_named(model):
    chip = sf.jax.fabricate(model, SHAPE, seed=SEED, order=2)
    for options, match in (
        ({"targets": -1.0}, r"^targets: "),
        ({"targets": np.ones(7)}, r"^targets: shape"),
        ({"targets": 5e-5, "tolerance": 0.0}, r"^tolerance: "),
        ({"targets": 5e-5, "retries": -1}, r"^retries: "),
    ):
        with pytest.raises(sf.SynfabError, match=match):
            sf.jax.write_verify(model, chip, **options)
