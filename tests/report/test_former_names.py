"""Earlier names of the verdicts work for one release, with a warning."""

import pytest

from synfab import report


def test_headline_says_what_replaces_it():
    with pytest.warns(DeprecationWarning, match=r"is now found\.headline"):
        assert report.headline([]) == "The measurement is too small to judge any property."
