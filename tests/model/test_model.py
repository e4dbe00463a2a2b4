"""What a model must be, and what its numbers imply."""

import copy
import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import synfab as sf
from synfab.model.conduction import Conduction
from synfab.model.history import History
from synfab.model.population import Population

# Exact autocorrelation of x* at lags 1, 2, 5, 10, 20 for order 10, per feature.
REFERENCE = [
    [0.135, 0.123, 0.111, 0.101, 0.027],
    [0.176, 0.160, 0.146, 0.135, 0.048],
    [0.508, 0.474, 0.429, 0.384, 0.252],
    [0.324, 0.309, 0.293, 0.282, 0.168],
]


def test_the_autocorrelation_is_the_published_one(published):
    found = published.history(10).autocorrelation(20)[[1, 2, 5, 10, 20]].T
    np.testing.assert_allclose(found, REFERENCE, atol=6e-4)


def test_the_lags_are_in_the_right_order(published):
    history = published.history(10)
    variance = np.diag(history.autocovariance(0)[0])
    assert ((variance > 0.993) & (variance < 1.001)).all()
    reversed_ = History(history.innovation, history.lags[::-1])
    assert np.diag(reversed_.autocovariance(0)[0]).min() < 0.95


def test_the_stationary_covariance_reproduces_itself(published):
    for order in published.orders:
        history = published.history(order)
        noise = np.zeros_like(history.companion)
        noise[:4, :4] = history.innovation @ history.innovation.T
        stepped = history.companion @ history.stationary_covariance @ history.companion.T + noise
        np.testing.assert_allclose(stepped, history.stationary_covariance, atol=1e-9)


def test_an_order_that_is_not_there_is_an_error(published):
    with pytest.raises(sf.InvalidValueError, match=r"order: the model has no order 11"):
        published.history(11)
    with pytest.raises(sf.InvalidTypeError, match="order"):
        published.history(True)


def test_r_max_is_the_last_passive_state(published):
    conduction = published.conduction
    assert conduction.r_max == pytest.approx(0.88920, abs=1e-5)
    u = np.linspace(-1.5, 1.46, 100001)
    assert (conduction.current(conduction.r_max, u) * u >= -1e-15).all()
    assert (conduction.current(conduction.r_max + 1e-4, u) * u).min() < -1e-12


def test_beyond_the_trained_voltages_cells_are_ohmic(published):
    conduction = published.conduction
    r = np.array([-0.05, 0.2, 0.8])
    end = conduction.current(r, 1.46)
    np.testing.assert_allclose(conduction.current(r, 2.92), 2 * end, rtol=1e-12)
    np.testing.assert_allclose(conduction.slope(r, 5.0), end / 1.46, rtol=1e-12)


def test_the_slope_is_the_derivative_of_the_current(published):
    u = np.linspace(-1.49, 1.45, 50)
    numeric = (
        published.conduction.current(0.4, u + 1e-6) - published.conduction.current(0.4, u - 1e-6)
    ) / 2e-6
    np.testing.assert_allclose(published.conduction.slope(0.4, u), numeric, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eta": 0.0}, "eta"),
        ({"u_max": 0.1}, "u_max"),
        ({"u_max": 0.2}, "u_max"),
        ({"hhrs": [1e-5, 1e-6]}, "hhrs: expected I"),
        ({"llrs": [-1e-4, 0.0]}, "llrs"),
        ({"llrs": [1e-6, 0.0]}, "llrs: expected a higher conductance than hhrs"),
        ({"llrs": [-3e-4, 2e-4, 0.0]}, "passive"),
        ({"llrs": [1e-4, 0.0, 0.0, 0.0], "hhrs": [-1e-9, 0.0]}, "llrs: not passive"),
        ({"voltage_range": (0.1, 1.0)}, "voltage_range"),
        ({"voltage_range": (-1.0, 0.1)}, "voltage_range"),
        ({"voltage_range": (-1.5, np.inf)}, "voltage_range"),
    ],
)
def test_unphysical_conduction_is_refused(change, message):
    good = {
        "hhrs": [1e-6, 1e-6, 0.0],
        "llrs": [2e-4, 0.0],
        "eta": 3.0,
        "u_max": 1.5,
        "u_0": 0.2,
        "voltage_range": (-1.5, 1.5),
    }
    good["hhrs"] = [1e-6, 0.0]
    Conduction(**good)
    with pytest.raises(sf.InvalidValueError, match=message):
        Conduction(**{**good, **change})


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_what_curves_do_beyond_the_trained_voltages_does_not_matter(side):
    """The LLRS curve would be active between 1.68 and 2.32 V."""
    llrs = 1e-4 * np.array([1.0, -4.0 * side, 3.9, 0.0])
    conduction = Conduction([1e-6, 0.0], llrs, 3.0, 1.5, 0.2, (-1.5, 1.5))
    assert conduction.r_max == 1.0


def test_an_unstable_history_is_refused():
    with pytest.raises(sf.InvalidValueError, match="unstable: spectral radius 1"):
        History(np.eye(4), [np.eye(4)])


