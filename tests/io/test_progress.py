"""The progress bar."""

import pytest

from synfab.io.progress import ProgressBar


def test_nothing_is_drawn_unless_asked_for(capfd):
    with ProgressBar("cells", 3, show=False) as bar:
        bar.advance()
        bar.update(completed=3, total=3, text="done")
    assert capfd.readouterr() == ("", "")


def test_a_bar_shows_text_and_share_on_standard_error(capfd):
    with ProgressBar("cells", 4, show=True) as bar:
        bar.advance()
        bar.update(completed=2, text="half of the cells")
    out, err = capfd.readouterr()
    assert out == ""
    assert "half of the cells" in err
    assert "50%" in err


def test_a_total_may_follow(capfd):
    with ProgressBar("programming", show=True) as bar:
        bar.update(total=8, completed=2)
    assert "25%" in capfd.readouterr().err


def test_a_bar_that_vanishes_leaves_nothing(capfd):
    with ProgressBar("reading", show=True, vanish=True) as bar:
        bar.update(text="fitting")
    assert "fitting" not in capfd.readouterr().err


def test_an_error_ends_the_bar(capfd):
    with pytest.raises(ZeroDivisionError), ProgressBar("cells", 4, show=True) as bar:
        bar.advance(1 / 0)
    assert "cells" in capfd.readouterr().err
