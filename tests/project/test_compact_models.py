"""The physical compact models of the benchmarks compile and follow their published curves."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(ngspice, tmp_path_factory):
    pytest.importorskip("sympy")
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(ROOT))
    modules = {
        name: importlib.import_module(f"benchmarks.{name}")
        for name in ("compact_models", "compact.validate", "compact.published")
    }
    libraries = modules["compact_models"].build_all(tmp_path_factory.mktemp("models"))
    yield modules, libraries
    patch.undo()


def test_the_stanford_model_follows_the_published_loop(models):
    modules, libraries = models
    validate = modules["compact.validate"]
    ratios = validate.stanford_ratios(validate.stanford_loops(libraries["Stanford-PKU"]))
    np.testing.assert_allclose(ratios["SET"], 1.0, atol=0.05)
    np.testing.assert_allclose(ratios["RESET"][:4], 1.0, atol=0.05)  # LRS, up to the peak
    np.testing.assert_allclose(ratios["RESET"][4:], 1.0, atol=0.35)
    np.testing.assert_allclose(ratios["return"], 1.0, atol=0.15)


def test_the_stanford_model_sets_at_the_published_voltage(models):
    modules, libraries = models
    v, i = modules["compact.validate"].stanford_loops(libraries["Stanford-PKU"])["SET"]
    published = {c: u for u, c in modules["compact.published"].JIANG_SET}
    assert np.interp(1.738e-5, i, v) == pytest.approx(published[1.738e-5], abs=0.01)


def test_jart_follows_the_published_loop(models):
    modules, libraries = models
    marks = modules["compact.validate"].marks
    ours = marks(modules["compact.validate"].jart_loop(libraries["JART VCM v1b"]))
    theirs = marks(modules["compact.published"].ntinas_loop())
    for name in ("SET voltage", "RESET voltage", "peak current", "LRS current"):
        assert ours[name] == pytest.approx(theirs[name], rel=0.03), name
    assert ours["HRS current"] == pytest.approx(theirs["HRS current"], rel=0.1)


@pytest.mark.parametrize("model", ["Stanford-PKU", "JART VCM v1b"])
def test_varied_cells_differ_and_equal_numbers_are_equal_cells(models, model):
    modules, libraries = models
    models_line = modules["compact_models"].MODELS[model].replace(".model memory ", "").split()
    from synfab.circuit import run_ngspice

    state = "@n{}[now_logn]" if model.startswith("JART") else "@n{}[now_factor]"
    shown = [state.format(k).replace("logn", "r") for k in range(3)]
    (wave,) = run_ngspice(
        "cells\nV1 a 0 0.1\nN0 a 0 m cell=5\nN1 a 0 m cell=5\nN2 a 0 m cell=6\n"
        f".model m {' '.join(models_line)}\n.save {' '.join(shown)}\n.op\n",
        osdi=libraries[model],
    )
    first, second, other = (wave[name][0] for name in shown)
    assert first == second != other


def test_the_comparison_reports_every_model(models, tmp_path, monkeypatch, capsys):
    modules, _ = models
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(modules["compact_models"], "build_all", lambda folder: models[1])
    for count in ("1", "2"):
        modules["compact_models"].main(
            ["--rounds", "1", "--sizes", count, "--points", "60", "--results", "known.json"]
        )
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "compact-speed.png", "compact-validation.png",
    }  # fmt: skip
    said = capsys.readouterr().out
    rows = re.findall(r"^\| (\d) \| ([^|]+) \| [\d.]+ s \|", said, re.MULTILINE)
    names = list(modules["compact_models"].CELLS)
    assert rows[-10:] == [(count, name) for count in ("1", "2") for name in names]
    assert "JART VCM v1b, SET voltage: -0.5" in said


def test_the_comparison_of_crossbars_reports_time_memory_and_ratios(ngspice, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT))
    circuit = importlib.import_module("benchmarks.circuit")
    sizes = [word for name in ("write", "wires", "read", "solver") for word in (f"--{name}", "2")]
    circuit.main(["--rounds", "1", *sizes])
    said = capsys.readouterr().out
    for title, kinds in (
        ("2 x 2 write, ideal wires", ["cells", "resistors", "diodes", "vteam"]),
        ("2 x 2 write, wires of 2.0 ohm, KLU", ["cells", "resistors", "diodes"]),
        ("2 x 2 read transient", ["cells", "resistors", "diodes"]),
        ("2 x 2 operating point", ["cells", "resistors", "diodes"]),
    ):
        after = said.partition(title)[2].splitlines()[1 : 1 + len(kinds)]
        assert [line.split()[0] for line in after] == kinds
        assert all(re.search(r" [\d.]+ s +[1-9]\d* MB +\d+ iterations", line) for line in after)
        peers = zip(kinds[1:], after[1:], strict=True)
        assert all(re.search(rf"cells/{kind} [\d.]+$", line) for kind, line in peers)
