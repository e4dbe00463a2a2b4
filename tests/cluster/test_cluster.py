"""Cells on a cluster of processes."""

import contextlib
import json
import os
import random
import shutil
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from int16 import folder_as_int16

import synfab as sf

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask, on killed workers and busy ports
SHAPE = (64, 128)


@pytest.fixture(scope="module", autouse=True)
def prepared():
    """Let workers start in copies of a process that has made their imports."""
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        modules = ["distributed", "numba", "zarr", "synfab.cluster", "synfab.engines.numba.engine"]
        distributed.utils.get_mp_context().set_forkserver_preload(modules)
        yield


@contextlib.contextmanager
def four_workers():
    with (
        distributed.LocalCluster(
            n_workers=4,
            threads_per_worker=1,
            env={"SYNFAB_NUM_THREADS": "1"},  # of the workers alone: clusters may be nested
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def client(prepared):
    with four_workers() as found:
        yield found


def make(client, **options):
    return sf.cluster.ShardedCellArray(
        "published", SHAPE, seed=3, client=client, shard_size=1024, **options
    )


def live(cells, first=0, last=12):
    u = np.linspace(-2.0, 1.6, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    for k in range(first, last):
        cells.apply_voltage(-2.0 if k % 2 else np.roll(u, 37 * k))
    return cells


@pytest.mark.parametrize("history", ["float32", "compact"])
def test_shards_are_the_cells_of_an_array(client, history):
    whole = live(sf.CellArray("published", SHAPE, seed=3, history=history))
    sharded = live(make(client, history=history))
    assert sharded.shards == 8
    v = np.linspace(0.0, 0.3, SHAPE[1])
    assert np.array_equal(sharded.read(), whole.read())
    assert np.array_equal(sharded.read(0.1), whole.read(0.1))
    assert np.array_equal(sharded.r, whole.r)
    assert np.array_equal(sharded.cycle, whole.cycle)
    for name, values in whole.features.items():
        assert np.array_equal(sharded.features[name], values)
    for _ in range(2):
        np.testing.assert_allclose(sharded @ v, whole @ v, rtol=1e-6)
    sharded.close()


def test_a_display_asks_no_worker_and_says_whether_the_cells_were_freed(client):
    sharded = make(client).apply_voltage(-2.0)
    text = sharded._repr_html_()
    assert "1 pulse<" in text
    assert "on the workers; not read" in text
    assert sharded.r.max() < 0.5
    sharded.close()
    assert "closed: the cells were freed" in sharded._repr_html_()
    sharded.read()  # the workers compute the cells again
    assert "closed" not in sharded._repr_html_()


def test_functions_and_masks(client):
    u = np.linspace(-2.0, 1.6, SHAPE[0] * SHAPE[1], dtype=np.float32)
    mask = np.arange(SHAPE[1]) % 3 == 0
    whole = sf.CellArray("published", SHAPE, seed=3)
    whole.apply_voltage(-2.0, where=mask).apply_voltage(u.reshape(SHAPE))
    sharded = make(client).apply_voltage(-2.0, where=mask)
    sharded.apply_voltage(lambda start, stop: u[start:stop])
    assert np.array_equal(sharded.r, whole.r)


def test_shards_take_what_an_array_takes(client):
    """NaN outside a mask; a voltage of each cell to read at; only reads with noise are counted."""
    whole, sharded = sf.CellArray("published", SHAPE, seed=3), make(client)
    u = np.full(SHAPE, np.nan)
    u[::3] = -2.0
    v = np.linspace(0.05, 0.3, SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    for cells in (whole, sharded):
        cells.apply_voltage(u, where=~np.isnan(u))
        cells.read(noise=False)
        cells.matvec(np.full(SHAPE[1], 0.1), noise=False)
    assert np.array_equal(sharded.r, whole.r)
    assert np.array_equal(sharded.read(v), whole.read(v))
    assert np.array_equal(sharded.read(v[0]), whole.read(v[0]))
    assert np.array_equal(sharded @ v[0], whole @ v[0])
    assert (sharded.read_number, sharded.readout_number) == (2, 1)


def test_a_task_that_fails_costs_no_cells(client, tmp_path):
    sharded = make(client).apply_voltage(-2.0)
    sharded.flush()
    (tmp_path / "there").write_text("")
    with pytest.raises(sf.InvalidValueError):
        sharded._shards.act(
            sf.cluster.shard.save, [(str(tmp_path / "there" / "file"),)] * sharded.shards
        )
    there = client.run(
        lambda name: sum(key[0] == name for key in sf.cluster.shard._held), sharded._shards.name
    )
    assert sum(there.values()) == sharded.shards


def kill_somebody(client, choose):
    workers = client.run(os.getpid)
    os.kill(workers[choose.choice(sorted(workers))], signal.SIGKILL)


def test_workers_may_be_killed_at_any_moment(tmp_path):
    """``make soak`` does it at 20 moments.

    Each has a cluster of its own: on a busy machine Dask may not start a killed worker again.
    """
    expected = live(sf.CellArray("published", SHAPE, seed=3), 0, 60).r
    choose = random.Random(5)
    for moment in range(int(os.environ.get("SYNFAB_SOAK_WORKERS", "3"))):
        folder = tmp_path / str(moment)
        options = {"folder": folder, "every": 17} if moment % 2 else {}
        with four_workers() as client:
            sharded = make(client, **options)
            timer = threading.Timer(choose.uniform(0.0, 1.0), kill_somebody, (client, choose))
            timer.start()
            for k in range(0, 60, 4):
                live(sharded, k, k + 4).cycle  # noqa: B018 - the workers do what has gathered
            timer.join()
            assert np.array_equal(sharded.r, expected)
            sharded.close()


def test_a_lost_scheduler_costs_what_came_after_the_checkpoint(tmp_path):
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as first:
        live(make(first, folder=tmp_path, every=4), 0, 11).close()
    (tmp_path / f".step-000000000012.{'0a' * 16}").mkdir()  # killed while it was written
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as second:
        again = sf.cluster.ShardedCellArray.resume(tmp_path, second, every=4)
        assert again.pulses == 8
        live(again, again.pulses, 14)
        assert np.array_equal(again.r, live(sf.CellArray("published", SHAPE, seed=3), 0, 14).r)
        assert again.pulses == 14
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            ".synfab-lock", "step-000000000008", "step-000000000012",
        ]  # fmt: skip


def test_a_folder_that_cannot_be_gone_on_with_is_let_go(client, tmp_path):
    live(make(client, folder=tmp_path, every=4, keep=1), 0, 4).close()
    (shard,) = tmp_path.glob("step-*/shard-000005.npz")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-200])
    resume = sf.cluster.ShardedCellArray.resume
    with pytest.raises(sf.FileFormatError, match="all checkpoints are damaged") as kept:
        resume(tmp_path, client)
    shard.write_bytes(whole)
    again = resume(tmp_path, client)  # while the error still knows the array that failed
    assert (again.pulses, kept.type) == (4, sf.FileFormatError)
    again.close()


def test_a_damaged_checkpoint_is_passed_over(client, tmp_path, caplog):
    live(make(client, folder=tmp_path, every=4), 0, 8).close()
    shard = tmp_path / "step-000000000008" / "shard-000005.npz"
    shard.write_bytes(shard.read_bytes()[:-200])
    again = sf.cluster.ShardedCellArray.resume(tmp_path, client, every=4, keep=1)
    assert again.pulses == 4
    assert "step-000000000008: damaged" in caplog.text
    whole = live(sf.CellArray("published", SHAPE, seed=3), 0, 9)
    assert np.array_equal(live(again, 4, 9).r, whole.r)
    again.close()
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert names[:2] == [".synfab-lock", "step-000000000008"]
    assert names[2].endswith(".damaged")
    (tmp_path / "step-000000000008" / "shard-000000.npz").write_bytes(b"")
    with pytest.raises(sf.FileFormatError, match="all checkpoints are damaged"):
        sf.cluster.ShardedCellArray.resume(tmp_path, client)


def test_checkpoints_of_another_array_are_not_taken_for_its_own(client, tmp_path):
    first = live(make(client, folder=tmp_path, every=4), 0, 4)
    before = first.read()
    with pytest.raises(sf.InvalidValueError, match=r"folder: .* another process"):
        make(client, folder=tmp_path)
    first.checkpoint()  # no pulse since: only the number of reads is new
    first.save(tmp_path / "elsewhere")
    first.close()
    with pytest.raises(sf.InvalidValueError, match=r"folder: .* already holds checkpoints"):
        make(client, folder=tmp_path)
    with pytest.raises(sf.InvalidValueError, match=r"checkpoints: .* already holds checkpoints"):
        sf.cluster.ShardedCellArray.load(tmp_path / "elsewhere", client, checkpoints=tmp_path)
    with pytest.raises(sf.InvalidValueError, match=r"checkpoints: .* already holds checkpoints"):
        sf.cluster.ShardedCellArray.load(
            tmp_path / "step-000000000004", client, checkpoints=tmp_path
        )
    again = sf.cluster.ShardedCellArray.resume(tmp_path, client)
    assert again.read_number == 1
    assert np.array_equal(again.read(number=0), before)
    assert (tmp_path / "step-000000000004").is_dir()


def test_numbers_of_numpy_are_numbers(client, tmp_path):
    cells = sf.cluster.ShardedCellArray(
        "published", (np.int64(4), 8), seed=np.int64(3), order=np.int32(2), client=client,
        shard_size=np.int16(16),
    )  # fmt: skip
    cells.save(tmp_path / "cells")
    again = sf.cluster.ShardedCellArray.load(tmp_path / "cells", client)
    assert np.array_equal(again.read(), sf.CellArray("published", (4, 8), seed=3, order=2).read())


def test_files(client, tmp_path):
    sharded = live(make(client))
    sharded.read()
    sharded.save(tmp_path / "cells")
    again = sf.cluster.ShardedCellArray.load(tmp_path / "cells", client)
    assert np.array_equal(again.apply_voltage(-2.0).read(), sharded.apply_voltage(-2.0).read())
    with pytest.raises(sf.InvalidValueError, match="already exists"):
        sharded.save(tmp_path / "cells")
    (tmp_path / "cells" / "shard-000003.npz").unlink()
    with pytest.raises(sf.FileFormatError, match="shard-000003"):
        sf.cluster.ShardedCellArray.load(tmp_path / "cells", client)
    (tmp_path / "cells" / "manifest.json").write_text("{")
    with pytest.raises(sf.FileFormatError, match="not the cells of a cluster"):
        sf.cluster.ShardedCellArray.load(tmp_path / "cells", client)
    with pytest.raises(sf.FileFormatError, match="no checkpoint"):
        sf.cluster.ShardedCellArray.resume(tmp_path, client)


load = sf.cluster.ShardedCellArray.load


@pytest.fixture(scope="module")
def saved(client, tmp_path_factory):
    """A folder of saved cells."""
    folder = tmp_path_factory.mktemp("saved") / "cells"
    live(make(client), 0, 4).save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the folder."""
    return shutil.copytree(saved, tmp_path / "cells")


def shard_of(folder, number):
    return folder / f"shard-{number:06d}.npz"


def exchange(one, other):
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def edit(folder, **changes):
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


def as_version_1(folder):
    """Leave out what the version before checksums did not write."""
    manifest = folder / "manifest.json"
    found = json.loads(manifest.read_text())
    for name in ("checksums", "digest"):
        del found[name]
    manifest.write_text(json.dumps(found | {"version": 1}))


def other_cells(shape=(8, 128), seed=3, first_cell=3 * 1024, **options):
    return sf.CellArray("published", shape, seed=seed, first_cell=first_cell, **options)


def other_model(path):
    """The published model with another way to conduct."""
    model = sf.load_model()
    hotter = replace(model.conduction, eta=model.conduction.eta * 1.01)
    cells = sf.CellArray(replace(model, conduction=hotter), (8, 128), seed=3, first_cell=3 * 1024)
    cells.save(path)


STRANGERS = {
    "seed": lambda p: other_cells(seed=4).save(p),
    "order": lambda p: other_cells(order=2).save(p),
    "first_cell": lambda p: other_cells(first_cell=0).save(p),
    "history": lambda p: other_cells(history="compact").save(p),
    "engine": lambda p: other_cells(engine="array").save(p),
    "shape": lambda p: other_cells(shape=(4, 128)).save(p),
    "model": other_model,
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("what", STRANGERS)
def test_a_shard_of_other_cells_is_refused(client, folder, what, version):
    if version == 1:
        as_version_1(folder)
    STRANGERS[what](shard_of(folder, 3))
    said = f"shard-000003.npz: {what}: " if version == 1 else "shard-000003.npz: not the file"
    with pytest.raises(sf.FileFormatError, match=said) as caught:
        load(folder, client)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", [1, 2])
def test_a_folder_with_int16_history_loads_as_float32(client, folder, version, tmp_path):
    folder_as_int16(folder)
    if version == 1:
        as_version_1(folder)
    shard = sf.CellArray.load(shard_of(folder, 3))
    array = load(folder, client)
    rows = slice(3 * shard.shape[0], 4 * shard.shape[0])
    assert np.array_equal(array.r[rows], shard.r)
    array.apply_voltage(-2.0).apply_voltage(1.5).save(tmp_path / "again")
    array.close()
    again = load(tmp_path / "again", client)
    assert np.array_equal(again.r[rows], shard.apply_voltage(-2.0).apply_voltage(1.5).r)
    again.close()


def test_a_run_with_int16_history_is_not_resumed_but_its_cells_can_be_loaded(client, tmp_path):
    live(make(client, folder=tmp_path, every=4, keep=1), 0, 4).close()
    newest = tmp_path / "step-000000000004"
    folder_as_int16(newest)
    with pytest.raises(sf.FileFormatError, match="history: a run with int16 history") as caught:
        sf.cluster.ShardedCellArray.resume(tmp_path, client)
    assert "\n" not in str(caught.value)
    array = load(newest, client)
    assert (array.pulses, array.size) == (4, SHAPE[0] * SHAPE[1])
    array.close()


@pytest.mark.parametrize("version", [1, 2])
def test_shards_in_each_others_place_are_refused(client, folder, version):
    if version == 1:
        as_version_1(folder)
    exchange(shard_of(folder, 2), shard_of(folder, 5))
    with pytest.raises(sf.FileFormatError, match=r"shard-000002.npz: (not the file|first_cell)"):
        load(folder, client)


def test_a_shard_after_another_number_of_pulses_is_refused(client, folder, saved):
    cells = sf.CellArray.load(shard_of(folder, 3))
    cells.apply_voltage(1.5).save(shard_of(folder, 3))
    with pytest.raises(sf.FileFormatError, match=r"shard-000003\.npz: not the file"):
        load(folder, client)


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"seed": 4, "order": 10, "history": "float32"}}, {"pulses": 9},
        {"read_number": 1}, {"checksums": []}, {"shape": [128, 64]}, {"digest": None},
    ],
)  # fmt: skip
def test_an_edited_manifest_is_refused(client, folder, changes):
    edit(folder, **changes)
    with pytest.raises(sf.FileFormatError, match=r"manifest\.json: damaged"):
        load(folder, client)


def test_a_folder_of_an_earlier_version_is_loaded(client, folder, saved, caplog):
    as_version_1(folder)
    found = load(folder, client)
    assert "written by an earlier version" in caplog.text
    assert np.array_equal(found.r, load(saved, client).r)
    edit(folder, version=3)
    with pytest.raises(sf.FileFormatError, match="version 3; this version of synfab reads up to 2"):
        load(folder, client)


def test_a_shard_exchanged_under_a_running_array_gives_no_other_cells(client, tmp_path):
    """A worker that has lost a shard reads its file again."""
    sharded = live(make(client, folder=tmp_path, every=4), 0, 4)
    (path,) = tmp_path.glob("step-*")
    expected, whole = sharded.r, shard_of(path, 3).read_bytes()
    for stranger in (other_cells(), other_cells(shape=(4, 128)), other_cells(seed=4)):
        stranger.save(shard_of(path, 3))
        client.run(sf.cluster.shard.forget, sharded._shards.name)
        with pytest.raises(sf.FileFormatError, match=r"shard-000003.npz: not the file"):
            sharded.r  # noqa: B018 - the workers read
    shard_of(path, 3).write_bytes(whole)
    assert np.array_equal(sharded.r, expected)
    sharded.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: exchange(shard_of(p, 2), shard_of(p, 5)),
        lambda p: other_cells(seed=4).save(shard_of(p, 3)),
        lambda p: edit(p, read_number=7),
        lambda p: (p / "manifest.json").write_text("{"),
        lambda p: (p / "manifest.json").unlink(),
        lambda p: shard_of(p, 7).unlink(),
    ],
    ids=["exchanged", "seed", "edited", "cut", "no manifest", "no shard"],
)
def test_a_checkpoint_that_is_not_as_it_was_written_is_passed_over(
    client, tmp_path, caplog, damage
):
    live(make(client, folder=tmp_path, every=4), 0, 8).close()
    damage(tmp_path / "step-000000000008")
    again = sf.cluster.ShardedCellArray.resume(tmp_path, client)
    assert again.pulses == 4
    assert "step-000000000008: damaged" in caplog.text
    again.close()


def test_a_checkpoint_renamed_to_another_number_of_pulses_is_refused(client, tmp_path):
    live(make(client, folder=tmp_path, every=4), 0, 8).close()
    exchange(tmp_path / "step-000000000004", tmp_path / "step-000000000008")
    with pytest.raises(
        sf.FileFormatError, match="000008: step: the file name states 8, the content 4"
    ):
        sf.cluster.ShardedCellArray.resume(tmp_path, client)


def test_a_resumed_array_writes_checkpoints_that_load(client, tmp_path):
    live(make(client, folder=tmp_path, every=4, keep=1), 0, 4).close()
    as_version_1(tmp_path / "step-000000000004")
    again = sf.cluster.ShardedCellArray.resume(tmp_path, client)
    again.read()
    again.checkpoint()  # the manifest alone
    again.close()
    more = sf.cluster.ShardedCellArray.resume(tmp_path, client)
    assert (more.pulses, more.read_number) == (4, 1)
    more.close()


def test_results_in_zarr(client, tmp_path):
    zarr = pytest.importorskip("zarr")
    sharded = live(make(client))
    sharded.read(number=5, output=tmp_path / "out.zarr")
    found = zarr.open_array(str(tmp_path / "out.zarr"))[:]
    assert np.array_equal(found.reshape(SHAPE), sharded.read(number=5))
    chunk = tmp_path / "out.zarr" / "c" / "3"
    chunk.write_bytes(b"\1" + chunk.read_bytes()[1:])
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_array(str(tmp_path / "out.zarr"))[:]


def test_programs_come_from_files(client, tmp_path):
    zarr = pytest.importorskip("zarr")
    u = np.linspace(-2.0, 1.6, 3 * SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(3, -1)[::-1]
    zarr.save_array(str(tmp_path / "u.zarr"), u)
    np.save(tmp_path / "u.npy", u)
    whole = sf.CellArray("published", SHAPE, seed=3).apply_voltage(-2.0).apply_voltage(0.9)
    for row in u:
        whole.apply_voltage(row.reshape(SHAPE))
    for name in ("u.zarr", "u.npy"):
        sharded = make(client).apply_program("-2, 0.9").apply_program(tmp_path / name)
        assert np.array_equal(sharded.r, whole.r)
    np.save(tmp_path / "short.npy", u[:, 1:])
    for program, message in (("-2, up", "program: cannot"), (tmp_path / "short.npy", "of shape")):
        with pytest.raises(sf.InvalidValueError, match=message):
            sharded.apply_program(program)
    assert sharded.pulses == 5
    u = np.array(u)
    u[1, -1] = np.nan
    np.save(tmp_path / "nan.npy", u)
    with pytest.raises(sf.InvalidValueError, match=r"pulse 6: .*NaN"):
        sharded.apply_program(tmp_path / "nan.npy")
    assert np.array_equal(sharded.r, whole.r)
    assert sharded.pulses == 5


def test_a_lost_shard_is_not_made_of_a_file_that_changed(client, tmp_path):
    np.save(tmp_path / "u.npy", np.full((1, SHAPE[0] * SHAPE[1]), 0.9))
    sharded = make(client).apply_voltage(-2.0).apply_program(tmp_path / "u.npy")
    np.save(tmp_path / "u.npy", np.full((1, SHAPE[0] * SHAPE[1]), 1.2))
    client.run(sf.cluster.shard.forget, sharded._shards.name)
    with pytest.raises(sf.InvalidValueError, match="changed after"):
        sharded.read()


def test_a_lost_shard_is_not_made_of_chunks_that_changed(client, tmp_path):
    """The description of a Zarr array stays the same when its chunks do not."""
    zarr = pytest.importorskip("zarr")
    u = np.full((2, SHAPE[0] * SHAPE[1]), 0.9, np.float32)
    zarr.save_array(str(tmp_path / "u.zarr"), u)
    sharded = make(client).apply_voltage(-2.0).apply_program(tmp_path / "u.zarr")
    zarr.open_array(str(tmp_path / "u.zarr"))[1] = 1.2
    client.run(sf.cluster.shard.forget, sharded._shards.name)
    with pytest.raises(sf.InvalidValueError, match="changed after"):
        sharded.read()


def test_results_that_cannot_be_written_leave_nothing(client, tmp_path):
    sharded = make(client)
    (tmp_path / "file").write_text("")
    with pytest.raises(sf.InvalidValueError, match="output: cannot write"):
        sharded.read(output=tmp_path / "file" / "out.zarr")
    sharded.read(output=tmp_path / "out.zarr")
    with pytest.raises(sf.InvalidValueError, match="already exists"):
        sharded.read(output=tmp_path / "out.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out.zarr"]


def test_a_disk_that_is_full_only_at_the_end_is_said(client, tmp_path, monkeypatch):
    """Network file systems take what is written, and say at fsync that there was no room."""

    def full(_):
        raise OSError(28, "No space left on device")

    sharded = make(client)
    sharded.flush()
    monkeypatch.setattr("os.fsync", full)
    for write in (
        lambda: sharded.read(output=tmp_path / "out.zarr"),
        lambda: sharded.save(tmp_path / "cells"),
    ):
        with pytest.raises(sf.InvalidValueError, match="No space left"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments(client):
    for options, message in (
        ({"shard_size": 0}, "shard_size: expected"), ({"every": 3}, "every: requires a folder"),
        ({"history": "none"}, "history: expected"), ({"shape": (0, 3)}, "shape: expected"),
        ({"client": None}, "client: expected"), ({"seed": -1}, "seed: expected"),
        ({"keep": 0}, "keep: expected"), ({"shape": 2.5}, "shape: expected an integer"),
    ):  # fmt: skip
        given = {"model": "published", "shape": 4, "seed": 1, "client": client, **options}
        with pytest.raises(sf.SynfabError, match=message):
            sf.cluster.ShardedCellArray(**given)
    with pytest.raises(sf.CapacityError, match=r"shape: .* the 4 workers have"):
        sf.cluster.ShardedCellArray("published", 2**44, seed=1, client=client)
    cells = make(client)
    with pytest.raises(sf.InvalidValueError, match="u: expected finite"):
        cells.apply_voltage(float("nan"))
    with pytest.raises(sf.InvalidValueError, match="does not broadcast"):
        cells.apply_voltage(np.zeros(3))
    with pytest.raises(sf.InvalidValueError, match="v: expected shape"):
        cells.matvec(np.zeros(3))
    with pytest.raises(sf.InvalidValueError, match="number: expected"):
        cells.read(number=-1)
    with pytest.raises(sf.InvalidValueError, match="folder: expected one"):
        cells.checkpoint()
    for wrong in ({"keep": 0}, {"every": 5}, {"every": 0}):
        with pytest.raises(sf.InvalidValueError, match=f"{next(iter(wrong))}: (expected|requires)"):
            load("nowhere", client, **wrong)
    assert cells.pulses == 0


AGING = sf.load_model("published").replace(
    name="aging",
    traps=sf.model.Traps(np.geomspace(1e-3, 1e9, 13), 0.5, [0.0, 1e-4], [2e-6, 6e-6]),
)


def age(cells, first=0, last=12):
    """Apply pulses, with a wait after every third of them."""
    for k in range(first, last):
        if k % 3 == 2:
            cells.wait(10.0**k, 300.0 + k)
        else:
            live(cells, k, k + 1)
    return cells


def aging(client, **options):
    return sf.cluster.ShardedCellArray(
        AGING, SHAPE, seed=3, client=client, shard_size=1024, **options
    )


def test_shards_age_as_the_cells_of_an_array(client):
    whole, sharded = age(sf.CellArray(AGING, SHAPE, seed=3)), age(aging(client))
    assert sharded.pulses == 12
    assert np.array_equal(sharded.r, whole.r)
    assert not np.array_equal(whole.r, whole.copy().wait(1e5).r)
    for noise in (True, False):
        given = {"interval": 0.5, "temperature": 350.0, "noise": noise}
        assert np.array_equal(sharded.read(**given), whole.read(**given))
    v = np.linspace(0.0, 0.3, SHAPE[1])
    np.testing.assert_allclose(sharded @ v, whole @ v, rtol=1e-6)
    sharded.close()


def test_lost_shards_repeat_their_waits(client, tmp_path):
    for options in ({}, {"folder": tmp_path, "every": 5}):
        whole, sharded = sf.CellArray(AGING, SHAPE, seed=3), aging(client, **options)
        age(sharded, 0, 7).flush()
        client.run(sf.cluster.shard.forget, sharded._shards.name)
        assert np.array_equal(age(sharded, 7, 12).r, age(whole).r)
        sharded.close()


def test_files_and_checkpoints_keep_the_time_steps(client, tmp_path):
    first = age(aging(client, folder=tmp_path / "steps", every=4), 0, 11)
    first.save(tmp_path / "cells")
    first.close()
    expected = age(sf.CellArray(AGING, SHAPE, seed=3)).r
    loaded = load(tmp_path / "cells", client)
    assert np.array_equal(age(loaded, 11, 12).r, expected)
    resumed = sf.cluster.ShardedCellArray.resume(tmp_path / "steps", client)
    assert resumed.pulses == 8
    assert np.array_equal(age(resumed, 8, 12).r, expected)
    loaded.close()
    resumed.close()


def test_wrong_times_are_refused_before_anything_is_sent(client):
    sharded = aging(client)
    for arguments, message in (((-1.0,), "seconds"), ((1.0, 0.0), "temperature")):
        with pytest.raises(sf.InvalidValueError, match=f"^{message}: "):
            sharded.wait(*arguments)
    with pytest.raises(sf.InvalidValueError, match=r"^interval: "):
        sharded.read(interval=-1.0)
    assert sharded.pulses == 0
    sharded.close()
    plain = make(client)
    with pytest.raises(sf.InvalidValueError, match=r"^model: 'published' has no traps"):
        plain.wait(1.0)
    plain.close()
