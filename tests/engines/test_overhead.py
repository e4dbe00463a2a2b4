"""What is derived from a model is derived once, and shared without harm."""

import dataclasses

import numpy as np
import pytest

import synfab as sf
from synfab.engines.compact import engine as compact_engine
from synfab.engines.numba import model32
from synfab.model import model_file as modelfile
from synfab.model.conduction import Conduction
from synfab.model.history import History


def counted(monkeypatch, owner, name):
    """Count the calls of a function from now on."""
    calls, plain = [], getattr(owner, name)

    def counting(*arguments, **options):
        calls.append(name)
        return plain(*arguments, **options)

    monkeypatch.setattr(owner, name, counting)
    return calls


def test_the_published_model_is_read_once(monkeypatch):
    model = sf.load_model()
    parsed = counted(monkeypatch, modelfile, "parse")
    assert sf.load_model() is model
    assert sf.load_model("published") is sf.CellArray("published", 4, seed=1).model
    assert not parsed


def test_a_shared_model_cannot_be_changed():
    model = sf.load_model()
    history, conduction = model.history(), model.conduction
    with pytest.raises(TypeError):
        model.provenance["source"] = "mine"
    assert all(isinstance(value, str) for value in model.provenance.values())
    arrays = [
        *(history.companion, *history.block_matrices, history.stationary_covariance),
        *(history.stationary_factor, *conduction.padded, model.marginals),
    ]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


def test_a_model_file_is_read_again_after_it_changed(tmp_path):
    path = tmp_path / "mine.json"
    sf.save_model(sf.load_model(), path)
    first = sf.load_model(path)
    sf.save_model(dataclasses.replace(first, name="second"), path)
    assert (first.name, sf.load_model(path).name) == ("published", "second")


@pytest.mark.parametrize("history", ["float32", "compact"])
def test_a_second_array_of_a_model_derives_nothing_again(monkeypatch, history):
    first = sf.CellArray("published", 20, seed=1, history=history)
    rounded = [
        counted(monkeypatch, np, "pad"),
        counted(monkeypatch, np, "ascontiguousarray"),
        counted(monkeypatch, compact_engine, "reduce_history"),
        counted(monkeypatch, np.linalg, "cholesky"),
    ]
    second = sf.CellArray("published", 20, seed=1, history=history)
    assert rounded == [[]] * len(rounded)
    np.testing.assert_array_equal(first.read(), second.read())


def test_models_of_one_name_keep_their_own_numbers():
    published = sf.load_model()
    orders = {
        order: History(history.innovation, np.asarray(history.lags) * 0.5)
        for order, history in published.histories.items()
    }
    other = sf.CellModel(
        "published", published.marginals, orders, published.population, published.conduction
    )
    sf.CellArray(published, 8, seed=1)
    ours, alone = sf.CellArray(other, 8, seed=1), sf.CellArray(other, 8, seed=1)
    model32.round_model.cache_clear()
    model32.stationary_blocks.cache_clear()
    fresh = sf.CellArray(other, 8, seed=1)
    for cells in (ours, alone, fresh):
        for u in (-2.0, 1.5) * 12:
            cells.apply_voltage(u)
    np.testing.assert_array_equal(ours.read(), fresh.read())
    np.testing.assert_array_equal(alone.features["r_hrs"], fresh.features["r_hrs"])


def test_reads_derive_no_slope_again(monkeypatch):
    cells = sf.CellArray("published", 16, seed=1)
    cells.read()
    derived = counted(monkeypatch, Conduction, "slope")
    cells.read()
    cells.read(0.0)
    assert not derived


@pytest.mark.parametrize("size", [1, 3, 61, 64, 65, 1023, 1025])
@pytest.mark.parametrize("first_cell", [0, 1, 6])
def test_few_cells_have_the_noise_that_they_have_among_many(size, first_cell):
    many = sf.CellArray("published", 3000, seed=3, first_cell=first_cell)
    few = sf.CellArray("published", size, seed=3, first_cell=first_cell)
    for number in range(2):
        for u in (0.2, np.full(1, 0.1)):
            expected = many.read(u, number=number)[:size]
            np.testing.assert_array_equal(few.read(u, number=number), expected)


@pytest.mark.parametrize("size", [8, 16, 21])
def test_masks_need_not_lie_in_one_piece(size):
    flags = np.arange(2 * size) % 6 == 0
    strided, plain = (sf.CellArray("published", size, seed=1) for _ in range(2))
    strided.apply_voltage(-2.0, where=flags[::2])
    plain.apply_voltage(-2.0, where=flags[::2].copy())
    np.testing.assert_array_equal(strided.in_lrs, plain.in_lrs)
    assert strided.apply_voltage(-2.0, where=True).in_lrs.all()


@pytest.mark.parametrize("u", [float("nan"), float("inf"), -1e39, np.float64("nan")])
def test_one_voltage_must_be_a_number_that_float32_holds(u):
    with pytest.raises(sf.InvalidValueError, match="u: expected finite voltages"):
        sf.CellArray("published", 4, seed=1).apply_voltage(u)
