"""Cells in sixteen bytes: what is exact, what is nearly so, and how near."""

import numpy as np
import pytest

import synfab as sf
from synfab.engines.numba.threads import default_threads
from synfab.model.history import History
from synfab.model.reduction import reduce_history
from synfab.physics import rules

CYCLES, CELLS = 240, 2048


@pytest.fixture(scope="module")
def life(published):
    """x* of many cells over many cycles, out of the features of compact cells."""
    cells = sf.CellArray(published, CELLS, seed=3, history="compact")
    record = []
    for _ in range(CYCLES):
        cells.apply_voltage(-2.0).apply_voltage(2.0)
        record.append(cells.engine_instance.vectors())
    return np.stack(record)  # (cycles, 4, cells)


def test_a_cell_costs_sixteen_bytes(published):
    cells = sf.CellArray(published, 2**14, seed=1, history="compact")
    stored = cells.engine_instance.storage()
    assert sum(stored[name].nbytes for name in ("r", "threshold", "status", "history")) == 2**18


def test_the_reduced_history_is_near_the_full_one(published, measured):
    full = published.history(None)
    deviation = np.sqrt(np.diag(full.autocovariance(0)[0]))
    exact = full.autocovariance(50) / np.outer(deviation, deviation)
    found = reduce_history(full).autocovariance(50) / np.outer(deviation, deviation)
    np.testing.assert_allclose(found[0], exact[0], atol=1e-9)
    deviation = np.abs(found - exact).max()
    measured("deviation of a correlation, lags 0 to 50", deviation, "< 0.04")
    assert deviation < 0.04
    short = published.history(2).autocovariance(50) / np.outer(deviation, deviation)
    assert np.abs(short - exact).max() > 0.3  # what as many bytes in a VAR(2) would leave


def test_a_history_of_few_numbers_is_kept_whole():
    lags = np.diag([0.9, 0.5, -0.3, 0.0])[None]
    history = History(np.diag([0.4, 0.8, 0.9, 1.0]), lags)
    reduced = reduce_history(history)
    np.testing.assert_allclose(
        reduced.autocovariance(20), history.autocovariance(20), atol=2e-3, rtol=0
    )


@pytest.mark.slow
def test_cells_follow_the_reduced_history(published, life):
    reduced = reduce_history(published.history(None)).autocovariance(30)
    samples = CELLS * CYCLES
    for lag in (0, 1, 5, 30):
        pairs = life[lag:], life[: CYCLES - lag]
        found = np.einsum("nac,nbc->ab", *pairs) / (CELLS * (CYCLES - lag))
        # Correlated over some 30 cycles: no more than 60 times the variance of independent ones.
        assert np.abs(found - reduced[lag]).max() < 5.0 * np.sqrt(2.0 * 60.0 / samples)
    first, last = life[:20].std(axis=(0, 2)), life[-20:].std(axis=(0, 2))
    np.testing.assert_allclose(last, first, rtol=0.03)  # stationary from the first cycle on


def test_compact_cells_are_the_same_devices(published):
    pair = [sf.CellArray(published, 5000, seed=2, history=h) for h in ("float32", "compact")]
    assert np.array_equal(pair[0].device_parameters, pair[1].device_parameters)
    for cells in pair:
        cells.apply_voltage(-2.0).apply_voltage(0.9).apply_voltage(1.5)
    for name in ("r_hrs", "u_set", "r_lrs", "u_reset"):
        full, compact = (cells.features[name] for cells in pair)
        assert np.corrcoef(full, compact)[0, 1] > 0.8  # the same draws, in nearly the same history
        assert abs(np.median(compact) / np.median(full) - 1.0) < 0.02


