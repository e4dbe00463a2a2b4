"""Marginals in pieces: the same function in every engine and in files."""

import numpy as np
import pytest
from marginals import with_marginals

import synfab as sf
from synfab.physics import drawing


def test_pieces_equal_the_polynomial_and_go_on_straight(published, pieces):
    x = np.linspace(-4.99, 4.99, 2001, dtype=np.float32)
    for f in range(4):
        exact = np.polyval(published.marginals[f], x)
        np.testing.assert_allclose(drawing.marginal(pieces.marginals[f], x), exact, atol=3e-5)
        outside = drawing.marginal(pieces.marginals[f], np.array([5.0, 6.0, 7.0], np.float32))
        assert np.isclose(outside[2] - outside[1], outside[1] - outside[0], rtol=1e-4)
        slope = np.polyval(np.polyder(published.marginals[f]), 5.0)
        assert np.isclose(outside[1] - outside[0], slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("engine", ["numba", "array", "warp"])
def test_arrays_agree_with_the_polynomial_model(published, pieces, engine):
    if engine == "warp":
        pytest.importorskip("warp")
    a = sf.CellArray(published, 3000, seed=5)
    b = sf.CellArray(pieces, 3000, seed=5, engine=engine)
    for _ in range(12):
        for cells in (a, b):
            cells.apply_voltage(-2.0).apply_voltage(1.5)
        for name in sf.FEATURES:
            np.testing.assert_allclose(b.features[name], a.features[name], rtol=2e-4, atol=3e-5)


def test_pieces_survive_a_file(pieces, tmp_path):
    sf.save_model(pieces, tmp_path / "m.json")
    again = sf.load_model(tmp_path / "m.json")
    np.testing.assert_array_equal(again.marginals, pieces.marginals)


def test_wrong_shapes_are_named(published):
    with pytest.raises(sf.InvalidValueError, match="marginals: expected shape 4 x any x any"):
        with_marginals(published, np.zeros((3, 8, 5)))
