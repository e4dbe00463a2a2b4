"""Folders that a user names: files of others there stay as they are."""

import sys

import pytest

import synfab as sf
from synfab.circuit import run_ngspice
from synfab.common.errors import ToolError
from synfab.io.own_files import own_files

DECK = "divider\nv1 a 0 1\nr1 a 0 1k\n.op\n"


@pytest.mark.parametrize("name", [".spiceinit", "deck.cir", "out.raw", "device0.osdi"])
def test_a_simulation_replaces_no_file_of_others(tmp_path, name):
    device = tmp_path / "cell.osdi"
    device.write_bytes(b"")
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(sf.InvalidValueError, match=r"^keep: .* already exists"):
        run_ngspice(DECK, osdi=device, keep=folder, ngspice=sys.executable)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(name, "mine")]


def test_a_simulation_replaces_its_own_files(tmp_path):
    for _ in range(2):
        # Python is not ngspice, but the files are written all the same.
        with pytest.raises(ToolError):
            run_ngspice(DECK, keep=tmp_path, ngspice=sys.executable)
    (tmp_path / ".spiceinit").write_text("set ngbehavior=hsa\n")
    with pytest.raises(sf.InvalidValueError, match="changed since"):
        run_ngspice(DECK, keep=tmp_path, ngspice=sys.executable)
    assert (tmp_path / ".spiceinit").read_text() == "set ngbehavior=hsa\n"


def test_a_link_to_a_file_of_others_is_not_followed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "kept" / "a").symlink_to(tmp_path / "precious")
    with (
        pytest.raises(sf.InvalidValueError, match="already exists"),
        own_files(tmp_path / "kept", ["a"], "folder"),
    ):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("record", ["", "[]", "[" * 5000, "\0", '{"a": 5}'])
def test_a_damaged_record_vouches_for_nothing(tmp_path, record):
    (tmp_path / "a").write_text("mine")
    (tmp_path / ".synfab-files.json").write_text(record)
    with (
        pytest.raises(sf.InvalidValueError, match="already exists"),
        own_files(tmp_path, ["a"], "folder"),
    ):
        pass


def test_files_of_a_block_that_fails_are_remembered(tmp_path):
    def fail():
        with own_files(tmp_path, ["a"], "folder"):
            (tmp_path / "a").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with own_files(tmp_path, ["a"], "folder"):
        (tmp_path / "a").write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
