"""Features of loops are what the eye sees: SET and RESET by what happens, whatever the limit."""

import loop_generator
import numpy as np
import pytest

from synfab import learn


def extracted(made, **options):
    return learn.extract_features(learn.sweeps_from_arrays(made.voltage, made.current), **options)


@pytest.mark.parametrize("limit", [1e-3, 5.5e-4, 4e-4, 2e-4, 1e-4, 7e-5, 6e-5, 5e-5, 2e-5, 5e-6])
def test_a_current_limit_changes_no_feature(limit):
    """LRS 4.2 kohm, SET at -1.8 V, RESET at +1.5 V behind limits above and below the LRS."""
    made = loop_generator.made_loops(cycles=12, limit=limit)
    found = extracted(made)
    assert len(found) == 12
    error = found.values - made.true
    assert np.abs(error[:, [1, 3]]).max() <= 0.025
    assert np.abs(error[:, 2] / made.true[:, 2]).max() <= 0.01
    assert np.abs(np.median(error[:, 0] / made.true[:, 0])) <= 0.01
    if limit < 5e-4:
        assert found.notes["compliance_A"] == pytest.approx(limit, rel=0.01)
    else:
        assert limit < 1e-3 or "compliance_A" not in found.notes


def test_a_saturating_transistor_is_not_a_current_limit():
    """The LRS of a 1T1R cell bends without a corner, which is part of the I-V curve."""
    made = loop_generator.made_loops(cycles=12, low=-1.5, high=1.5, u_set=-0.7, u_reset=0.8,
                                     shape=lambda u: 0.8 * np.tanh(u / 0.8))  # fmt: skip
    found = extracted(made)
    assert "compliance_A" not in found.notes
    assert np.abs(found.values - made.true)[:, [1, 3]].max() <= 0.025


@pytest.mark.parametrize("limit", [np.inf, 1e-4])
def test_a_set_in_steps_is_where_half_of_the_change_has_happened(limit):
    made = loop_generator.made_loops(cycles=12, rise=5, limit=limit)
    found = extracted(made)
    assert len(found) == 12
    # Five steps over a tenth of the voltage: the third reaches half of the LRS; a limit of a
    # quarter of the LRS's current is reached in the second.
    middle = 0.01 if limit == np.inf else -0.02
    expected = made.true[:, 1] * (1 + middle - 0.02)
    assert np.abs(found.values[:, 1] - expected).max() <= 0.06


@pytest.mark.parametrize("seed", range(40))
def test_any_technology_instrument_and_recording(seed, tmp_path):
    """Voltages within a step (of a SET in several steps: a tenth), resistances within a few %."""
    made, options, (corner, sign, kind) = loop_generator.any_loops(seed)
    start = loop_generator.starts_of(made.voltage[0])[corner]
    source = loop_generator.recorded(made, start, sign, kind, tmp_path / "loops")
    found = learn.extract_features(learn.read_sweeps(source))
    # The current of the HRS in units of the noise; less than a few is no measurement of it.
    resolved = options["high"] / options["r_hrs"] / max(options["noise"], options["digit"] / 3)
    unresolved = found.rejected.get("no resistance near 0 V", 0) if resolved < 5 else 0
    assert options["cycles"] - len(found) - unresolved <= (2 if corner else 0), found.rejected
    true = made.true[found.cycle + (corner > 0)]
    step = options["step"]
    slow = 0.1 * abs(options["u_set"]) * (options["rise"] > 1)
    error = np.abs(found.values - true)
    assert np.median(error[:, 1]) <= 1.01 * step + slow
    assert np.median(error[:, 3]) <= 1.01 * step
    assert np.median(error[:, 2] / true[:, 2]) <= 0.02
    assert resolved < 5 or np.median(error[:, 0] / true[:, 0]) <= 0.05 + 2.0 / resolved


def test_the_read_voltage_follows_the_switching_voltages():
    """0.2 V, unless the devices switch near it; features scale with the voltages."""
    usual = loop_generator.made_loops(cycles=12, low=-1.2, high=1.2, u_set=-0.7, u_reset=0.7)
    small = loop_generator.made_loops(cycles=12, low=-0.18, high=0.18, u_set=-0.105, u_reset=0.105,
                                      step=0.00375)  # fmt: skip
    found, scaled = extracted(usual), extracted(small)
    assert found.notes["u_0"] == 0.2
    assert scaled.notes["u_0"] == pytest.approx(0.03)
    assert "slopes_only" not in scaled.notes
    assert len(scaled) == 12
    factors = scaled.values / found.values
    np.testing.assert_allclose(np.median(factors, axis=0), [1, 0.15, 1, 0.15], rtol=0.02)
    assert extracted(small, u_0=0.05).notes["u_0"] == 0.05
