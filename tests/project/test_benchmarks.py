"""The benchmarks run; how fast, they say themselves."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from synfab.cli import bench

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


def test_every_job_beside_the_published_package(monkeypatch, tmp_path):
    pytest.importorskip("synaptogen")
    monkeypatch.syspath_prepend(str(SCRIPTS[0].parents[1]))
    account, limits, page = (
        importlib.import_module(f"benchmarks.{name}") for name in ("account", "limits", "__main__")
    )
    monkeypatch.setattr(limits, "ROUNDS", 2)
    monkeypatch.setattr(page, "PROCESSORS", tmp_path / "processors.json")
    monkeypatch.setattr(bench, "SIDE", 64)
    result = bench.compare_with_published(repeats=1)
    rows = bench.table_rows(result)
    assert [row[0] for row in rows if row[0].startswith("-2 V")] == [
        f"-2 V / +1.5 V pair, {history}" for history in ("float32", "compact")
    ]
    assert all(row["synfab_s"] > 0.0 for row in result.values() if "synfab_s" in row)
    parts = limits.stages()
    assert parts["draw"].instructions > 10.0
    assert "| -2 V / +1.5 V pair, float32 | " in account.table(result, parts)
    assert "| VAR step of a cycle | " in account.stage_table(parts)
    assert "of a full pair" in account.pair_in_parts(result)
    for _ in range(2):  # the second time, the processor is known
        known = page.remember(result, {"first": 1.0})
    assert len(known) == 1
    assert "| read with noise | " in page.by_processor(known)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_scripts_know_what_they_import(script, monkeypatch):
    monkeypatch.syspath_prepend(str(script.parents[1]))
    if script.stem == "cluster":
        pytest.importorskip("distributed")
    spec = importlib.util.spec_from_file_location(f"benchmark_{script.stem}", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.main)


def script(name, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS[0].parents[1]))
    return importlib.import_module(f"benchmarks.{name}")


def test_the_gpu_kernels_are_measured_on_the_cpu(monkeypatch, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("warp")
    gpu = script("gpu", monkeypatch)
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--cells", "500"])
    gpu.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("device: CPU; a copy reads and writes ")
    rows = [line.strip("| ").split(" | ") for line in lines[4:]]
    operations = [row[2] for row in rows if row[0] == "warp"]
    assert [row[:3] for row in rows] == [
        [engine, "500", operation] for engine in ("warp", "reference") for operation in operations
    ]
    assert set(gpu.counted_bytes(10)) < set(operations)
    assert rows[0][5] == "64.6"


def test_without_a_gpu_the_benchmark_says_so_in_one_line(monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("warp")
    gpu = script("gpu", monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match=r"^gpu: PyTorch has no CUDA device .*$"):
        gpu.main()


@pytest.mark.filterwarnings("ignore")  # the published package divides by what is not there
def test_what_a_call_costs_beside_the_published_package(monkeypatch):
    pytest.importorskip("synaptogen")
    monkeypatch.syspath_prepend(str(SCRIPTS[0].parents[1]))
    overhead = importlib.import_module("benchmarks.overhead")
    text = overhead.report(sizes=(3,), rounds=1)
    assert [line.split(" | ")[1] for line in text.splitlines()[2:]] == [
        "pair of pulses", "masked pair, every other cell", "read with noise",
        "program: 100 pulses, each with a read", "construction",
    ]  # fmt: skip
