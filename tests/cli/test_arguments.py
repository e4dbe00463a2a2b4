"""Wrong words on the command line: a usage error or one clear line, never a traceback."""

import pytest
from typer.testing import CliRunner

import synfab as sf
from synfab.cli.app import app

WORDS = ("", "word", "-1", "1e400", "nan", "99999999999999999999999", "a,b", "x" * 5000)
SIMULATE = {
    "--cells": "4", "--program": "-2, 0.9", "--output": "out.csv", "--model": "published",
    "--seed": "1", "--order": "1", "--history": "float32", "--read-voltage": "0.2",
    "--bandwidth": "1e8", "--reads": "every",
}  # fmt: skip
FIT = {
    "--output": "model.json", "--order": "1", "--components": "1", "--columns": "r_hrs=r_hrs",
    "--u-set": "-1", "--u-reset": "1", "--reset": "onset", "--u-0": "0.1",
    "--conduction": "published", "--skip": "0", "--seed": "0", "--name": "name",
    "--report": "report.html",
}  # fmt: skip
COMMANDS = {
    "simulate": ([], SIMULATE),
    "simulate-zarr": ([], {**SIMULATE, "--output": "out.zarr"}),
    "fit": (["missing.csv"], FIT),
}


@pytest.mark.parametrize(
    ("command", "option"),
    [(command, option) for command, (_, options) in COMMANDS.items() for option in options],
)
def test_a_wrong_word_is_a_usage_error_or_one_line(command, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places, options = COMMANDS[command]
    for word in WORDS:
        given = {**options, option: word}
        call = [
            command.removesuffix("-zarr"),
            *places,
            *(x for pair in given.items() for x in pair),
        ]
        found = CliRunner().invoke(app, call)
        assert found.exception is None or isinstance(
            found.exception, (SystemExit, sf.SynfabError)
        ), f"{option} {word[:20]!r}: {found.exception!r}"
        if isinstance(found.exception, sf.SynfabError):
            assert len(str(found.exception).splitlines()) == 1


@pytest.mark.parametrize("word", WORDS)
def test_a_wrong_model_is_one_line(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["info", "--", word])
    assert isinstance(found.exception, sf.SynfabError)
