"""Counts of verdicts, their order, and the advice for each property."""

import dataclasses
import math

import pytest

from synfab.learn.comparison.advice import Situation, advice_on
from synfab.learn.comparison.verdicts import (
    Counts,
    Verdict,
    counts,
    headline,
    judged,
    judged_level,
    worst_first,
)
from synfab.learn.comparison.yardstick import Result

ROW = Result("memory", "r_lrs", "Memory of R_LRS", "error", 0.3, 0.3, 0.0, 0.1, 0.3)
SITUATION = Situation(devices=32, cycles=60, order=1)


def row(distance, yardstick=0.1, **changes):
    return dataclasses.replace(ROW, distance=distance, yardstick=yardstick, **changes)


def verdicts(*pairs):
    rows = [row(d, y, name=str(k)) for k, (d, y) in enumerate(pairs)]
    return judged(rows, {}, lambda result, level: advice_on(result, level, SITUATION))


ONE_OF_EACH = ((0.05, 0.1), (0.15, 0.1), (0.3, 0.1), (0.1, math.nan))


def test_the_counts_add_up_to_the_number_of_properties():
    found = counts(verdicts(*ONE_OF_EACH, (0.5, 0.6), (0.0, 0.0)))
    assert found == Counts(2, 1, 1, 2, 6)
    assert sum(found[:4]) == found.total


def test_the_headline_states_counts_that_add_up():
    assert headline(Counts(56, 4, 0, 13, 73)) == (
        "Of 73 properties, 56 agree with the measurement, 4 differ a little and 13 cannot be "
        "judged."
    )
    assert headline(Counts(0, 0, 1, 0, 1)) == "Of the one property, 1 differs."
    assert headline(Counts(0, 0, 0, 3, 3)) == "The measurement is too small to judge any property."


def test_the_worst_property_is_the_first():
    pairs = ((0.05, 0.1), (0.1, math.nan), (0.15, 0.1), (0.3, 0.1), (0.9, 0.1), (0.01, 0.0))
    assert [v.name for v in worst_first(verdicts(*pairs))] == ["5", "4", "3", "2", "1", "0"]


def test_a_property_that_does_not_agree_comes_with_advice():
    agrees, *others = verdicts(*ONE_OF_EACH)
    assert agrees.advice == ""
    assert all(verdict.advice for verdict in others)


@pytest.mark.parametrize(
    ("distance", "yardstick", "level"),
    [(0.3, 0.49, "good"), (0.3, 0.5, "open"), (0.9, 0.5, "open"), (1.1, 0.5, "far")],
)
def test_a_measurement_far_from_itself_does_not_make_a_model_agree(distance, yardstick, level):
    assert judged_level(distance, yardstick) == level


def test_a_verdict_has_the_numbers_of_its_result():
    (verdict,) = verdicts((0.05, 0.1))
    assert isinstance(verdict, Verdict)
    assert (verdict.key, verdict.feature, verdict.words) == ("memory", "r_lrs", "agrees")
