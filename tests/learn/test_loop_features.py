"""Features of loops are what the eye sees: SET and RESET by what happens, whatever the limit."""

import loop_generator
import numpy as np
import pytest

import synfab as sf
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
    unresolved = found.rejected.get("resistance within the noise", 0) if resolved < 5 else 0
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


def diode(u):
    """I(-4 V) / I(-0.5 V) = 10,278; I(-4 V) / I(4 V) = 81; 1 at -1 V."""
    return (np.exp(1.5 * u) - np.exp(-2.6 * u)) / 13.24


@pytest.mark.parametrize("forward", [-1, 1])
def test_strongly_nonlinear_and_rectifying_cells_have_curves(forward):
    """Conducting mostly in the half of the SET, or of the RESET; curves within 5 % of the current.

    Resistances are those at the read voltage; passive and increasing whatever the state.
    """

    def shape(u):
        return -forward * diode(-forward * u)

    made = loop_generator.made_loops(cycles=16, low=-4.5, high=4.5, u_set=-3.6, u_reset=3.4,
                                     step=0.05, r_lrs=1e6, r_hrs=5e7, shape=shape, residue=0.6,
                                     noise=1e-11, relative_noise=0.01)  # fmt: skip
    sweeps = learn.sweeps_from_arrays(made.voltage, made.current)
    found = learn.extract_features(sweeps, u_0=1.0)
    assert len(found) == 16
    true = made.true.copy()
    true[:, [0, 2]] /= shape(1.0)
    error = np.abs(found.values - true)
    assert error[:, [1, 3]].max() <= 0.1
    assert np.median(error[:, 2] / true[:, 2]) <= 0.05
    assert np.median(error[:, 0] / true[:, 0]) <= 0.15
    curves = learn.fit_conduction(sweeps, u_0=1.0).conduction
    u = np.concatenate([np.linspace(-4.0, -0.3, 50), np.linspace(0.3, 3.0, 50)])
    typical = curves.current(curves.state(shape(1.0) / 1e6), u)
    np.testing.assert_allclose(typical, shape(u) / 1e6, rtol=0.05)
    inside = np.linspace(*curves.voltage_range, 1001)
    for state in np.linspace(0.0, 1.0, 11):
        assert (np.diff(curves.current(state, inside)) >= 0.0).all()


def test_the_curves_of_nonlinear_cells_survive_float32(tmp_path):
    """What an engine reads from cells, in float32, is the current of the fitted curves."""
    made = loop_generator.made_loops(cycles=16, low=-4.5, high=4.5, u_set=-3.6, u_reset=3.4,
                                     step=0.05, r_lrs=1e6, r_hrs=5e7, shape=diode, residue=0.6,
                                     noise=1e-11, relative_noise=0.01)  # fmt: skip
    sweeps = learn.sweeps_from_arrays(made.voltage, made.current)
    result = learn.fit(learn.extract_features(sweeps), sweeps, order=1)
    sf.save_model(result.model, tmp_path / "diode.json")
    cells = sf.CellArray(str(tmp_path / "diode.json"), 64, seed=1)
    cells.apply_voltage(-4.4, where=np.arange(64) % 2 == 0)
    curves = result.model.conduction
    for u in (-3.0, -0.5, 0.5, 3.0):
        exact = curves.current(np.asarray(cells.r, np.float64), u)
        np.testing.assert_allclose(cells.read(u, noise=False), exact, rtol=5e-3)


@pytest.mark.parametrize("residue", [0.0, 0.9])
def test_the_definition_of_u_reset_is_the_one_that_reproduces_the_loops(residue):
    """An abrupt RESET has one voltage; a gradual one begins at the onset, before the peak."""
    made = loop_generator.made_loops(cycles=16, residue=residue, u_reset=0.8, high=2.2, noise=1e-7)
    found = extracted(made)
    error = {name: np.abs(extracted(made, reset=name).values[:, 3] - made.true[:, 3]).mean()
             for name in ("onset", "peak")}  # fmt: skip
    assert found.notes["u_reset"] in error
    assert error[found.notes["u_reset"]] <= min(error.values()) + 0.0125


def with_resistors(share):
    made = loop_generator.made_loops(cycles=20, noise=1e-8)
    current = made.current.copy()
    dead = np.arange(20) >= round(20 * (1 - share))
    current[dead] = made.voltage[dead] / 5e3 * (1 + 0.001 * np.sin(np.arange(current.shape[1])))
    return learn.sweeps_from_arrays(made.voltage, current)


def test_many_rejected_loops_are_a_warning_with_the_likely_cause(caplog):
    few = learn.extract_features(with_resistors(0.1))
    assert few.rejected == {"no SET": 2}
    assert "could not be evaluated" not in caplog.text
    learn.extract_features(with_resistors(0.5))
    assert "10 of 20 loops could not be evaluated: no SET 10. Likely cause: cells do" in caplog.text


def test_a_refusal_counts_rejected_loops_by_reason():
    with pytest.raises(sf.InvalidValueError, match=r"\(no SET 20\); likely cause: cells do not"):
        learn.extract_features(with_resistors(1.0))
    with pytest.raises(sf.InvalidValueError, match=r"0 of 20 loops .*; need 3 \(no SET 20\)"):
        learn.fit_conduction(with_resistors(1.0))
    two = np.array([[1e5, -1.0, 4e3, 0.7]] * 2)
    table = learn.FeatureTable.build([0, 0], [0, 1], two, rejected={"no SET": 12})
    for refuse in (lambda: learn.fit(table), lambda: learn.compare(sf.load_model(), table)):
        with pytest.raises(sf.InvalidValueError, match="could not be evaluated: no SET 12"):
            refuse()


def test_the_headline_of_the_report_counts_rejected_loops(tmp_path):
    pytest.importorskip("bokeh")
    features = learn.extract_features(with_resistors(0.4))
    found = learn.compare(sf.load_model(), features)
    sf.report.save_report(found, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "8 of 20 loops could not be evaluated: no SET 8. Likely cause: cells do" in text