def test_states_follow_the_rules(published):
    """Against ``rules`` on what the cells say of themselves, step by step."""
    cells = sf.CellArray(published, 3000, seed=4, history="compact")
    engine = cells.engine_instance
    for u in (-2.0, 0.7, 0.9, -2.0, 1.0, 1.1, 1.6):
        before, features, cycle = engine.take(), engine.features(), cells.cycle
        cells.apply_voltage(u)
        after = engine.take()
        voltages = np.full(3000, u, np.float32)
        chosen = rules.select(published, features, before, voltages)
        assert np.array_equal(cells.cycle, cycle + chosen.draw)
        expected = rules.settle(published, engine.features(), before, chosen, voltages)
        assert np.array_equal(after.in_hrs, expected.in_hrs)
        assert np.array_equal(after.in_lrs, expected.in_lrs)
        np.testing.assert_allclose(after.r, expected.r, atol=2e-4)
        moved = chosen.set_ | chosen.partial
        np.testing.assert_allclose(
            after.threshold[moved], expected.threshold[moved], atol=1.1 * 1.5 / 2**14
        )


def test_the_same_pulse_again_does_nothing(published):
    cells = sf.CellArray(published, 5000, seed=4, history="compact")
    cells.apply_voltage(-2.0).apply_voltage(0.87)
    before = cells.r
    for _ in range(20):
        cells.apply_voltage(0.87)
    assert np.array_equal(cells.r, before)


@pytest.mark.parametrize(("cell", "k", "level"), [(4_440_167, 2, 127), (11_398_727, 0, -127)])
def test_the_rarest_draws_are_cut_off_and_not_turned_round(published, cell, k, level):
    """Draws of 5.86 and -5.69 standard deviations; a byte ends at 5.3."""
    cells = sf.CellArray(published, 1, seed=1, first_cell=cell, history="compact")
    assert cells.engine_instance.storage()["history"][0, k, 0] == level


def test_slices_masks_and_threads_make_the_same_cells(published, monkeypatch):
    whole = sf.CellArray(published, 40_000, seed=6, history="compact")
    parts = [
        sf.CellArray(published, n, seed=6, history="compact", first_cell=first)
        for first, n in ((0, 9_999), (9_999, 30_001))
    ]
    u = np.linspace(-2.2, 1.8, 40_000, dtype=np.float32)
    mask = np.arange(40_000) % 3 == 0
    assert default_threads() >= 1
    for step in range(4):
        v = np.roll(u, 7919 * step)
        whole.apply_voltage(v, where=mask if step == 2 else None)
        monkeypatch.setenv("SYNFAB_NUM_THREADS", "1")
        for part in parts:
            at = slice(part.first_cell, part.first_cell + part.size)
            part.apply_voltage(v[at], where=mask[at] if step == 2 else None)
        monkeypatch.delenv("SYNFAB_NUM_THREADS")
    joined = np.concatenate([part.r for part in parts])
    assert np.array_equal(joined, whole.r)
    assert np.array_equal(np.concatenate([p.cycle for p in parts]), whole.cycle)
    assert len(np.unique(whole.cycle)) > 1


def test_programming_reading_and_files(published, tmp_path):
    cells = sf.CellArray(published, (30, 40), seed=1, history="compact")
    target = np.linspace(2e-5, 1e-4, 1200).reshape(30, 40)
    cells.set_conductance(target)
    np.testing.assert_allclose(cells.conductance(0.01), target, rtol=0.05)
    exact = sf.CellArray(published, (30, 40), seed=1)
    exact.set_conductance(target)
    v = np.full(40, 0.2)
    np.testing.assert_allclose(
        cells.matvec(v, noise=False), exact.matvec(v, noise=False), rtol=1e-3
    )
    assert cells.read().shape == (30, 40)
    cells.save(tmp_path / "cells.npz")
    again = sf.CellArray.load(tmp_path / "cells.npz")
    assert (again.history, again.nbytes) == ("compact", cells.nbytes)
    twin = cells.copy()
    for each in (cells, again, twin):
        each.apply_voltage(-2.0).apply_voltage(0.9)
    assert np.array_equal(again.r, cells.r)
    assert np.array_equal(twin.r, cells.r)
    assert cells[3, 4].cycle == cells.cycle[3, 4]


def test_only_numba_has_compact_cells(published):
    with pytest.raises(sf.InvalidValueError, match="compact"):
        sf.CellArray(published, 4, seed=1, engine="array", history="compact")
