"""Adjoint gradients against finite differences; converters."""

import numpy as np
import pytest

import synfab as sf

SEED = np.random.default_rng(9).normal(size=6)
V = np.array([0.3, -0.4, 0.7, 0.1, -0.9])


def made(access=None, wire=20.0, **options):
    cells = sf.CellArray("published", (6, 5), seed=3).apply_voltage(-2.0)
    cells.apply_voltage(np.random.default_rng(1).uniform(0.6, 1.5, (6, 5)))
    return sf.Crossbar(
        cells, wire, source_resistance=50.0 if wire else 0.0, access=access, **options
    )


# Row, column, and by how much (S) the cell there conducts more than its array says.
CHANGE = []


class Perturbed(sf.crossbar.Circuit):
    """A circuit whose cell (i, j) conducts a little more than its array says."""

    def conducting(self, linear=False, gates=None):
        found = super().conducting(linear, gates)
        if CHANGE:
            i, j, dg = CHANGE
            c = self.cells.model.conduction
            found.values[i, j] += dg if linear else -dg / (c.g_llrs - c.g_hhrs)
        return found


CASES = [
    {},
    {"wire": 0.0},
    {"access": sf.crossbar.Transistor(2e3)},
    {"access": sf.crossbar.Selector(1e-6, 0.05)},
    {"drive": "both", "sense": "right"},
]
LINEAR = [case for case in CASES if not isinstance(case.get("access"), sf.crossbar.Selector)]


@pytest.mark.parametrize(
    ("options", "linear"), [(case, False) for case in CASES] + [(case, True) for case in LINEAR]
)
def test_gradients_equal_finite_differences(options, linear):
    bar = made(**options)
    bar.circuit = Perturbed(bar.cells, bar.wires, bar.access, bar.stuck)
    found = bar.gradient(V, SEED, linear=linear)
    loss = lambda v, w=0.0: SEED @ bar.solve(v, row_voltage=w, linear=linear).currents  # noqa: E731
    for i, j in ((0, 0), (3, 2), (5, 4)):
        ends = []
        for sign in (1.0, -1.0):
            CHANGE[:] = i, j, sign * 1e-8
            ends.append(loss(V))
        CHANGE.clear()
        difference = (ends[0] - ends[1]) / 2e-8
        assert found.conductance[i, j] == pytest.approx(difference, rel=1e-4, abs=1e-5)
    for j in range(5):
        step = 1e-5 * np.eye(5)[j]
        difference = (loss(V + step) - loss(V - step)) / 2e-5
        assert found.columns[j] == pytest.approx(difference, rel=1e-5, abs=1e-9)
    for i in range(6):
        step = 1e-5 * np.eye(6)[i]
        difference = (loss(V, step) - loss(V, -step)) / 2e-5
        assert found.rows[i] == pytest.approx(difference, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("wire", [0.0, 20.0])
def test_gradients_know_the_voltages_of_the_rows(wire):
    bar, w = made(wire=wire), np.linspace(-0.4, 0.3, 6)
    found = bar.gradient(V, SEED, row_voltage=w)
    loss = lambda v: SEED @ bar.solve(v, row_voltage=w).currents  # noqa: E731
    for j in range(5):
        step = 1e-5 * np.eye(5)[j]
        difference = (loss(V + step) - loss(V - step)) / 2e-5
        assert found.columns[j] == pytest.approx(difference, rel=1e-5, abs=1e-9)


def test_gradients_know_floating_lines_and_defects():
    dead, short = np.zeros((6, 5), bool), np.zeros((6, 5), bool)
    dead[2, 2] = short[3, 0] = True
    bar = made(open_cells=dead, shorted_cells=short)
    found = bar.gradient(V, SEED, floating_rows=[4], floating_columns=[1])
    assert found.conductance[2, 2] == found.conductance[3, 0] == 0.0
    assert found.rows[4] == found.columns[1] == 0.0
    loss = lambda v: SEED @ bar.solve(v, floating_rows=[4], floating_columns=[1]).currents  # noqa: E731
    step = 1e-5 * np.eye(5)[0]
    difference = (loss(V + step) - loss(V - step)) / 2e-5
    assert found.columns[0] == pytest.approx(difference, rel=1e-5)


def test_converters_round_and_clip_at_both_ends():
    bar = made()
    plain = bar.read(V, noise=False)
    levels = np.linspace(-0.5, 0.5, 16)
    rounded = levels[np.abs(V[:, None] - levels).argmin(axis=1)]
    np.testing.assert_allclose(
        bar.read(V, noise=False, dac=(-0.5, 0.5, 4)), bar.read(rounded, noise=False), atol=1e-11
    )
    low, high = np.quantile(plain, [0.3, 0.7])
    converted = bar.read(V, noise=False, adc=(low, high, 6))
    np.testing.assert_allclose(converted, sf.adc(plain, low, high, 6), rtol=1e-9)
    assert converted.min() == pytest.approx(low)
    assert converted.max() == pytest.approx(high)
    with pytest.raises(sf.InvalidTypeError, match="adc: expected"):
        bar.read(V, adc=4)
    with pytest.raises(sf.InvalidValueError, match="dac: expected lowest below highest"):
        bar.read(V, dac=(1.0, 0.0, 4))
    with pytest.raises(sf.InvalidValueError, match="seed: expected shape 6"):
        bar.gradient(V, np.ones(5))
