"""How a model was learned, in sentences."""

import re

import pytest

from synfab import learn
from synfab.report.learned import SUBJECTS, learned_sentences


@pytest.fixture(scope="module")
def diagnostics(sweeps, published):
    features = learn.extract_features(sweeps)
    return learn.fit(features, conduction=published, order=2).diagnostics


def test_every_fact_of_a_fit_is_in_a_sentence(diagnostics):
    sentences = learned_sentences(diagnostics)
    assert set(diagnostics) <= {name for names, _ in SUBJECTS for name in names}
    for sentence in sentences:
        assert re.fullmatch(r"[A-Z0-9].*[^.]\.", sentence), sentence
        assert not re.search(r"[{}\[\]]|[a-z]_[a-z]{4,}", sentence), sentence
    assert sentences[0] == "12 devices with 360 cycles were used."
    assert any("has order 2: a cycle depends on the 2 before it" in text for text in sentences)


def test_facts_that_are_not_known_are_not_stated():
    assert learned_sentences({"devices": 1}) == ["1 device was used."]
    assert learned_sentences({"rare_states": {}, "wear_in": {}, "failures": {}}) == []


def test_memory_that_is_not_explained_is_stated_with_what_explains_it():
    note = "order 1 does not explain all memory of the record; order 4 does: fit with order=4"
    found = learned_sentences({
        "order": 1, "order_note": note, "residual_autocorrelation": 0.13,
        "residual_autocorrelation_bound": 0.092,
    })  # fmt: skip
    text = "What the history does not explain is not white: largest correlation 0.13, bound 0.092."
    assert text in found
    assert f"O{note[1:]}." in found


def test_other_facts_are_stated_as_they_are():
    found = learned_sentences({"resistances": "slopes near 0 V", "conditions": {"T": "300 K"}})
    assert found == ["Resistances: slopes near 0 V.", "Conditions: T 300 K."]
