"""Names and places of files as they come: whatever they are, one line or the right file."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import synfab as sf
from synfab.cli.terminal import say

ODD = {
    "blanks": b"a b  c ",
    "line-break": b"a\nb",
    "not-text": b"a\xff\xfeb",
    "quotes": b"'\"$(x)`;&|",
    "greek": "\N{GREEK SMALL LETTER OMEGA}".encode(),
    "dash": b"-o",
    "controls": b"\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08",
    "long": b"x" * 240,
    "marks": b"%s{}[red]*?~",
}


def command(*arguments, folder):
    words = [sys.executable, "-m", "synfab", *arguments]
    return subprocess.run(words, cwd=folder, check=False, capture_output=True, timeout=120)


@pytest.fixture(params=ODD, ids=list(ODD))
def name(request):
    return os.fsdecode(ODD[request.param])


def test_any_name_is_written_and_read(tmp_path, name):
    cells = sf.CellArray("published", 5, seed=1, order=1)
    cells.save(tmp_path / f"{name}.npz")
    assert np.array_equal(sf.CellArray.load(tmp_path / f"{name}.npz").r, cells.r)
    sf.save_model(cells.model, tmp_path / f"{name}.json")
    assert sf.load_model(tmp_path / f"{name}.json").fingerprint == cells.model.fingerprint
    features = {k: np.resize(v, 40) for k, v in cells.features.items()}
    np.savez(tmp_path / "plain.npz", **features)
    (tmp_path / "plain.npz").rename(tmp_path / f"{name}.features.npz")
    assert len(sf.learn.read_features(tmp_path / f"{name}.features.npz").to_pandas()) == 40


def test_any_name_that_is_missing_is_one_line(tmp_path, name):
    for read, ending in (
        (sf.load_model, "json"), (sf.CellArray.load, "npz"), (sf.learn.read_sweeps, "csv"),
        (sf.learn.read_sweeps, "h5"), (sf.learn.read_sweeps, "parquet"),
    ):  # fmt: skip
        with pytest.raises(sf.FileFormatError) as caught:
            read(tmp_path / f"{name}.{ending}")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("not-text", "csv"), ("line-break", "parquet"), ("not-text", "zarr"), ("controls", "csv")],
)
def test_the_command_takes_any_name(tmp_path, kind, ending):
    if ending == "zarr":
        pytest.importorskip("zarr")
    name = os.fsdecode(ODD[kind])
    place = f"./{name}.{ending}"
    once = command("simulate", "--cells", "9", "--program=-2", "-o", place, folder=tmp_path)
    assert once.returncode == 0, once.stderr
    assert (tmp_path / f"{name}.{ending}").exists()
    missing = command("info", f"./{name}.json", folder=tmp_path)
    assert missing.returncode == 2
    assert len(missing.stderr.splitlines()) == 1
    for said in (once.stdout, missing.stdout, missing.stderr):
        assert not set(said.rstrip(b"\n")) & (set(range(32)) | {127})


def test_names_inside_files_cannot_steer_the_terminal(tmp_path):
    model = sf.load_model()
    steering = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
    named = sf.CellModel(steering, model.marginals, model.histories, model.population,
                         model.conduction, {"notes": {steering: steering}})  # fmt: skip
    sf.save_model(named, tmp_path / "m.json")
    done = command("info", "m.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(done.stdout.decode())
    assert r"\x1b]0;owned\x07" in done.stdout.decode()


def test_devices_and_pipes_are_left_alone(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link.json").symlink_to(pipe)
    for place in (pipe, tmp_path / "link.json", Path("/dev/null")):
        before = place.stat().st_mode
        with pytest.raises(sf.InvalidValueError, match="a device or a pipe"):
            sf.save_model(sf.load_model(), place)
        assert place.stat().st_mode == before


def test_places_that_cannot_be_are_one_line(tmp_path):
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "file").write_text("")
    for place in (
        tmp_path / "round", tmp_path / "round" / "x.json", tmp_path / "file" / "x.json",
        tmp_path / ("x" * 300), f"{tmp_path}/a\0b", tmp_path / "none" / "x.json", tmp_path,
    ):  # fmt: skip
        with pytest.raises(sf.InvalidValueError, match=r"^path: ") as caught:
            sf.save_model(sf.load_model(), place)
        assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "round"]


def test_errors_are_one_line_whatever_they_speak_of():
    assert str(sf.InvalidValueError("a\nb\r\nc")) == r"a\nb\nc"


def test_lines_are_not_folded_and_names_are_not_markup(tmp_path):
    """A program reads what a command says."""
    place = f"{'long ' * 30}[red] [b].va"
    done = command("export", "veriloga", "-o", place, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith(f"{place}: ")
    assert len(done.stdout.splitlines()) == 1
    model = sf.load_model()
    named = sf.CellModel("a [/red] b", model.marginals, model.histories, model.population,
                         model.conduction)  # fmt: skip
    sf.save_model(named, tmp_path / "m.json")
    shown = command("info", "m.json", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert b"a [/red] b" in shown.stdout


def test_lines_go_where_a_program_redirects_them():
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        say("a line")
    assert caught.getvalue() == "a line\n"
