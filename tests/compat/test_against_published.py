"""The published package as an oracle: the same noise must give the same cells."""

import importlib

import numpy as np
import pytest

import synfab as sf
from synfab.cli.demo import random_voltages
from synfab.physics import rules
from synfab.random.streams import Stream, normals, words

oracle = importlib.import_module("synaptogen.synaptogen")

CELLS, PULSES, CURRENT_BOUND = 1000, 100, 1e-9


def shared_array(seed: int):
    """An array of each package with the same devices, history and innovations."""
    ours = sf.CellArray("published", CELLS, seed=seed)
    parameters, block = ours.device_parameters.T, ours.engine_instance.blocks()
    number = np.arange(CELLS, dtype=np.uint32)
    theirs = oracle.CellArrayCPU(CELLS)
    theirs.μ[:], theirs.σ[:] = parameters[:4], parameters[4:]
    theirs.Xhat[4:] = block.reshape(40, CELLS)  # oldest first
    theirs.x = block[-1]
    theirs.y = oracle.Ψ(theirs.μ, theirs.σ, oracle.Γ(theirs.params.γ, block[-1]))
    theirs.UR = theirs.y[3].copy()
    theirs.r = ours.r
    theirs.inHRS[:] = True

    def innovations(shape, out):
        index = (theirs.n + 1).astype(np.uint32)
        out[:] = normals(words(seed, (number, number * 0), index, Stream.INNOVATION))

    return ours, theirs, innovations


@pytest.mark.parametrize("seed", [1, 2])
def test_a_shared_life_of_pulses_is_the_same(monkeypatch, seed):
    """1e5 random pulses; cells whose cycle is clamped, or that met a tie, are left out."""
    ours, theirs, innovations = shared_array(seed)
    monkeypatch.setattr(oracle, "randn", innovations)
    u_read = np.float32(0.2)
    left_out = np.zeros(CELLS, bool)
    worst = np.zeros(3)
    for k in range(PULSES):
        u = random_voltages((CELLS,), 100 * seed + k) * np.float32(0.9)
        ours.apply_voltage(u)
        # Its thresholds are a view of its features: a copy keeps the two apart.
        theirs.UR = theirs.UR.copy()
        oracle.applyVoltage(theirs, u)
        left_out |= theirs.n != ours.cycle
        high = oracle.r(theirs.y[0], theirs.params.G_HHRS, theirs.params.G_LLRS)
        left_out |= high > rules.highest_state(ours.model)
        kept = ~left_out
        current = np.abs(ours.current(u_read) - oracle.I(theirs, u_read))[kept].max()
        threshold = np.abs(ours.engine_instance.take().threshold - theirs.UR)
        moved = kept & ~theirs.inHRS
        worst = np.maximum(
            worst,
            [current, np.abs(ours.r - theirs.r)[kept].max(), threshold[moved].max(initial=0.0)],
        )
    assert worst[0] <= CURRENT_BOUND
    assert worst[1] <= 5e-6
    assert worst[2] <= 1e-5
    assert left_out.sum() <= 5
    assert ours.cycle.mean() > 5


def test_its_readme_example_runs_with_the_import_line_changed():
    example = """
from synfab.compat import *
import numpy as np
M = 1024 * 1024
cells = CellArrayCPU(M)
applyVoltage(cells, -2)
voltages = np.random.randn(M)
applyVoltage(cells, voltages)
I = Iread(cells)
col_voltages = np.random.randn(2**5) * .2
row_currents = cells @ col_voltages
"""
    names: dict = {}
    exec(example, names)
    assert names["I"].shape == (2**20,)
    assert names["row_currents"].shape == (2**15,)
    assert np.isfinite(names["row_currents"]).all()


def test_compat_reads_columns_in_its_order():
    from synfab import compat

    ours = compat.CellArrayCPU(64, seed=1)
    compat.applyVoltage(ours, -2)
    v = np.linspace(0.1, 0.2, 8)
    summed = np.reshape(compat.I(ours, np.repeat(v, 8)), (8, 8), order="F").sum(axis=1)
    np.testing.assert_allclose(ours @ v, summed, rtol=0.05)
    assert np.array_equal(compat.HRS(ours), ours.cells.features["r_hrs"])
    assert compat.ADC(np.array([-1.0]), 0.0, 1.0, 4)[0] == 0.0
    with pytest.raises(sf.InvalidValueError, match="v: 64 cells do not divide"):
        ours @ np.zeros(7)
    with pytest.raises(sf.InvalidValueError, match="order"):
        compat.load_params(p=11)


@pytest.mark.slow
def test_features_are_distributed_as_the_published_package_s_after_its_burn_in(measured):
    """4,000 devices x 300 cycles of each; two-sample test on device means and on cycles.

    Devices are independent, so the means of a device's cycles are compared by a Kolmogorov-Smirnov
    test on 4,000 against 4,000 numbers, and single late cycles likewise; eight tests at 1e-4.
    """
    from scipy.stats import ks_2samp

    devices, cycles = 4000, 300
    oracle.rng = np.random.default_rng(5)
    oracle.randn = lambda *a, **k: oracle.rng.standard_normal(*a, **{"dtype": np.float32, **k})
    oracle.rand = lambda n: oracle.rng.random(n, dtype=np.float32)
    theirs = oracle.CellArrayCPU(devices)
    theirs.inHRS[:] = True
    ours = sf.CellArray("published", devices, seed=6)
    for _ in range(300):
        oracle.applyVoltage(oracle.applyVoltage(theirs, -2.0), 1.5)
    sums = np.zeros((2, 4, devices))
    for _ in range(cycles):
        oracle.applyVoltage(oracle.applyVoltage(theirs, -2.0), 1.5)
        ours.apply_voltage(-2.0).apply_voltage(1.5)
        # Its UR is overwritten by the applied voltage: recompute the features from the history.
        drawn = oracle.Ψ(theirs.μ, theirs.σ, oracle.Γ(theirs.params.γ, theirs.Xhat[-4:]))
        mine = np.stack([ours.features[name] for name in sf.FEATURES])
        for k, values in enumerate((drawn, mine)):
            sums[k] += np.concatenate([np.log10(values[:1]), values[1:]])
    for f in range(4):
        p = min(ks_2samp(sums[0, f], sums[1, f]).pvalue, ks_2samp(drawn[f], mine[f]).pvalue)
        measured("p of a two-sample Kolmogorov-Smirnov test, smallest of 8", p, "> 1e-4")
        assert p > 1e-4
