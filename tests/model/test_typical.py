"""The typical device, and states as conductances."""

import numpy as np
import pytest
from optional_models import model_with_every_part

import synfab as sf
from synfab.model.typical import typical_device, typical_slope, typical_voltage


def test_the_typical_device_has_the_means_of_the_most_common_component():
    population = sf.load_model().population
    mean = population.means[np.argmax(population.weights)]
    assert typical_device(sf.load_model()) == tuple(mean[:4])


def test_the_typical_device_has_features_whatever_their_scales():
    device = typical_device(model_with_every_part())
    assert 10.0**device.log_r_hrs == pytest.approx(2e3 + 10.0**5.3)
    assert (device.u_set, device.r_lrs, device.u_reset) == pytest.approx((-0.8, 3000.0, 0.75))


def test_the_typical_voltage_falls_with_the_target():
    model = sf.load_model()
    u = typical_voltage(model, np.array([2e-5, 5e-5, 1e-4, 1.5e-4, 2e-4]))
    assert (np.diff(u) < 0.0).all()
    assert typical_device(model).u_reset <= u[-1] < u[0] <= model.conduction.u_max


def test_a_series_resistance_asks_for_more_voltage():
    model, g = sf.load_model(), np.array([5e-5, 1e-4])
    more = typical_voltage(model, g, 1e3) - typical_voltage(model, g)
    assert (more > 0.0).all()
    assert (more < 0.3).all()


def test_the_slope_is_that_of_the_typical_voltage():
    model = sf.load_model()
    g, slope = typical_slope(model, (3e-5, 1.5e-4))
    fall = np.diff(g) / -np.diff(typical_voltage(model, g))
    np.testing.assert_allclose(slope[1:-1], (fall[1:] + fall[:-1]) / 2.0, rtol=0.1)


def test_states_and_conductances_are_inverse():
    conduction = sf.load_model().conduction
    assert conduction.state(conduction.g_llrs) == 0.0
    assert conduction.state(conduction.g_hhrs) == 1.0
    r = np.linspace(0.0, conduction.r_max, 50)
    np.testing.assert_allclose(conduction.state(conduction.conductance(r)), r, atol=1e-12)
