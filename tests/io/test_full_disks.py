"""A disk that is full or read-only is said in a line, and costs nothing that was there.

On small disks in memory, which only root may make.
"""

import contextlib
import functools
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

import synfab as sf
from synfab.cli import demo
from synfab.cli.app import app
from synfab.simulate import simulate

PAGE = 4096
DISK = 24 * 2**20


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    place = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may make a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@contextlib.contextmanager
def room(disk, free):
    """Let the disk have so many bytes free, to a page."""
    filler = disk / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        file.truncate(0)
        left = shutil.disk_usage(disk).free
        while left > free:
            written = file.write(b"\1" * min(2**20, left - free))
            file.flush()
            left = min(left - written, shutil.disk_usage(disk).free)
    try:
        yield
    finally:
        filler.unlink()


def run(*arguments):
    app([str(word) for word in arguments], standalone_mode=False)


def few_loops(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "MEASURED_CELLS", 16)
        patch.setattr(demo, "MEASURED_LOOPS", 40)
        demo.measure(sf.load_model(), path)


def cells(version):
    return sf.CellArray("published", 300, seed=version, order=2).apply_voltage(-2.0)


def write_table(path, version):
    run("simulate", "--cells", 2000, "--program", "-2, 1 x9", "--seed", version, "-o", path)


def write_netlist(path, version):
    run("export", "netlist", "--rows", 24, "--columns", 24, "--seed", version, "-o", path)


@functools.cache
def comparison(version):
    measured = sf.CellArray("published", (8, 60), seed=version)
    table = {name: values.ravel() for name, values in measured.features.items()}
    place = {"device": np.repeat(np.arange(8), 60), "cycle": np.tile(np.arange(60), 8)}
    return sf.learn.compare(sf.load_model(), sf.learn.read_features(pd.DataFrame(place | table)))


def write_report(path, version):
    pytest.importorskip("bokeh")
    sf.report.save_report(comparison(version), path)


def write_figures(path, version):
    """Five figures; the last of them is looked at."""
    model = sf.load_model()
    voltages = demo.triangle(40)
    currents = np.stack([np.outer(voltages, np.linspace(1e-5, 1e-4, 3 + version))] * 5)
    demo.draw(model, path.parent, (voltages, currents), *demo.cycle(model, 40 + version, 120))


WRITERS = {
    "model.json": lambda path, version: sf.save_model(sf.load_model(), path),
    "cells.npz": lambda path, version: cells(version).save(path),
    "table.parquet": write_table,
    "table.csv": write_table,
    "cell.va": lambda path, k: run("export", "veriloga", "--order", k + 1, "-o", path),
    "cell.c": lambda path, k: run("export", "osdi", "--source", "--order", k + 1, "-o", path),
    "cell.osdi": lambda path, k: run("export", "osdi", "--order", k + 1, "-o", path),
    "bar.cir": write_netlist,
    "cycling.csv": lambda path, version: few_loops(path),
    "iv-loops.png": write_figures,
    "report.html": write_report,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file(disk, name):
    folder, write = disk / name.replace(".", "-"), WRITERS[name]
    folder.mkdir()
    path = folder / name
    write(path, 0)
    before, there = path.read_bytes(), sorted(folder.iterdir())
    size = len(before)
    for free in sorted({0, PAGE, *(size * k // 8 // PAGE * PAGE for k in (3, 7))}):
        with room(disk, free), pytest.raises(sf.SynfabError, match="No space left") as caught:
            write(path, 1)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
        assert sorted(folder.iterdir()) == there
    write(path, 1)
    assert len(path.read_bytes()) > size // 2
    shutil.rmtree(folder)


def test_a_full_disk_leaves_the_checkpoints(disk):
    folder, state = disk / "kept", {"x": np.zeros(9000)}
    with sf.Checkpoints(folder, interval=0.0).open({}) as kept:
        for step in (1, 2):
            kept.save(step, state)
    names = sorted(folder.iterdir())
    for pages in (0, 1, 5, 17):
        with (
            room(disk, pages * PAGE),
            pytest.raises(sf.InvalidValueError, match=r"No space left.*; earlier .* kept"),
            sf.Checkpoints(folder, interval=0.0, resume=True).open({}) as kept,
        ):
            kept.save(3, state)
        assert sorted(folder.iterdir()) == names
    with sf.Checkpoints(folder, resume=True).open({}) as kept:
        assert kept.step == 2
    shutil.rmtree(folder)


def test_a_simulation_goes_on_once_there_is_room(disk):
    pytest.importorskip("zarr")
    path, count, block = disk / "out.zarr", 40_000, 10_000
    wanted = sf.CellArray("published", count, seed=5).apply_voltage(-2.0).read()
    for free in (*range(0, 6 * PAGE, PAGE), 2**16, 2**17):
        with room(disk, free), pytest.raises(sf.InvalidValueError) as caught:
            simulate("-2", count, path, seed=5, block=block)
        assert "\n" not in str(caught.value)
        simulate("-2", count, path, seed=5, block=block, resume=True)
        import zarr

        assert np.array_equal(zarr.open_group(str(path), mode="r")["current"][0], wanted)
        shutil.rmtree(path)


def test_a_read_only_disk_is_said(disk):
    for name, write in WRITERS.items():
        (disk / "sealed" / name.replace(".", "-")).mkdir(parents=True)
        write(disk / "sealed" / name.replace(".", "-") / name, 0)
    with sf.Checkpoints(disk / "sealed" / "kept").open({}) as kept:
        kept.save(1, {})
    everything = {p: p.read_bytes() for p in (disk / "sealed").rglob("*") if p.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        for name, write in WRITERS.items():
            with pytest.raises(sf.SynfabError, match="Read-only file system") as caught:
                write(disk / "sealed" / name.replace(".", "-") / name, 1)
            assert "\n" not in str(caught.value)
        with pytest.raises(sf.InvalidValueError, match=r"cannot create .* Read-only file system"):
            demo.draw(sf.load_model(), disk / "new" / "folder", (), {}, ())
        with (
            pytest.raises(sf.InvalidValueError, match="checkpoints: cannot write"),
            sf.Checkpoints(disk / "sealed" / "kept", resume=True).open({}),
        ):
            pass
        with pytest.raises(sf.InvalidValueError, match="output: cannot write"):
            simulate("-2", 100, disk / "out.zarr", seed=5)
        assert everything == {p: p.read_bytes() for p in everything}
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
