"""Nothing overwrites what it reads: the same path, a link to it, or a folder that holds it."""

import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import synfab as sf
from synfab.cli.app import app
from synfab.io.files import refuse_overwrite
from synfab.simulate import simulate

PRECIOUS = b"weeks of measurements"


def same(path):
    return path


def by_way_of_another_folder(path):
    (path.parent / "other").mkdir()
    return path.parent / "other" / ".." / path.name


def symbolic_link(path):
    link = path.with_name(f"link{path.suffix}")
    link.symlink_to(path)
    return link


def hard_link(path):
    link = path.with_name(f"hard{path.suffix}")
    os.link(path, link)
    return link


WAYS = [same, by_way_of_another_folder, symbolic_link, hard_link]


def run(*arguments):
    app([str(word) for word in arguments], standalone_mode=False)


# What is read, and the command that would write there.
COMMANDS = {
    "fit the measurement": ("f.parquet", lambda f, o: ("fit", f, "-o", o)),
    "fit the conduction": (
        "m.json", lambda f, o: ("fit", "none.csv", "--conduction", f, "-o", o),
    ),
    "fit the report": ("f.html", lambda f, o: ("fit", f, "-o", "m.json", "--report", o)),
    "compare the measurement": ("f.htm", lambda f, o: ("compare", "published", f, "--report", o)),
    "compare the model": ("m.html", lambda f, o: ("compare", f, "none.csv", "--report", o)),
    "simulate the program": (
        "p.csv", lambda f, o: ("simulate", "--cells", 9, "--program", f, "-o", o),
    ),
    "simulate the model": (
        "m.csv",
        lambda f, o: ("simulate", "--cells", 9, "--program", "-2", "--model", f, "-o", o),
    ),
    "netlist, the model": ("m.json", lambda f, o: ("export", "netlist", f, "-o", o)),
    "netlist, the array": ("a.npz", lambda f, o: ("export", "netlist", "--array", f, "-o", o)),
    "netlist, the program": (
        "p.csv", lambda f, o: ("export", "netlist", "--program", f, "-o", o),
    ),
    "veriloga, the model": ("m.json", lambda f, o: ("export", "veriloga", f, "-o", o)),
    "osdi, the model": ("m.json", lambda f, o: ("export", "osdi", f, "-o", o)),
    "osdi source, the model": ("m.c", lambda f, o: ("export", "osdi", f, "--source", "-o", o)),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_overwrites_what_it_reads(tmp_path, monkeypatch, name, way):
    monkeypatch.chdir(tmp_path)
    file, command = COMMANDS[name]
    path = tmp_path / file
    path.write_bytes(PRECIOUS)
    output = way(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(sf.InvalidValueError, match=r"--(output|report): .* would overwrite"):
        run(*command(path, output))
    assert path.read_bytes() == PRECIOUS
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("way", WAYS)
def test_demo_does_not_overwrite_its_model(tmp_path, way):
    model = tmp_path / "model.csv"
    model.write_bytes(PRECIOUS)
    (tmp_path / "figures").mkdir()
    linked = way(model)
    linked.rename(tmp_path / "figures" / "cycling.csv")
    given = model if model.exists() else tmp_path / "figures" / "cycling.csv"
    with pytest.raises(sf.InvalidValueError, match="would overwrite"):
        run("demo", "--model", given, "-o", tmp_path / "figures")
    assert given.read_bytes() == PRECIOUS


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_a_folder_that_is_read_is_not_overwritten(tmp_path, way):
    (tmp_path / "loops").mkdir()
    path = tmp_path / "loops" / "D1.csv"
    path.write_bytes(PRECIOUS)
    output = way(path)
    with pytest.raises(sf.InvalidValueError, match=r"--output: .* would overwrite"):
        run("fit", tmp_path / "loops", "-o", output)
    assert path.read_bytes() == PRECIOUS


def test_a_model_may_be_written_again_beside_the_loops_that_it_is_made_of(tmp_path):
    (tmp_path / "D1.csv").write_bytes(PRECIOUS)
    (tmp_path / "model.json").write_text("of last time")
    with pytest.raises(sf.InvalidValueError, match=r"D1\.csv"):  # which is no measurement
        run("fit", tmp_path, "-o", tmp_path / "model.json")


def test_two_outputs_of_a_command_are_two_files(tmp_path):
    (tmp_path / "f.csv").write_bytes(PRECIOUS)
    (tmp_path / "other").mkdir()
    for output in ("new.html", "./new.html", "other/../new.html"):
        with pytest.raises(sf.InvalidValueError, match=r"--report: .* would overwrite the model"):
            run(
                "fit", tmp_path / "f.csv", "-o", tmp_path / "new.html",
                "--report", f"{tmp_path}/{output}",
            )  # fmt: skip


@pytest.mark.parametrize("resume", [False, True])
def test_a_simulation_writes_neither_into_nor_around_its_program(tmp_path, resume):
    zarr = pytest.importorskip("zarr")
    program = tmp_path / "folder.zarr" / "program.zarr"
    array = zarr.create_array(store=str(program), shape=(2, 9), dtype="f4", chunks=(1, 9))
    array[:] = 1.0
    (tmp_path / "link.zarr").symlink_to(program)
    before = sorted(tmp_path.rglob("*"))
    for output in ("folder.zarr/program.zarr", "link.zarr", "folder.zarr/program.zarr/out.zarr",
                   "folder.zarr"):  # fmt: skip
        with pytest.raises(sf.InvalidValueError, match=r"output: .* would overwrite the program"):
            simulate(program, 9, tmp_path / output, seed=1, resume=resume)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("way", WAYS)
def test_a_library_does_not_overwrite_its_model(tmp_path, way):
    sf.save_model(sf.load_model(), tmp_path / "model.json")
    before = (tmp_path / "model.json").read_bytes()
    output = way(tmp_path / "model.json")
    with pytest.raises(sf.InvalidValueError, match=r"path: .* would overwrite the model"):
        sf.circuit.build_osdi(tmp_path / "model.json", output)
    assert (tmp_path / "model.json").read_bytes() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["deck.cir", "out.raw", ".spiceinit", "device0.osdi"])
def test_a_run_does_not_overwrite_what_it_reads_in_the_folder_it_keeps(tmp_path, name, way):
    circuit = "a netlist\nr1 a 0 1\nv1 a 0 1\n.op\n"
    path = tmp_path / name
    path.write_text(circuit)
    netlist, osdi = (circuit, way(path)) if name.startswith("device") else (way(path), [])
    with pytest.raises(sf.InvalidValueError, match=r"keep: .* would overwrite"):
        sf.circuit.run_ngspice(netlist, osdi=osdi, ngspice="sh", keep=tmp_path)
    assert path.read_text() == circuit
    assert not path.is_symlink()


def test_links_of_an_earlier_run_are_put_in_place_again(tmp_path):
    device = tmp_path / "cell.osdi"
    device.write_bytes(PRECIOUS)
    folder = tmp_path / "kept"
    for given in (device, device, folder / "device0.osdi"):
        with pytest.raises(sf.SynfabError, match="ngspice"):  # which sh is not
            sf.circuit.run_ngspice("title\n.op\n", osdi=given, ngspice="sh", keep=folder)
        assert (folder / "device0.osdi").read_bytes() == PRECIOUS


def test_a_report_does_not_overwrite_a_file_that_it_names(tmp_path, monkeypatch):
    monkeypatch.setattr("synfab.report.page.Comparison", SimpleNamespace)
    for folder in (tmp_path, tmp_path / "loops"):
        folder.mkdir(exist_ok=True)
        (folder / "a.csv").write_bytes(PRECIOUS)
        given = folder / "a.csv" if folder == tmp_path else folder
        with pytest.raises(sf.InvalidValueError, match=r"path: .* would overwrite measurement"):
            sf.report.save_report(SimpleNamespace(), folder / "a.csv", files={"measurement": given})
        assert (folder / "a.csv").read_bytes() == PRECIOUS


def test_a_report_does_not_overwrite_the_sweeps_that_it_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("synfab.report.page.Comparison", SimpleNamespace)
    path = tmp_path / "loops.parquet"
    u = np.tile([0.0, -1.5, 0.0, 1.5, 0.0], 3)
    table = pd.DataFrame({"device": 0, "cycle": np.repeat(range(3), 5), "voltage": u, "current": u})
    table.to_parquet(path)
    before = path.read_bytes()
    sweeps = sf.learn.read_sweeps(path)
    assert sweeps.files == (path,)
    with pytest.raises(sf.InvalidValueError, match=r"path: .* would overwrite sweeps"):
        sf.report.save_report(SimpleNamespace(), path, sweeps=sweeps)
    assert path.read_bytes() == before


def test_an_array_may_be_saved_to_the_file_it_came_from(published, tmp_path):
    sf.CellArray(published, 9, seed=1).save(tmp_path / "cells.npz")
    cells = sf.CellArray.load(tmp_path / "cells.npz").apply_voltage(-2.0)
    cells.save(tmp_path / "cells.npz")
    assert np.array_equal(sf.CellArray.load(tmp_path / "cells.npz").r, cells.r)


@pytest.mark.parametrize(
    "given", [None, 3, "published", "-2, 1.5 x 100", "x" * 100_000, "a\0b", b"bytes", ["-2", None]]
)
def test_what_is_no_file_is_not_overwritten(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    refuse_overwrite("output", "published", program=given)
    refuse_overwrite("output", given, program="published")
