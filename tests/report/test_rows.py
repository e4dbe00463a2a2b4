"""Verdicts as markup."""

import math
import re

import pytest

from synfab.learn.comparison.verdicts import Verdict
from synfab.report import rows


def verdict(level="good", distance=0.1, yardstick=0.2):
    return Verdict("Memory", "correlation", distance, yardstick, level)


def test_groups_start_with_the_worst_and_keep_their_order():
    judged = [verdict("far", 0.9), verdict("near", 0.3), verdict("open"), verdict("good")]
    found = rows.groups(judged)
    assert [g.title for g in found] == [
        "Properties that differ",
        "Properties that cannot be judged",
        "Properties that agree",
    ]
    assert found[0].verdicts == judged[:2]
    assert [g.title for g in rows.groups([verdict()])] == ["Properties that agree"]


def test_counts_add_up_to_all_properties():
    judged = [verdict("far"), verdict("open"), verdict("open"), verdict("good")]
    found = rows.counted(judged)
    assert [(c.level, c.number) for c in found] == [("far", 1), ("open", 2), ("good", 1)]
    assert sum(c.number for c in found) == len(judged)


@pytest.mark.parametrize(("ratio", "x"), [(0.0, 4.0), (1.0, 36.0), (2.0, 68.0), (2.9, 96.8)])
def test_a_gauge_has_its_marks_at_one_and_two_yardsticks(ratio, x):
    text = rows.gauge(verdict(distance=0.2 * ratio))
    assert "M36 3v10M68 3v10" in text
    assert float(re.search(r'cx="([\d.]+)"', text)[1]) == pytest.approx(x)


def test_a_gauge_points_beyond_its_end_and_is_empty_without_a_yardstick():
    assert "circle" not in rows.gauge(verdict("far", 2.0))
    assert 'aria-label="10 yardsticks"' in rows.gauge(verdict("far", 2.0))
    assert rows.gauge(verdict("open", 0.1, math.nan)) == ""
    assert rows.gauge(verdict("open", math.nan)) == ""
