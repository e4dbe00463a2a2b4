"""The kernels beside the reference under programs that nobody thought of."""

import numpy as np
import pytest

import synfab as sf

TRIALS = 120
BOUND = 3e-5  # of features, relative
LEVELS = (-2.0, -1.0, -0.7, 0.9, 1.2, 1.5, 1.6, 2.0)  # V


def pattern(random, n):
    """Some of n cells: a run, every so many, stripes, all but three, a random part."""
    cells, number = np.arange(n), int(random.integers(1, 400))
    low, high = np.sort(random.integers(0, n + 1, 2))
    return (
        (low <= cells) & (cells < high), cells % (number % 9 + 1) == 0, (cells // number) % 2 == 0,
        ~np.isin(cells, random.integers(0, n, 3)), random.random(n) < random.random(),
    )[random.integers(5)]  # fmt: skip


def step(random, n):
    """One thing that is done to an array of n cells."""
    where = pattern(random, n) if random.random() < 0.6 else None
    u, v = random.choice(LEVELS, 2)
    kind = random.integers(10)
    if kind == 0:
        g = random.uniform(3e-5, 2e-4, n)
        return lambda cells: cells.set_conductance(g, where=where)
    if kind < 4:
        u = np.where(pattern(random, n), u, v).astype(np.float32)
    elif kind < 6:
        u = random.normal(0.0, 1.2, n).astype(np.float32)
    return lambda cells: cells.apply_voltage(u, where=where)


@pytest.mark.parametrize("engine", ["numba", "warp"])
def test_kernels_do_what_the_reference_does_under_any_program(published, engine):
    """Up to cells that meet a threshold within rounding: a few of some 140,000."""
    if engine == "warp":
        pytest.importorskip("warp")
    total = 0
    random = np.random.default_rng(7)
    for _ in range(TRIALS):
        n, first = int(random.integers(1, 2200)), int(random.choice([0, 7, 2**32 - 5, 10**12]))
        options = {"seed": 3, "order": int(random.integers(1, 11)), "first_cell": first}
        ours = sf.CellArray(published, n, engine=engine, **options)
        reference = sf.CellArray(published, n, engine="array", **options)
        for _ in range(int(random.integers(5, 60))):
            act = step(random, n)
            act(ours)
            act(reference)
        off = np.abs(ours.r - reference.r) > 3.0 * BOUND
        for name, values in ours.features.items():
            off |= np.abs(values / reference.features[name] - 1.0) > BOUND
        off |= ours.cycle != reference.cycle
        assert off.sum() <= 4, (n, options)
        total += int(off.sum())
    assert total <= 15
