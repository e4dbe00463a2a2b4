"""What the page of a report says about each property."""

import dataclasses
import html

import pytest

from synfab.report import save_report

FACTS = {"devices": 12, "cycles": 360, "rejected_cycles": {"no SET": 1}, "conduction": "given"}

pytest.importorskip("bokeh")


@pytest.fixture(scope="module")
def unsure(found):
    """The comparison with one property that differs, and counts behind one that agrees."""
    worst = dataclasses.replace(found.result("memory", "u_set"), distance=0.9, yardstick=0.1)
    good = dataclasses.replace(
        found.result("closed_window"), distance=0.0, yardstick=0.1, basis="2 of 12 devices"
    )
    changed = {(one.key, one.feature): one for one in (worst, good)}
    results = tuple(changed.get((one.key, one.feature), one) for one in found.results)
    return dataclasses.replace(found, results=results)


@pytest.fixture(scope="module")
def text(unsure, tmp_path_factory):
    path = tmp_path_factory.mktemp("content") / "report.html"
    save_report(unsure, path, diagnostics=FACTS)
    return html.unescape(path.read_text())


def test_the_headline_is_that_of_the_comparison(text, unsure):
    assert f'<p class="headline">{unsure.headline()}</p>' in text


def test_properties_are_listed_from_the_worst(text, unsure):
    places = [text.index(f'<th scope="row">{v.name}<') for v in unsure.worst_first()]
    assert places == sorted(places)
    assert unsure.worst_first()[0].name == "Memory of U_SET, lags 1 to 20"


def test_each_property_that_does_not_agree_has_advice(text, unsure):
    advice = [v.advice for v in unsure.worst_first() if v.level != "good"]
    assert all(advice)
    assert [part.split("<")[0] for part in text.split('class="advice">')[1:]] == advice


def test_counts_behind_a_verdict_are_stated_also_if_it_agrees(text, unsure):
    verdict = next(v for v in unsure.worst_first() if v.basis == "2 of 12 devices")
    assert verdict.level == "good"
    assert '<span class="soft">2 of 12 devices</span>' in text


def test_how_the_model_was_learned_is_stated_in_sentences(text):
    for sentence in (
        "The model is fitted to 360 cycles of 12 devices.",
        "1 cycle could not be evaluated.",
        "The I-V curves were given.",
    ):
        assert f"<li>{sentence}</li>" in text
