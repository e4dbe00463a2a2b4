"""Programs on more cells than memory holds."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import synfab as sf
from synfab.simulate import Simulation, simulate

zarr = pytest.importorskip("zarr")
CELLS, BLOCK = 10_000, 3_000
PROGRAM = "-2, 0.9, 1.5"


def results(path):
    group = zarr.open_group(str(path), mode="r")
    return group["current"][:], group["cycle"][:]


def in_memory(program, **options):
    cells = sf.CellArray("published", CELLS, seed=5, **options)
    currents, cycles = [], []
    for u in program:
        cells.apply_voltage(u)
        currents.append(cells.read())
        cycles.append(cells.cycle)
    return np.stack(currents), np.stack(cycles)


@pytest.mark.parametrize("history", ["float32", "compact"])
def test_blocks_are_the_cells_of_an_array(tmp_path, history):
    simulate(PROGRAM, CELLS, tmp_path / "o.zarr", seed=5, block=BLOCK, history=history)
    current, cycle = results(tmp_path / "o.zarr")
    expected = in_memory([-2.0, 0.9, 1.5], history=history)
    assert np.array_equal(current, expected[0])
    assert np.array_equal(cycle, expected[1])


def test_voltages_of_each_cell(tmp_path):
    u = np.linspace(-2.0, 1.5, 2 * CELLS, dtype=np.float32).reshape(2, CELLS)
    np.save(tmp_path / "u.npy", u)
    zarr.save_array(str(tmp_path / "u.zarr"), u)
    programs = (
        tmp_path / "u.npy", str(tmp_path / "u.zarr"),
        [lambda a, b: u[0, a:b], lambda a, b: u[1, a:b]],
    )  # fmt: skip
    expected = in_memory(u)[0]
    for k, program in enumerate(programs):
        simulate(program, CELLS, tmp_path / f"{k}.zarr", seed=5, block=BLOCK)
        assert np.array_equal(results(tmp_path / f"{k}.zarr")[0], expected)


def test_only_the_last_read(tmp_path):
    for reads in ("every", "last"):
        simulate(PROGRAM, CELLS, tmp_path / reads, seed=5, block=BLOCK, reads=reads)
    every, last = (results(tmp_path / reads)[0] for reads in ("every", "last"))
    assert last.shape == (1, CELLS)
    assert np.array_equal(last[0], every[-1])


def test_a_program_that_fails_in_the_middle_goes_on(tmp_path):
    def broken(start, stop):
        if start >= 2 * BLOCK:
            raise RuntimeError("power cut")
        return np.full(stop - start, 0.9)

    path, broken.__qualname__ = tmp_path / "o.zarr", "step"
    with pytest.raises(RuntimeError, match="power cut"):
        simulate([-2.0, broken], CELLS, path, seed=5, block=BLOCK)
    assert zarr.open_group(str(path))["done"][:].tolist() == [1, 1, 0, 0]
    made = []

    def step(start, stop):
        made.append(start)
        return np.full(stop - start, 0.9)

    step.__qualname__ = "step"
    simulate([-2.0, step], CELLS, path, seed=5, block=BLOCK, resume=True)
    assert made == [2 * BLOCK, 3 * BLOCK]
    assert np.array_equal(results(path)[0], in_memory([-2.0, 0.9])[0])


def command(path, *more):
    program = ["--cells", "3000000", "--program", "-2, 0.9, 1.5", "--seed", "5", "-o", str(path)]
    return [sys.executable, "-m", "synfab", "simulate", *program, *more]


def test_killed_at_any_moment_it_ends_the_same(tmp_path):
    """``make soak`` does it at 50 moments."""
    whole = tmp_path / "whole.zarr"
    subprocess.run(command(whole), check=True, capture_output=True)
    expected = results(whole)
    moments = int(os.environ.get("SYNFAB_SOAK_KILLS", "4"))
    choose = random.Random(7)
    for moment in range(moments):
        path = tmp_path / f"{moment}.zarr"
        killed = 0
        while killed < 2:
            with subprocess.Popen(
                command(path, "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as run:
                time.sleep(choose.uniform(1.0, 6.0))
                run.send_signal(signal.SIGKILL)
            killed += 1
        done = subprocess.run(
            command(path, "--resume"), check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        for found, wanted in zip(results(path), expected, strict=True):
            assert np.array_equal(found, wanted)
        assert zarr.open_group(str(path))["done"][:].all()


def test_ctrl_c_says_how_to_go_on(tmp_path):
    path = tmp_path / "o.zarr"
    program = ["--cells", "40000000", "--program", "-2, 0.9", "--seed", "5", "-o", str(path)]
    begun = [sys.executable, "-m", "synfab", "simulate", *program]
    with subprocess.Popen(begun, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stderr is not None
        assert b"about" in run.stderr.readline()
        while not (path / "done").exists():
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        said = run.stderr.read().decode()
    assert run.returncode == 130
    assert said.endswith("stopped; the same command with --resume goes on\n")
    assert len(said.strip().splitlines()) == 1


def test_a_changed_file_of_voltages_is_another_program(tmp_path):
    u = np.zeros((2, 100), np.float32)
    np.save(tmp_path / "u.npy", u)
    zarr.save_array(str(tmp_path / "u.zarr"), u)
    for name in ("u.npy", "u.zarr"):
        simulate(tmp_path / name, 100, tmp_path / f"{name}.out", seed=5)
        (tmp_path / "moved").mkdir(exist_ok=True)
        copied = (tmp_path / name).rename(tmp_path / "moved" / name)  # the same numbers elsewhere
        simulate(copied, 100, tmp_path / f"{name}.out", seed=5, resume=True)
    np.save(tmp_path / "moved" / "u.npy", u + 1.0)
    zarr.open_array(str(tmp_path / "moved" / "u.zarr"))[:] = 1.0
    for name in ("u.npy", "u.zarr"):
        with pytest.raises(sf.InvalidValueError, match=r"^program: "):
            simulate(tmp_path / "moved" / name, 100, tmp_path / f"{name}.out", seed=5, resume=True)


def test_a_block_whose_chunks_a_power_cut_took_is_run_again(tmp_path):
    path = tmp_path / "o.zarr"
    simulate(PROGRAM, CELLS, path, seed=5, block=BLOCK)
    expected = results(path)
    (path / "current" / "c" / "1" / "2").write_bytes(b"")
    (path / "cycle" / "c" / "0" / "0").unlink()
    simulate(PROGRAM, CELLS, path, seed=5, block=BLOCK, resume=True)
    for found, wanted in zip(results(path), expected, strict=True):
        assert np.array_equal(found, wanted)
    assert (path / "cycle" / "c" / "0" / "0").exists()


def test_a_wrong_folder_is_left_as_it_was(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "video.partial").write_text("half a film")
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(sf.FileFormatError, match="not a simulation"):
        simulate(PROGRAM, 100, tmp_path, seed=5, resume=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_another_run_is_not_touched(tmp_path):
    path = tmp_path / "o.zarr"
    simulate(PROGRAM, 100, path, seed=5)
    before = results(path)[0]
    with pytest.raises(sf.InvalidValueError, match="is there already"):
        simulate(PROGRAM, 100, path, seed=5)
    for change, name in (
        ({"seed": 6}, "seed"), ({"read_voltage": 0.1}, "read_voltage"), ({"order": 3}, "order"),
    ):  # fmt: skip
        with pytest.raises(sf.InvalidValueError, match=name):
            simulate(PROGRAM, 100, path, resume=True, **{"seed": 5, **change})
    with pytest.raises(sf.InvalidValueError, match="program"):
        simulate("-2, 1, 1.5", 100, path, resume=True, seed=5)
    assert np.array_equal(results(path)[0], before)


def test_two_processes_do_not_write_one_output(tmp_path):
    from synfab.files import locked

    path = tmp_path / "o.zarr"
    hold = "import sys, pathlib, synfab.files as s\n"
    hold += (
        "with s.locked(pathlib.Path(sys.argv[1]), 'output'):\n  print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(sf.InvalidValueError, match="another process"):
            simulate(PROGRAM, 100, path, seed=5)
        other.kill()
    with locked(path, "output"):
        pass  # a lock dies with its process


def test_a_full_disk_is_said_and_survived(tmp_path):
    """Files cannot grow beyond a limit: what a full disk answers, without a disk."""
    path = tmp_path / "o.zarr"
    code = (
        "import resource, signal, sys, synfab as sf\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, resource.RLIM_INFINITY))\n"
        "from synfab.simulate import simulate\n"
        "try:\n  simulate('-2', 100_000, sys.argv[1], seed=5, block=50_000)\n"
        "except sf.InvalidValueError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=False, capture_output=True, text=True
    )
    assert run.stdout.startswith("output: cannot write"), run.stderr
    assert "\n" not in run.stdout.strip()
    simulate("-2", 100_000, path, seed=5, block=50_000, resume=True)
    expected = sf.CellArray("published", 100_000, seed=5).apply_voltage(-2.0).read()
    assert np.array_equal(results(path)[0][0], expected)


def test_killed_before_it_had_begun(tmp_path):
    path = tmp_path / "o.zarr"
    simulate(PROGRAM, 100, path, seed=5)
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"] = {}
    (path / "zarr.json").write_text(json.dumps(document))
    (path / "zarr.0a1b.partial").write_text("{")  # killed before it was renamed
    simulate(PROGRAM, 200, path, seed=5, resume=True)
    assert results(path)[0].shape == (3, 200)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "zarr.json").write_text("{"), "cannot go on"),
        (lambda p: (p / "zarr.json").unlink(), "cannot go on"),
        (lambda p: (p / "done" / "zarr.json").write_bytes(b"\0\xff"), "cannot go on"),
        (lambda p: _attribute(p, version=2), "this synfab reads 1"),
        (lambda p: _attribute(p, format="other"), "not a simulation"),
    ],
)
def test_damaged_outputs_are_refused_in_a_line(tmp_path, damage, message):
    path = tmp_path / "o.zarr"
    simulate(PROGRAM, 100, path, seed=5)
    damage(path)
    with pytest.raises(sf.FileFormatError, match=message) as caught:
        simulate(PROGRAM, 100, path, seed=5, resume=True)
    assert "\n" not in str(caught.value)


def _attribute(path, **changes):
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"].update(changes)
    (path / "zarr.json").write_text(json.dumps(document))


def test_bad_arguments(tmp_path):
    path = tmp_path / "o.zarr"
    (tmp_path / "bad.npy").write_bytes(b"not numbers")
    np.save(tmp_path / "short.npy", np.zeros((2, 99)))
    for program, options, message in (
        ([], {}, "program: expected at least one"),
        (["up"], {}, "program: expected voltages"),
        ([float("nan")], {}, "program: expected finite"),
        ("-2", {"reads": "some"}, "reads: expected"),
        ("-2", {"block": 0}, "block: expected"),
        ("-2", {"block": 1.5}, "block: expected an integer"),
        ("-2", {"read_voltage": np.nan}, "read_voltage: expected finite"),
        ("-2", {"bandwidth": -1.0}, "bandwidth: expected at least 0, found -1"),
        ("-2", {"history": "none"}, "history: expected"),
        (tmp_path / "bad.npy", {}, "cannot read the program"),
        (tmp_path / "short.npy", {}, r"shape \(pulses, 100\)"),
        ([lambda a, b: np.zeros(3)], {}, r"expected \(100,\)"),
    ):
        with pytest.raises(sf.SynfabError, match=message):
            simulate(program, 100, path, **{"seed": 5, **options})
    with pytest.raises(sf.CapacityError, match="block"):
        simulate("-2", 2**40, path, seed=5, block=2**31)


def test_the_estimate_and_the_memory(tmp_path):
    simulation = Simulation("-2, 0.9", 2**23, tmp_path / "o.zarr", seed=5, block=2**19)
    estimate = simulation.estimate()
    assert not (tmp_path / "o.zarr").exists()
    assert estimate.output == 2 * 8 * 2**23
    assert "GiB free" in str(estimate)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    simulation.run()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 2 * estimate.memory < 2**28


def test_the_command(tmp_path):
    run = [sys.executable, "-m", "synfab", "simulate", "--cells", "1000", "--program", "-2, 0.9"]
    done = subprocess.run(
        [*run, "-o", "out.zarr"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout == "2 pulses on 1000 cells: out.zarr\n"
    assert "about" in done.stderr
    again = subprocess.run(
        [*run, "-o", "out.zarr"], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert again.returncode != 0
    assert "is there already" in again.stderr
