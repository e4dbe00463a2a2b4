"""Traps of a model: their equations in closed form, their limits, and their file."""

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest
from trap_models import model_with_traps, traps

import synfab as sf
from synfab.model import Traps, load_model, save_model
from synfab.random.streams import uniform

GOOD = {
    "time_constants": [1e-3, 1.0, 1e3],
    "spectrum": 0.5,
    "conductance": [1e-5, 1e-4],
    "amplitude": [1e-6, 2e-6],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_constants": [1.0]}, "time_constants: expected 2 to 33 edges, found 1"),
        ({"time_constants": np.logspace(-3, 3, 34)}, "time_constants: expected 2 to 33 edges"),
        ({"time_constants": [1.0, 1.0, 2.0]}, "time_constants: expected ascending"),
        ({"time_constants": [-1.0, 1.0, 2.0]}, "time_constants: expected ascending"),
        ({"time_constants": [1.0, np.inf, 2.0]}, "time_constants: expected finite"),
        ({"time_constants": [1.0, 1e200]}, "time_constants: expected 1e-100 … 1e\\+100 s"),
        ({"attempt_time": 1e-300}, "attempt_time: expected 1e-100 … 1e\\+100 s"),
        ({"spectrum": 1e30}, "spectrum: expected numbers up to 1e\\+06"),
        ({"amplitude": [1e-6, 1e300]}, "amplitude: expected numbers up to 1e\\+06"),
        ({"conductance": [0.0, 1e30]}, "conductance: expected numbers up to 1e\\+06"),
        ({"spectrum": [1.0]}, "spectrum: expected shape 2"),
        ({"spectrum": -1.0}, "spectrum: expected numbers from 0 on"),
        ({"amplitude": [1e-6]}, "amplitude: expected shape 2"),
        ({"amplitude": [1e-6, np.nan]}, "amplitude: expected finite"),
        ({"conductance": [1e-4, 1e-5]}, "conductance: expected ascending"),
        ({"conductance": np.arange(65.0), "amplitude": np.ones(65)}, "conductance: expected up"),
        ({"initial_occupancy": 1.5}, "initial_occupancy: expected probabilities"),
        ({"occupancy": [0.5, -0.1]}, "occupancy: expected probabilities"),
        ({"raising": 1.1}, "raising: expected probabilities"),
        ({"raising": [0.1, 0.1, 0.1]}, "raising: expected shape 2"),
        ({"trap_spread": -0.1}, "trap_spread: expected"),
        ({"cell_spread": np.inf}, "cell_spread: expected"),
        ({"attempt_time": 0.0}, "attempt_time: expected"),
        ({"attempt_time": 1e-3}, "attempt_time: expected less than the shortest"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(changes, message):
    with pytest.raises(sf.SynfabError, match=message):
        Traps(**{**GOOD, **changes})


def test_a_model_file_keeps_traps_exactly(tmp_path):
    model = model_with_traps()
    save_model(model, tmp_path / "model.json")
    loaded = load_model(tmp_path / "model.json")
    assert loaded == model
    assert json.loads((tmp_path / "model.json").read_text())["version"] == 2


def test_traps_identify_a_model_and_the_published_one_has_none(tmp_path):
    published = sf.load_model("published")
    assert published.traps is None
    fingerprints = {published.fingerprint, model_with_traps().fingerprint}
    for changes in ({"attempt_time": 1e-12}, {"occupancy": 0.6}, {"trap_spread": 0.4}):
        fingerprints.add(model_with_traps(**changes).fingerprint)
    assert len(fingerprints) == 5
    save_model(published, tmp_path / "published.json")
    assert "traps" not in json.loads((tmp_path / "published.json").read_text())


def test_an_attempt_time_gives_all_activation_energies():
    """At 400 K, ln(tau / tau_0) is three quarters of that at 300 K."""
    found = traps()
    cold = np.log(found.times_at(300.0) / found.attempt_time)
    hot = np.log(found.times_at(400.0) / found.attempt_time)
    np.testing.assert_allclose(hot, 0.75 * cold, rtol=1e-12)
    kelvin_energy = found.activation_energy / 8.617333262e-5
    np.testing.assert_allclose(kelvin_energy * (1 / 300 - 1 / 400), cold - hot, rtol=1e-12)


def test_what_remains_is_the_average_over_log_uniform_times():
    found = Traps([1e-2, 10.0], 1.0, [0.0], [1.0])
    for t in (1e-4, 0.1, 3.0, 60.0):
        mean = quad(lambda x, t=t: np.exp(-t / np.exp(x)), np.log(1e-2), np.log(10.0))[0]
        assert found.remaining(t)[0] == pytest.approx(mean / np.log(1e3), rel=1e-8)


def test_the_spectral_density_belongs_to_the_autocovariance():
    """The integral of the density over frequency is the variance; a flat spectrum is 1/f."""
    found = traps()
    g = 150e-6
    variance = quad(
        lambda x: np.exp(x) * found.spectral_density(np.exp(x), g), np.log(1e-13), np.log(1e8),
        limit=500,
    )[0]  # fmt: skip
    assert variance == pytest.approx(found.autocovariance(0.0, g), rel=1e-3)
    flat = traps(spectrum=0.2)
    f = np.logspace(-6, 2, 9)
    slope = np.polyfit(np.log(f), np.log(flat.spectral_density(f, g)), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.02)
    with pytest.raises(sf.SynfabError, match="frequency: expected frequencies above 0 Hz"):
        found.spectral_density([0.0, 1.0], g)


def test_traps_that_raise_the_conductance_reverse_the_mean_and_keep_the_variance():
    falling = Traps(**GOOD, initial_occupancy=0.2, occupancy=0.6)
    rising = Traps(**GOOD, initial_occupancy=0.2, occupancy=0.6, raising=1.0)
    mixed = Traps(**GOOD, initial_occupancy=0.2, occupancy=0.6, raising=[0.5, 1.0])
    np.testing.assert_allclose(rising.mean_change(5.0, 3e-5), -falling.mean_change(5.0, 3e-5))
    assert mixed.mean_change(5.0, 1e-5) == 0.0
    assert rising.autocovariance(1.0, 3e-5) == falling.autocovariance(1.0, 3e-5)
    with pytest.raises(sf.SynfabError, match="raising: expected probabilities"):
        Traps(**GOOD, raising=1.5)
    with pytest.raises(sf.SynfabError, match="raising: expected shape 2"):
        Traps(**GOOD, raising=[0.1, 0.2, 0.3])


def test_the_orientation_of_a_trap_and_its_time_constant_are_independent():
    """One uniform number decides both: 30 % of the traps raise, and their places are uniform."""
    from synfab.physics.traps import orientation

    words = np.random.default_rng(1).integers(0, 2**32, (1, 100_000), dtype=np.uint32)
    raises, place = orientation(np.full(100_000, 0.3, np.float32), words)
    assert abs(raises.mean() - 0.3) < 5.0 * np.sqrt(0.21 / 100_000)
    for part in (place[raises], place[~raises]):
        assert kstest(part, "uniform").pvalue > 1e-3
    none, same = orientation(np.zeros(100_000, np.float32), words)
    assert not none.any()
    np.testing.assert_array_equal(same, uniform(words))


@pytest.mark.parametrize("temperature", [1.0, 10.0, 300.0, 2000.0])
@pytest.mark.parametrize("edges", [np.logspace(-10, 15, 33), [1.0, 1.0 + 1e-15], [1e-12, 1e100]])
def test_closed_forms_are_finite_at_all_temperatures(temperature, edges):
    """At 1 K, time constants are beyond the range of float64."""
    found = traps(time_constants=edges, spectrum=0.5, initial_occupancy=0.0)
    left = found.remaining([0.0, 1e-300, 1e-15, 1.0, 1e18], temperature)
    assert ((left >= 0.0) & (left <= 1.0)).all()
    assert (np.diff(left, axis=0) <= 1e-9).all()
    for one in (
        found.mean_change([0.0, 1.0, 1e18], 1e-4, temperature),
        found.autocovariance([0.0, 1.0, 1e18], 1e-4, temperature),
        found.spectral_density([1e-18, 1.0, 1e18], 1e-4, temperature),
    ):
        assert np.isfinite(one).all()


def test_a_narrow_interval_is_a_single_time_constant():
    one = Traps([2.0, 2.0 * (1.0 + 1e-14)], 1.0, [0.0], [1e-6])
    assert one.remaining(3.0)[0] == pytest.approx(np.exp(-1.5), rel=1e-9)
    density = 4.0 * 1e-12 * 0.25 * 2.0 / (1.0 + (2.0 * np.pi * 2.0) ** 2)
    assert one.spectral_density(1.0, 0.0) == pytest.approx(density, rel=1e-9)
