"""Counts of verdicts, their order, and the advice for each property."""

import dataclasses
import math
import re

import numpy as np
import pytest

from synfab.learn.comparison.advice import TEXTS, Situation, advice_on
from synfab.learn.comparison.basis import share_interval, share_of_cycles, share_of_devices
from synfab.learn.comparison.properties import PROPERTIES
from synfab.learn.comparison.sample import Frame, Units, cycle_count
from synfab.learn.comparison.verdicts import (
    Counts,
    Verdict,
    counts,
    headline,
    judged,
    judged_level,
    next_steps,
    worst_first,
)
from synfab.learn.comparison.yardstick import Result

ROW = Result("memory", "r_lrs", "Memory of R_LRS", "error", 0.3, 0.3, 0.0, 0.1, 0.3)
FOUR = np.ones(4, bool)
SITUATION = Situation(devices=32, cycles=60, order=1)


def row(distance, yardstick=0.1, **changes):
    return dataclasses.replace(ROW, distance=distance, yardstick=yardstick, **changes)


def verdicts(*pairs):
    rows = [row(d, y, key=str(k)) for k, (d, y) in enumerate(pairs)]
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
    assert [v.key for v in worst_first(verdicts(*pairs))] == ["5", "4", "3", "2", "1", "0"]


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
    assert (verdict.name, verdict.feature, verdict.words) == ("Memory of R_LRS", "r_lrs", "agrees")


def test_every_property_has_advice_of_its_own():
    known = {entry.key for entry in PROPERTIES} | {"loops_set", "loops_reset"}
    assert known - {"largest_level"} <= set(TEXTS)


def test_memory_that_differs_is_answered_with_the_order_that_explains_it():
    situation = SITUATION._replace(white_order=10)
    assert "order=10" in advice_on(row(0.3), "far", situation)
    assert "order=10" not in advice_on(row(0.3), "far", situation._replace(order=10))


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_an_option_is_named_as_in_the_shell_and_as_in_python(key):
    options = set(re.findall(r"--([a-z-]+)", TEXTS[key]))
    spellings = {"read-voltage": "u_0", "wear-in": "wear_in"}
    assert {spellings.get(name, name) for name in options} == set(re.findall(r"(\w+)=", TEXTS[key]))


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"yardstick": 1.0}, "Measure about 150 devices; found 32."),
        ({"key": "quantile_0.1"}, "Measure 10,000 cycles or more in all; found 1,920."),
        ({"key": "quantile_99"}, "Measure more devices: too few of them have cycles beyond"),
    ],
)
def test_a_measurement_that_is_too_small_is_answered_with_a_size(changes, advice):
    found = row(0.3, **{"yardstick": math.nan, **changes})
    assert advice_on(found, "open", SITUATION).startswith(advice)


def test_a_few_devices_are_answered_with_a_number_of_devices():
    found = row(0.3, math.nan, key="outlying_devices")
    few = SITUATION._replace(devices=4)
    assert advice_on(found, "open", few) == "Measure 10 devices or more; found 4."


@pytest.mark.parametrize(
    ("events", "cases", "interval"),
    [(1, 16, (0.0016, 0.3023)), (0, 16, (0.0, 0.2059)), (16, 16, (0.7941, 1.0))],
)
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(events, cases, interval):
    """Of 16 cases the limits without or with all events are 0.025 ** (1 / 16)."""
    assert share_interval(events, cases) == pytest.approx(interval, abs=2e-4)


def test_shares_of_few_devices_state_their_interval():
    y = np.zeros((16, 30, 4))
    units = Units([(np.arange(30), one) for one in y], Frame(np.ones(4), np.zeros((4, 0)), FOUR))
    (text,) = share_of_devices(lambda _: np.asarray(1.0 / 16.0))(units)
    assert text == "1 of 16 devices; 95 % interval 0.16 to 30 %"


def test_events_of_one_device_are_more_uncertain_than_the_same_number_in_many():
    """Ten events in a thousand cycles of ten devices: one in each, or all in one."""

    def upper(counts):
        y = [np.repeat([[1.0, 0, 0, 0], [0, 0, 0, 0]], [k, 100 - k], axis=0) for k in counts]
        units = Units(
            [(np.arange(100), one) for one in y], Frame(np.ones(4), np.ones((4, 1)), FOUR)
        )
        measure = lambda sample: sample.total(events) / sample.total(cycle_count)  # noqa: E731
        (text,) = share_of_cycles(measure)(units)
        assert text.startswith("10 of 1000 cycles")
        return float(text.split(" to ")[1].removesuffix(" %"))

    def events(_, y, __):
        return float(y[:, 0].sum())

    assert upper([10] + 9 * [0]) > 3.0 * upper(10 * [1])


def test_the_next_steps_begin_with_the_worst_and_share_lines():
    steps = next_steps(verdicts(*ONE_OF_EACH, (0.2, math.nan)))
    assert [step.split(":")[0] for step in steps] == [
        "Differs", "Differs a little", "Cannot be judged",
    ]  # fmt: skip
    assert steps[0].startswith("Differs: Memory of R_LRS (3.0 yardsticks). ")
    assert steps[2].count("Memory of R_LRS") == 2
