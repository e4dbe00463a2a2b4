"""Loops begin anywhere in the cycle, with either polarity, in one piece or in many."""

import loop_generator
import numpy as np
import pandas as pd
import pytest

import synfab as sf
from synfab import learn
from synfab.learn.preparation import half_waves, loop_count

CYCLES = 20


@pytest.fixture(scope="module")
def made():
    return loop_generator.made_loops(cycles=CYCLES, low=-1.2, high=1.2, u_set=-0.8, u_reset=0.8,
                                     residue=0.4, offset=1e-7)  # fmt: skip


@pytest.fixture(scope="module")
def reference(made):
    return learn.extract_features(learn.sweeps_from_arrays(made.voltage, made.current))


@pytest.mark.parametrize("kind", ["cycle column", "record", "files"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("corner", range(4))
def test_a_loop_has_the_same_features_however_it_was_recorded(
    made, reference, tmp_path, corner, sign, kind
):
    start = loop_generator.starts_of(made.voltage[0])[corner]
    source = loop_generator.recorded(made, start, sign, kind, tmp_path / "loops")
    found = learn.extract_features(learn.read_sweeps(source))
    assert found.notes["set_at_positive_voltage"] == (sign < 0)
    lost = CYCLES - len(found)
    assert lost <= (2 if start else 0)
    first = next(k for k in range(3) if abs(reference.values[k, 1] - found.values[0, 1]) < 1e-9)
    expected = reference.values[first : first + len(found)]
    # What a neighbour loop adds to the fit of the HRS is missing in the loops at the ends.
    np.testing.assert_allclose(found.values, expected, rtol=0.01)
    np.testing.assert_allclose(found.values[1:-1], expected[1:-1], rtol=3e-3)


def test_a_single_loop_begins_anywhere(made):
    """A ring: the one SET and the one RESET of the loop, whichever comes first."""
    v, i = made.voltage[3], made.current[3]
    whole = learn.extract_features(learn.sweeps_from_arrays(v[None], i[None]), conduction=None)
    for start in range(0, len(v), 7):
        turned = [np.roll(x, -start)[None] for x in (v, i)]
        found = learn.extract_features(learn.sweeps_from_arrays(*turned), conduction=None)
        np.testing.assert_allclose(found.values[:, [1, 3]], whole.values[:, [1, 3]], atol=1e-9)
        np.testing.assert_allclose(found.values, whole.values, rtol=0.02)


def test_loops_with_gaps_between_them_are_not_joined(made):
    """Every tenth loop was recorded, from the extreme of the SET on."""
    start = loop_generator.starts_of(made.voltage[0])[1]
    frame = loop_generator.recorded(made, start, 1, "cycle column", None)
    frame["cycle"] *= 10
    found = learn.extract_features(learn.read_sweeps(frame), conduction=None)
    assert len(found) == CYCLES - 1
    assert found.notes["cycles_between_readouts"] == 10


def test_a_dead_device_does_not_decide_about_the_polarity(made):
    """A short looks the same from both sides; it has the polarity of the devices that switch."""
    noise = np.random.default_rng(1).normal(size=made.voltage.shape)
    short = 1e-3 * made.voltage * (1 + 1e-3 * noise)
    for order in ((0, 1), (1, 0)):
        current = np.stack([-made.current, short])[list(order)]
        voltage = np.stack([-made.voltage, made.voltage])[list(order)]
        found = learn.extract_features(learn.sweeps_from_arrays(voltage, current))
        assert found.notes["set_at_positive_voltage"]
        assert len(found) == CYCLES
        assert CYCLES - 1 <= sum(found.rejected.values()) <= CYCLES


def test_reads_between_the_half_waves_are_not_half_waves(made):
    v = made.voltage[0]
    reads = np.tile([0.0, 0.1, 0.1, 0.0], 5)
    record = np.concatenate([v, reads, v, reads, v])
    assert loop_count(record) == 3
    assert half_waves(record)[0].tolist() == [-1, 1] * 3


def test_a_table_with_set_at_positive_voltage_is_mirrored(reference):
    frame = reference.to_pandas()
    frame[["u_set", "u_reset"]] *= -1
    found = learn.read_features(frame)
    np.testing.assert_array_equal(found.values, reference.values)
    assert found.notes["set_at_positive_voltage"]


def test_a_table_with_voltages_of_one_sign_is_refused():
    frame = pd.DataFrame({"r_hrs": [1e5] * 9, "r_lrs": [1e4] * 9, "u_set": 0.7, "u_reset": 0.9})
    with pytest.raises(sf.InvalidValueError, match="expected u_set < 0 < u_reset, or u_set > 0"):
        learn.read_features(frame)
