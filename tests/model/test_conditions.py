"""Conditions of a model: shifted means, checked values, files that know them."""

import math
import pickle

import numpy as np
import pytest

import synfab as sf
from synfab.model.conditions import limited

COEFFICIENTS = [[0.0, 0.0, -800.0, 0.01], [0.4, 0.0, 0.0, 0.0]]


@pytest.fixture(scope="module")
def model(published):
    conditions = sf.model.Conditions(
        ("compliance", "stop_voltage"), [1e-4, 1.4], [[2e-5, 5e-4], [1.2, 1.6]],
        ("log", "linear"), COEFFICIENTS,
    )  # fmt: skip
    return sf.CellModel(
        "conditioned", published.marginals, published.histories, published.population,
        published.conduction, published.provenance, conditions,
    )  # fmt: skip


def test_the_published_model_has_no_conditions_and_its_fingerprint(published):
    assert published.conditions is None
    assert published.at() is published
    assert published.compliance == math.inf
    assert published.fingerprint.startswith("108e583d036f8efe")
    assert "conditions" not in sf.model.model_file.document(published)


def test_the_means_of_the_cells_are_shifted_and_nothing_else(model, published):
    """By c ln(value / reference) and c (value - reference) in the units of the model."""
    condition = {"compliance": 2e-4, "stop_voltage": 1.5}
    shifted = sf.CellArray(model, 200, seed=3, condition=condition).device_parameters
    plain = sf.CellArray(published, 200, seed=3).device_parameters
    expected = np.array([0.04, 0.0, -800.0 * math.log(2.0), 0.01 * math.log(2.0), 0, 0, 0, 0])
    np.testing.assert_allclose(
        np.asarray(shifted, np.float64) - plain, np.broadcast_to(expected, (200, 8)),
        rtol=2e-3, atol=1e-5,
    )  # fmt: skip


def test_the_default_is_the_reference(model, published):
    assert model.at().fingerprint == published.fingerprint
    assert model.at(compliance=1e-4).fingerprint == published.fingerprint
    cells = sf.CellArray(model, 50, seed=3)
    plain = sf.CellArray(published, 50, seed=3)
    np.testing.assert_array_equal(cells.features["r_lrs"], plain.features["r_lrs"])


def test_a_model_at_a_condition_records_it_and_has_no_more_conditions(model):
    found = model.at(compliance=5e-5)
    assert found.conditions is None
    assert found.provenance["condition"] == {"compliance": 5e-5, "stop_voltage": 1.4}
    assert (model.compliance, found.compliance) == (1e-4, 5e-5)
    assert found == sf.CellArray(model, 4, seed=1, condition={"compliance": 5e-5}).model


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"temperature": 300.0}, "condition: expected compliance or stop_voltage, found 'temp"),
        ({"compliance": 1e-3}, "compliance: expected 2e-05 … 0.0005 A, the range measured, found"),
        ({"compliance": -1e-4}, "compliance: expected above 0, found -0.0001"),
        ({"stop_voltage": math.nan}, "stop_voltage: expected finite numbers, found NaN"),
        ({"stop_voltage": "1.4"}, "stop_voltage: expected"),
        ({1: 1.4}, "condition: expected text, found 1"),
        ([("compliance", 1e-4)], "condition: expected a mapping"),
    ],
)
def test_wrong_conditions_are_refused_in_one_line(model, condition, message):
    with pytest.raises(sf.SynfabError, match=f"^{message}"):
        sf.CellArray(model, 4, seed=1, condition=condition)


def test_a_model_without_conditions_refuses_them(published):
    with pytest.raises(sf.InvalidValueError, match="the model has no conditions; found 'complia"):
        sf.CellArray(published, 4, seed=1, condition={"compliance": 1e-4})
    assert sf.CellArray(published, 4, seed=1, condition={}).model is published


def test_nominal_values_just_beyond_the_range_are_accepted(model):
    assert model.at(compliance=1.98e-5).provenance["condition"]["compliance"] == 1.98e-5


def test_conditions_survive_files_and_pickles(model, published, tmp_path):
    sf.save_model(model, tmp_path / "model.json")
    for copy in (sf.load_model(tmp_path / "model.json"), pickle.loads(pickle.dumps(model))):
        assert copy == model
        assert copy.conditions == model.conditions
        assert copy.at(compliance=2e-4) == model.at(compliance=2e-4)
    assert model.fingerprint != published.fingerprint
    cells = sf.CellArray(model, 4, seed=1, condition={"compliance": 5e-5})
    cells.save(tmp_path / "cells.npz")
    assert sf.CellArray.load(tmp_path / "cells.npz").model == cells.model


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "humidity", r"conditions\[0\]: expected a condition among compliance \(A\)"),
        ("unit", "mA", r"conditions\[0\]: expected a condition among compliance \(A\)"),
        ("scale", "cubic", "conditions.scales: expected one of linear, log, reciprocal"),
        ("range", [1e-5], r"conditions\[0\]: expected a range of 2 numbers"),
        ("range", [3e-4, 5e-4], "conditions.reference: expected 0 < lowest"),
        ("coefficients", [1, 2, 3], r"conditions\[0\]: .* 4 coefficients"),
        ("reference", "1e-4", r"conditions\[0\].reference: expected a number"),
    ],
)
def test_a_damaged_file_names_the_condition(model, tmp_path, field, value, message):
    import json

    sf.save_model(model, tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text())
    document["conditions"][0][field] = value
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(sf.FileFormatError, match=message):
        sf.load_model(tmp_path / "model.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ()}, "names: expected one or more"),
        ({"names": ("compliance", "compliance")}, "names: expected one or more different"),
        ({"coefficients": [[1.0] * 3] * 2}, "coefficients: expected shape 2 x 4"),
        ({"scales": ("log",)}, "scales: expected 2 texts, found 1"),
        ({"ranges": [[-1.0, 2.0], [1.2, 1.6]]}, "reference: expected 0 < lowest"),
    ],
)
def test_inconsistent_conditions_are_refused(change, message):
    given = {
        "names": ("compliance", "stop_voltage"), "reference": [1e-4, 1.4],
        "ranges": [[2e-5, 5e-4], [1.2, 1.6]], "scales": ("log", "linear"),
        "coefficients": COEFFICIENTS,
    }  # fmt: skip
    with pytest.raises(sf.InvalidValueError, match=message):
        sf.model.Conditions(**{**given, **change})


def test_the_compliance_limits_the_half_of_the_set_only():
    current, voltage = np.array([-2e-4, -5e-5, 2e-4]), np.array([-1.0, -1.0, 1.0])
    np.testing.assert_array_equal(limited(current, voltage, 1e-4), [-1e-4, -5e-5, 2e-4])
    np.testing.assert_array_equal(limited(current, voltage, math.inf), current)


def test_the_compliance_of_a_fit_to_one_compliance_is_in_its_notes(published):
    def noted(notes):
        return sf.CellModel(
            "a", published.marginals, published.histories, published.population,
            published.conduction, notes,
        ).compliance  # fmt: skip

    assert noted({"notes": {"compliance_A": 1e-4}}) == 1e-4
    for strange in ({"notes": 3}, {"notes": {"compliance_A": "x"}}, {"condition": {}}):
        assert noted(strange) == math.inf


def test_models_without_outliers_keep_their_conditions(model):
    torch = pytest.importorskip("synfab.torch")
    assert torch.montecarlo.without_outliers(model).conditions == model.conditions