@pytest.mark.parametrize(
    ("innovation", "message"),
    [
        (np.eye(4) + np.eye(4, k=1), "innovation: expected lower triangular"),
        (np.diag([1.0, 1.0, 1.0, 0.0]), "innovation: expected a positive diagonal"),
        (np.diag([1.0, 1.0, 1.0, 1e-200]), "innovation: the covariance is not positive definite"),
    ],
)
def test_a_history_without_fresh_noise_in_a_feature_is_refused(innovation, message):
    with pytest.raises(sf.InvalidValueError, match=message):
        History(innovation, [0.5 * np.eye(4)])


@pytest.mark.parametrize(
    ("weights", "scale", "message"),
    [([1.0, -0.1], 1.0, "weights"), ([0.0, 0.0], 1.0, "weights"), ([1.0, 1.0], 0.0, "factors")],
)
def test_an_impossible_population_is_refused(weights, scale, message):
    with pytest.raises(sf.InvalidValueError, match=message):
        Population(weights, np.zeros((2, 8)), np.stack([np.eye(8) * scale] * 2))


def test_weights_of_a_population_need_no_common_sum():
    means, factors = np.zeros((2, 8)), np.stack([np.eye(8)] * 2)
    means[1] = 3.0
    one, ten = (Population(np.array(w), means, factors) for w in ([0.25, 0.75], [2.5, 7.5]))
    for name in ("probabilities", "cumulative"):
        np.testing.assert_array_equal(getattr(ten, name), getattr(one, name))
    np.testing.assert_allclose(ten.mean(), np.full(8, 2.25))


def test_a_device_is_of_the_kind_that_explains_it_best():
    generator = np.random.default_rng(3)
    factors = np.tril(generator.normal(size=(3, 8, 8)), -1) * 0.2
    factors += np.eye(8) * np.array([0.5, 1.0, 2.0])[:, None, None]
    means = generator.normal(size=(3, 8)) * 0.3
    population = Population([6.0, 3.0, 1.0], means, factors)
    devices = generator.normal(size=(2000, 8))
    density = [
        np.log(weight) + multivariate_normal(mean, factor @ factor.T).logpdf(devices)
        for weight, mean, factor in zip([6.0, 3.0, 1.0], means, factors, strict=True)
    ]
    kinds = population.component(devices)
    np.testing.assert_array_equal(kinds, np.argmax(density, axis=0))
    assert np.bincount(kinds).min() > 20


def rebuilt(model, **changes):
    names = ("name", "marginals", "histories", "population", "conduction", "provenance")
    return sf.CellModel(**{**{name: getattr(model, name) for name in names}, **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {"name": 3}, "name: expected text, found 3"),
        (lambda m: {"histories": {}}, "histories: expected at least one order"),
        (lambda m: {"histories": {2: m.histories[3]}}, "histories: order 2 has 3 lag matrices"),
    ],
)
def test_a_model_of_wrong_parts_is_refused(published, change, message):
    with pytest.raises(sf.SynfabError, match=f"^{message}"):
        rebuilt(published, **change(published))


def test_orders_ascend_and_the_highest_is_the_default(published):
    shuffled = rebuilt(published, histories={p: published.histories[p] for p in (7, 2, 10, 3)})
    assert shuffled.orders == (2, 3, 7, 10)
    assert shuffled.history().order == 10


def test_a_fingerprint_tells_models_apart_by_any_number(published):
    history, conduction = published.histories[2], published.conduction
    names = ("hhrs", "llrs", "eta", "u_max", "u_0", "voltage_range")
    curves = {name: getattr(conduction, name) for name in names}
    other = [
        {"marginals": published.marginals * 1.001},
        {"histories": {2: History(history.innovation, history.lags * 0.999)}},
        {"histories": {2: History(history.innovation * 0.999, history.lags)}},
        {"conduction": Conduction(**{**curves, "eta": 3.0})},
        {"conduction": Conduction(**{**curves, "u_max": 1.47})},
        {"conduction": Conduction(**{**curves, "voltage_range": (-1.4, 1.46)})},
    ]
    alone = rebuilt(published, histories={2: history})
    prints = {rebuilt(alone, **change).fingerprint for change in [{}, *other]}
    assert len(prints) == 1 + len(other)
    assert rebuilt(alone, name="another").fingerprint == alone.fingerprint


def test_a_fingerprint_knows_where_one_curve_ends(published):
    """The numbers in a row are the same."""
    splits = (([1e-6, 0.0], [0.0, 2e-4, 0.0]), ([1e-6, 0.0, 0.0], [2e-4, 0.0]))
    rest = (3.0, 1.5, 0.2, (-1.5, 1.5))
    one, two = (rebuilt(published, conduction=Conduction(*split, *rest)) for split in splits)
    assert one.fingerprint != two.fingerprint


def test_models_of_other_names_or_origins_are_not_equal(published):
    assert rebuilt(published) == published
    assert rebuilt(published, name="another") != published
    assert rebuilt(published, provenance={"measured": "elsewhere"}) != published


def test_a_model_is_an_immutable_value(published):
    assert pickle.loads(pickle.dumps(published)) == published
    assert copy.deepcopy(published) == published
    with pytest.raises(AttributeError):
        published.name = "other"
    with pytest.raises(ValueError, match="read-only"):
        published.marginals[0, 0] = 1.0
    with pytest.raises(TypeError):
        published.histories[11] = None
