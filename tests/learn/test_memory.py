"""The order of a model: the smallest that explains the memory of the record, and what it says."""

import numpy as np
import pytest
from generated_records import generated
from optional_models import with_averages

from synfab.learn.autocovariance import expectation
from synfab.learn.memory import fit_memory
from synfab.learn.standardised import Standardised
from synfab.model.history import History

WHITE = History(np.eye(4), 1e-9 * np.eye(4)[None])


def fitted(series, order="auto"):
    x = [one for _, one in series]
    ones = np.ones((len(x), 8))
    parts = Standardised(
        [str(k) for k in range(len(x))], [cycles for cycles, _ in series], x, ones, ones,
        ones[:, :4], [],
    )  # fmt: skip
    return fit_memory(parts, np.concatenate(x), order)


def worst_error(found, truth, lags=20):
    history = found.histories[max(found.histories)]
    return np.abs(history.autocorrelation(lags) - truth.autocorrelation(lags)).max()


@pytest.mark.parametrize(
    ("order", "devices", "cycles", "bound"), [(1, 16, 200, 0.08), (3, 16, 200, 0.1)]
)
def test_the_order_of_the_truth_is_found(published, order, devices, cycles, bound):
    truth = published.history(order)
    for seed in range(2):
        found = fitted(generated(truth, devices, cycles, seed))
        assert found.facts["order"] == order
        assert found.facts["order_note"] == ""
        assert worst_error(found, truth) < bound


def test_an_order_that_lacks_memory_is_not_chosen_though_its_criterion_is_the_lowest(published):
    """VAR(10) in 32 devices x 200 cycles: the lowest BIC is at 5 or 6, whose innovations are not
    white, and whose autocorrelation is wrong by 0.1 or more."""
    truth = published.history(10)
    series = generated(truth, 32, 200, seed=1)
    by_criterion, chosen = fitted(series, "bic"), fitted(series)
    assert by_criterion.facts["order"] < 8 < chosen.facts["order"]
    assert worst_error(by_criterion, truth) > 0.1 > worst_error(chosen, truth)


def test_a_fit_that_lacks_memory_names_the_order_that_has_it(published):
    series = generated(published.history(3), 32, 200)
    found = fitted(series, 1)
    assert found.facts["order"] == 1
    assert found.facts["white_order"] == 3
    assert found.facts["order_note"] == (
        "order 1 does not explain all memory of the record; order 3 does: fit with order=3"
    )


def test_long_memory_is_explained_by_averages():
    truth = with_averages(History(0.8 * np.eye(4), 0.2 * np.eye(4)[None]))
    found = fitted(generated(truth, 24, 400))
    assert found.facts["long_memory"]
    assert found.facts["order_note"] == ""
    assert worst_error(found, truth, 60) < 0.15


def test_independent_cycles_have_order_1_without_memory():
    found = fitted(generated(WHITE, 16, 200))
    assert found.facts["order"] == 1
    assert worst_error(found, WHITE) < 0.08


@pytest.mark.parametrize(("devices", "cycles"), [(1, 30), (3, 40), (64, 30), (1, 200)])
def test_short_records_give_a_model_that_is_white_or_says_so(published, devices, cycles):
    found = fitted(generated(published.history(10), devices, cycles))
    assert (found.facts["white_order"] is None) == bool(found.facts["order_note"])
    assert len(found.facts["order_note"].splitlines()) < 2


def test_records_of_different_length_with_gaps_are_fitted_together(published):
    rng = np.random.default_rng(3)
    truth = published.history(3)
    series = []
    for cycles, x in generated(truth, 24, 300):
        length = int(rng.integers(100, 300))
        keep = np.sort(rng.choice(length, length - 5, replace=False))
        series.append((cycles[keep], x[keep]))
    found = fitted(series)
    assert found.facts["order"] == 3
    assert worst_error(found, truth) < 0.12


def test_memory_that_no_order_explains_is_reported_in_a_line():
    """A period of 16 cycles with a phase of each device is no autoregression of low order."""
    rng = np.random.default_rng(4)
    n = np.arange(200)
    series = []
    for _ in range(16):
        x = rng.standard_normal((200, 4))
        x += 3.0 * np.sign(np.sin(2.0 * np.pi * (n[:, None] / 16.0 + rng.random(4))))
        series.append((n, x - x.mean(axis=0)))
    found = fitted(series)
    assert found.facts["white_order"] is None
    assert found.facts["order_note"].endswith(
        "nor does another up to 10, the highest that its length allows"
    )


@pytest.mark.parametrize("cycles", [101, 128, 199])
def test_the_bias_of_records_of_any_length_is_known(cycles):
    """Lengths are rounded to two digits, and may be rounded up."""
    white = np.ones((1, 1, 1))
    found = expectation(white, np.array([cycles, cycles]), 2)
    np.testing.assert_allclose(found[:, 0, 0], [1.0 - 1.0 / cycles, -1.0 / cycles], rtol=0.06)
