"""Earlier names of arguments."""

import numpy as np
import pytest

import synfab as sf
from synfab.common.deprecation import renamed, renamed_arguments


@renamed_arguments(most="maximum")
def limited(value, *, maximum=5):
    """Return the value, limited."""
    return min(value, maximum)


def test_the_earlier_name_does_the_same_with_a_warning():
    assert limited(9, maximum=7) == 7
    with pytest.warns(DeprecationWarning, match="^most is now maximum") as caught:
        assert limited(9, most=7) == 7
    assert caught[0].filename == __file__


def test_both_names_are_refused():
    with pytest.raises(sf.InvalidTypeError, match="most: found along with"):
        limited(9, most=7, maximum=7)


def test_other_arguments_are_left_alone():
    assert renamed({"a": 1}, {"b": "c"}, stacklevel=2) == {"a": 1}


def test_programming_accepts_the_earlier_name_of_max_passes():
    def programmed(**options):
        return sf.Crossbar(sf.CellArray("published", (2, 3), seed=1), 0.0).program(1e-4, **options)

    found = programmed(max_passes=1)
    with pytest.warns(DeprecationWarning, match="most_passes is now max_passes"):
        again = programmed(most_passes=1)
    assert len(again.pending) == len(found.pending) == 2
    np.testing.assert_array_equal(again.pulses, found.pulses)
