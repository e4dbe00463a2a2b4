"""Cells that are fabricated when needed, and states of what a seed does not give."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.cells.deferred import deferred_cells
from synfab.torch import CrossbarLinear, program
from synfab.torch.state import dump, with_digest


def pair(shape=(8, 40)):
    """Return cells that wait for their fabrication, and the same cells in memory."""
    made = deferred_cells(
        sf.load_model(), shape, seed=5, first_cell=3, order=None, engine="numba",
        history="float32", arrays="numpy", device=None,
    )  # fmt: skip
    return made, sf.CellArray("published", shape, seed=5, first_cell=3)


def assert_same(one, two):
    """Assert that two arrays hold the same cells, bit for bit."""
    ours, theirs = (cells.engine_instance.storage() for cells in (one, two))
    size = one.size
    for name in ("r", "status"):
        np.testing.assert_array_equal(ours[name][:size], theirs[name][:size])
    for name in ("switch", "devices", "history"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert (one.read_number, one.readout_number) == (two.read_number, two.readout_number)


def waits(cells):
    """Tell whether cells are not fabricated yet."""
    return cells.engine_instance.waiting is not None


WAYS = {
    "pulse": lambda cells: cells.apply_voltage(-2.0),
    "some": lambda cells: cells.apply_voltage(-0.7, where=np.arange(40) % 3 == 0),
    "program": lambda cells: cells.apply_program([-2.0, 1.0, -1.0]),
    "partly": lambda cells: cells.set_conductance(3e-5, where=np.arange(40) % 2 == 0),
    "features": lambda cells: cells.features,
    "device": lambda cells: cells.device_parameters,
    "flags": lambda cells: cells.in_hrs,
    "cycle": lambda cells: cells.cycle,
    "storage": lambda cells: cells.engine_instance.storage(),
}  # fmt: skip


@pytest.mark.parametrize("programmed", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_cells_that_wait_become_the_cells_of_the_seed(way, programmed):
    later, now = pair()
    g = np.linspace(1e-5, 1e-4, 320).reshape(8, 40)
    if programmed:
        for cells in (later, now):
            cells.set_conductance(g[::-1]).set_conductance(g)
    assert waits(later)
    for cells in (later, now):
        WAYS[way](cells)
    assert not waits(later)
    assert_same(later, now)


def test_reading_does_not_fabricate_cells():
    later, now = pair()
    for cells in (later, now):
        cells.set_conductance(5e-5)
    np.testing.assert_array_equal(later.read(0.1), now.read(0.1))
    np.testing.assert_array_equal(later.matvec(np.ones(40)), now.matvec(np.ones(40)))
    np.testing.assert_array_equal(later.conductance(), now.conductance())
    np.testing.assert_array_equal(later.r, now.r)
    assert waits(later)
    assert later.nbytes == 4 * later.size
    assert_same(later, now)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda cells: pickle.loads(pickle.dumps(cells))])
def test_copies_of_waiting_cells_are_the_same_cells(copied):
    later, now = pair()
    later.set_conductance(5e-5)
    twin = copied(later)
    assert waits(twin)
    now.set_conductance(5e-5)
    later.apply_voltage(-2.0)
    assert waits(twin)
    assert_same(twin, now)


def test_files_and_renewed_cells_are_the_same(tmp_path):
    later, now = pair()
    later.set_conductance(5e-5)
    now.set_conductance(5e-5)
    later.save(tmp_path / "cells.npz")
    assert_same(sf.CellArray.load(tmp_path / "cells.npz"), now)
    assert_same(pair()[0].set_conductance(5e-5).renew(first_cell=7), now.renew(first_cell=7))


def test_an_interrupted_fabrication_leaves_cells_waiting(monkeypatch):
    later, now = pair()
    for cells in (later, now):
        cells.set_conductance(5e-5)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("synfab.engines.numba.brief.complete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            later.apply_voltage(-2.0)
    assert waits(later)
    assert_same(later.apply_voltage(-2.0), now.apply_voltage(-2.0))


# ---- states of layers ----------------------------------------------------------------------------


def layer_of(method):
    torch.manual_seed(0)
    layer = CrossbarLinear.from_torch(nn.Linear(20, 12), seed=1, tile=(8, 7))
    if method is not None:
        program(layer, method)
        program(layer, "refresh")
    return layer


def bytes_of(state):
    """Return the size of the tensors of all tiles in a state."""
    return sum(
        value.numel() * value.element_size()
        for tile in state.values() if isinstance(tile, dict)
        for value in tile.values() if isinstance(value, torch.Tensor)
    )  # fmt: skip


@pytest.mark.parametrize(("method", "each"), [(None, 4), ("write-verify", 16), ("open-loop", 16)])
def test_states_hold_what_the_seed_does_not_give(method, each):
    layer = layer_of(method)
    state = layer.state_dict()
    cells = 2 * 12 * 20
    assert bytes_of(state["_extra_state"]) == each * cells
    other = CrossbarLinear(20, 12, seed=99, tile=(8, 7))
    other.load_state_dict(state)
    assert all(map(waits, other.tiles.cells))
    assert torch.equal(other.difference, layer.difference)
    x = torch.randn(3, 20)
    assert torch.equal(other(x), layer(x))
    for one, two in zip(other.tiles.cells, layer.tiles.cells, strict=True):
        assert_same(one, two)
    # … and again, of the loaded cells.
    third = CrossbarLinear(20, 12, seed=98, tile=(8, 7))
    third.load_state_dict(other.state_dict())
    for one, two in zip(third.tiles.cells, layer.tiles.cells, strict=True):
        assert_same(
            one.apply_voltage(-2.0).apply_voltage(1.0), two.apply_voltage(-2.0).apply_voltage(1.0)
        )


def test_states_of_earlier_versions_load_and_stay_complete():
    layer = layer_of("write-verify")
    state = layer.state_dict()
    whole = {**dump(layer.tiles, brief=False), "layer_readout_number": 0, "version": 2}
    other = CrossbarLinear(20, 12, seed=99, tile=(8, 7))
    other.load_state_dict({**state, "_extra_state": with_digest(whole)})
    for one, two in zip(other.tiles.cells, layer.tiles.cells, strict=True):
        assert_same(one, two)
    # Their histories may be rounded in another way, so they are not left out.
    assert bytes_of(other.state_dict()["_extra_state"]) > 200 * 2 * 12 * 20


def test_states_of_many_cycles_are_complete(monkeypatch):
    layer = layer_of("write-verify")
    monkeypatch.setattr("synfab.engines.numba.brief.MAX_DRAWN", 0)
    assert bytes_of(layer.state_dict()["_extra_state"]) > 200 * 2 * 12 * 20


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("r", lambda r: r + torch.inf, "tile 0: r: expected finite numbers"),
        ("r", lambda r: r[1:], "tile 0: r is missing or misshapen"),
        ("status", lambda s: s | 3, "tile 0: status: a cell is in its HRS and in its LRS"),
        ("status", lambda s: s + (1 << 20), "tile 0: status: expected up to 1000 cycles"),
        ("threshold", lambda u: u * torch.nan, "tile 0: threshold: expected finite"),
        ("steepness", None, "tile 0: expected the arrays r, status"),
    ],
)
def test_damaged_states_are_refused(name, change, message):
    layer = layer_of("open-loop")
    state = layer.state_dict()
    held = {k: v for k, v in state["_extra_state"].items() if k != "digest"}
    tile = dict(held["tile 0"])
    if change is None:
        del tile[name]
    else:
        tile[name] = change(tile[name])
    before = layer.tiles.states()
    with pytest.raises(sf.FileFormatError, match=message):
        layer.load_state_dict({**state, "_extra_state": with_digest({**held, "tile 0": tile})})
    np.testing.assert_array_equal(layer.tiles.states(), before)
