"""Damaged files are refused, repaired or read as they were: never other cells without a word.

``make soak`` damages every kind of file at 200 places (``SYNFAB_SOAK_FLIPS``). Tables that people
read (CSV, Parquet), netlists, pages and figures are left out: they are reports or formats of
others, without a checksum of ours, and no part of synfab continues from them.
"""

import json
import logging
import os
import random
import warnings

import numpy as np
import pytest
from damage import damages

import synfab as sf

FLIPS = int(os.environ.get("SYNFAB_SOAK_FLIPS", "8"))


def campaign(folder, read, caplog, flips=FLIPS):
    """Damage a folder in many ways; what ``read`` makes of it must be equal, or not silent."""
    expected = read(folder)
    assert read(folder) == expected
    silent, refused, warned = [], 0, 0
    for what, copy in damages(folder, random.Random(11), flips):
        caplog.clear()
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            try:
                found = read(copy)
            except sf.SynfabError:
                refused += 1
                continue
        if said(caplog) or given:
            warned += 1
        elif found != expected:
            silent.append(what)
    assert silent == []
    assert refused + warned > 0


def said(caplog):
    """Warnings of this package."""
    return [
        record
        for record in caplog.records
        if record.name.startswith("synfab") and record.levelno >= logging.WARNING
    ]


TORCH = {"engine": "array", "arrays": "torch"}


def everything(cells):
    """State, features and the next read of an array, as bytes."""
    read = cells.read()
    parts = (read, cells.r, cells.cycle, *cells.features.values())
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def lived(size, **options):
    cells = sf.CellArray("published", size, seed=3, **options)
    return cells.apply_voltage(-2.0).apply_voltage(np.linspace(0.5, 1.6, size))


def test_models(tmp_path, caplog):
    folder = tmp_path / "files"
    folder.mkdir()
    sf.save_model(sf.load_model(), folder / "model.json")

    def read(copy):
        model = sf.load_model(copy / "model.json")
        return model.fingerprint, model.name, json.dumps(dict(model.provenance), sort_keys=True)

    campaign(folder, read, caplog)


@pytest.mark.parametrize(
    "options",
    [{}, {"history": "compact"}, {"engine": "array"}, TORCH],
)
def test_array_files(tmp_path, caplog, options):
    if options == TORCH:
        pytest.importorskip("torch")
    folder = tmp_path / "files"
    folder.mkdir()
    lived(700, **options).save(folder / "cells.npz")

    def read(copy):
        return everything(sf.CellArray.load(copy / "cells.npz"))

    campaign(folder, read, caplog)


def test_checkpoints(tmp_path, caplog):
    folder = tmp_path / "files"
    with sf.Checkpoints(folder).open({"job": 1}) as run:
        for step in (3, 4):
            run.save(step, {"x": np.arange(3000.0) + step, "list": [np.ones(step), 2]})

    def read(copy):
        with sf.Checkpoints(copy, resume=True).open({"job": 1}) as run:
            assert run.step == 4 or said(caplog)
            return run.step, run.state["x"].tobytes(), run.state["list"][0].tobytes()

    campaign(folder, read, caplog)


def test_results_in_zarr(tmp_path, caplog):
    zarr = pytest.importorskip("zarr")
    from synfab.simulate import simulate

    folder = tmp_path / "files"
    options = {"seed": 5, "block": 1500}
    simulate("-2, 0.9", 4000, folder, **options)

    def read(copy):
        simulate("-2, 0.9", 4000, copy, resume=True, **options)
        group = zarr.open_group(str(copy), mode="r")
        held = [group[name][:].tobytes() for name in ("current", "cycle", "done", "seal")]
        if said(caplog):  # repaired: the same results
            assert held == whole
        return held, dict(group.attrs)

    whole: list[bytes] = []
    whole += read(folder)[0]
    campaign(folder, read, caplog)


def test_states_of_layers(tmp_path, caplog):
    """PyTorch keeps no checksum of its files that it checks; the cells in them have a digest."""
    torch = pytest.importorskip("torch")
    from synfab.torch import CrossbarLinear

    folder = tmp_path / "files"
    folder.mkdir()
    layer = CrossbarLinear(20, 12, bias=False, seed=7)
    torch.save(layer.get_extra_state(), folder / "state.pt")

    def read(copy):
        try:
            state = torch.load(copy / "state.pt", weights_only=True)
        except Exception as error:
            raise sf.FileFormatError("torch.load refuses it") from error
        other = CrossbarLinear(20, 12, bias=False, seed=8)
        other.set_extra_state(state)
        cells = b"".join(everything(part) for part in other.tiles.cells)
        return cells, other.readout_number, other.tiles.first_cell

    campaign(folder, read, caplog)


def test_training_checkpoints(tmp_path, caplog):
    torch = pytest.importorskip("torch")
    from synfab.torch import CrossbarLinear, restore_training, training_state

    def network(seed):
        layer = CrossbarLinear(20, 12, seed=seed)
        return layer, torch.optim.SGD(layer.parameters(), lr=0.1)

    folder = tmp_path / "files"
    with sf.Checkpoints(folder).open({}) as run:
        run.save(1, training_state(*network(7)))
        run.save(2, training_state(*network(9)))

    def read(copy):
        with sf.Checkpoints(copy, resume=True).open({}) as run:
            layer, optimizer = network(8)
            restore_training(run.state, layer, optimizer)
        cells = b"".join(everything(part) for part in layer.tiles.cells)
        return cells, layer.bias.detach().numpy().tobytes(), optimizer.state_dict()["param_groups"]

    campaign(folder, read, caplog)


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as found,
    ):  # fmt: skip
        yield found


@pytest.mark.filterwarnings("ignore")  # of Dask, on ports
@pytest.mark.parametrize("kind", ["saved", "checkpoints"])
def test_folders_of_a_cluster(tmp_path, caplog, client, kind):
    folder = tmp_path / "files"
    Sharded = sf.cluster.ShardedCellArray
    given = {"folder": folder, "every": 1} if kind == "checkpoints" else {}
    cells = Sharded("published", (12, 50), seed=3, client=client, shard_size=200, **given)
    cells.apply_voltage(-2.0).apply_voltage(0.9)
    cells.flush()
    if kind == "saved":
        cells.save(folder)
    cells.close()

    def read(copy):
        open_ = Sharded.load if kind == "saved" else Sharded.resume
        found = open_(copy, client)
        try:
            return found.pulses, everything(found)
        finally:
            found.close()

    campaign(folder, read, caplog)
