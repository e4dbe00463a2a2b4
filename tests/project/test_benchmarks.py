"""The benchmarks run; how fast, they say themselves."""

import importlib
import importlib.util
from pathlib import Path

import pytest

from synfab.cli import bench

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


def test_every_job_beside_the_published_package(monkeypatch):
    pytest.importorskip("synaptogen")
    monkeypatch.syspath_prepend(str(SCRIPTS[0].parents[1]))
    account = importlib.import_module("benchmarks.account").account
    monkeypatch.setattr(bench, "SIDE", 64)
    result = bench.compare_with_published(repeats=1)
    rows = bench.table_rows(result)
    assert [row[0] for row in rows if row[0].startswith("-2 V")] == [
        f"-2 V / +1.5 V pair, {history}" for history in ("float32", "int16", "compact")
    ]
    assert all(row["synfab_s"] > 0.0 for row in result.values() if "synfab_s" in row)
    text = account(result)
    assert "A pair with float32 history moves 160 bytes per cell" in text
    assert "of a full pair" in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_scripts_know_what_they_import(script, monkeypatch):
    monkeypatch.syspath_prepend(str(script.parents[1]))
    if script.stem == "cluster":
        pytest.importorskip("distributed")
    spec = importlib.util.spec_from_file_location(f"benchmark_{script.stem}", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.main)


@pytest.mark.filterwarnings("ignore")  # the published package divides by what is not there
def test_what_a_call_costs_beside_the_published_package(monkeypatch):
    pytest.importorskip("synaptogen")
    monkeypatch.syspath_prepend(str(SCRIPTS[0].parents[1]))
    overhead = importlib.import_module("benchmarks.overhead")
    text = overhead.report(sizes=(3,), rounds=1)
    assert [line.split(" | ")[1] for line in text.splitlines()[2:]] == [
        "pair of pulses", "masked pair, every other cell", "read with noise", "construction"
    ]  # fmt: skip
