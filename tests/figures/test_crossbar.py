"""Figures of crossbars show the numbers they are given."""

import numpy as np
import pytest

import synfab as sf
from synfab.figures import crossbar as figures


@pytest.fixture(scope="module")
def bar():
    return sf.Crossbar(
        sf.CellArray("published", (12, 9), seed=3), 5.0, access=sf.crossbar.Transistor(1e3)
    )


def test_maps_and_profiles_show_the_solution(bar):
    found = bar.solve(np.linspace(-0.2, 0.2, 9))
    figure = figures.maps(found)
    images = [axis.images[0].get_array() for axis in figure.axes[:2]]
    np.testing.assert_allclose(images[0], found.cell_voltage)
    np.testing.assert_allclose(images[1], found.cell_current * 1e6)
    lines = figures.ir_drop(found).axes[0].lines
    np.testing.assert_allclose(lines[2].get_ydata(), found.column_voltage[:, 8])


def test_the_disturb_map_counts_cells():
    plain = sf.Crossbar(sf.CellArray("published", (16, 16), seed=3), 1.0)
    pulse = plain.write(rows=2, columns=3, voltage=-1.5)
    axis = figures.disturb(pulse).axes[1]
    label = axis.get_legend().get_texts()[3].get_text()
    assert label == f"disturbed: {pulse.disturbed.sum()}"
    assert (np.asarray(axis.images[0].get_array()) == 3).sum() == pulse.disturbed.sum() > 0


def test_programming_shows_errors_and_trajectory(bar):
    found = bar.program(np.random.default_rng(1).uniform(3e-5, 1.5e-4, (12, 9)))
    figure = figures.programming(found)
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == (found.outcome == 0).sum()
    np.testing.assert_array_equal(
        figure.axes[2].lines[0].get_ydata(), np.maximum(found.pending, 0.5)
    )
    assert figures.programming(bar.program_open_loop(1e-4)).axes
