"""Programs on more cells than memory holds."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from int16 import simulation_as_int16
from prepared import Prepared

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


SIMULATE = """
import sys
from synfab.simulate import simulate
print("started", flush=True)
simulate([-2.0, 0.9, 1.5], 300_000, sys.argv[1], seed=5, block=2**15, resume=True)
"""
BLOCKS = 10


def count_finished(path):
    return len(list((path / "done" / "c").glob("[0-9]*")))


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_the_same(tmp_path):
    """``make soak`` does it at 50 moments."""
    whole = tmp_path / "whole.zarr"
    moments = int(os.environ.get("SYNFAB_SOAK_KILLS", "4"))
    choose, between = random.Random(7), 0
    with Prepared("import zarr, synfab.simulate, synfab.engines.numba.engine") as programs:
        programs.run(SIMULATE, whole)
        expected = results(whole)
        assert count_finished(whole) == BLOCKS
        for moment in range(moments):
            path = tmp_path / f"{moment}.zarr"
            for _ in range(2):
                blocks, delay = choose.randint(0, BLOCKS - 1), choose.uniform(0.0, 0.05)
                programs.start(SIMULATE, path)
                programs.kill(lambda path=path, n=blocks: count_finished(path) >= n, delay)
                between += 0 < count_finished(path) < BLOCKS
            programs.run(SIMULATE, path)
            for found, wanted in zip(results(path), expected, strict=True):
                assert np.array_equal(found, wanted)
            assert zarr.open_group(str(path))["done"][:].all()
    assert between >= moments // 2  # kills have met runs that were under way


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
    assert [line.split(";")[0] for line in said.split("\n") if line] == [
        "stopping after this pulse … (Ctrl-C again: at once)",
        "stopped",
    ]
    assert said.endswith("add --resume to the command to continue\n")


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


def resumed(path, **options):
    simulate(PROGRAM, CELLS, path, **{"seed": 5, "block": BLOCK, "resume": True, **options})
    return results(path)


def assert_equal(found, wanted):
    for mine, expected in zip(found, wanted, strict=True):
        assert np.array_equal(mine, expected)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished output and what it holds."""
    path = tmp_path_factory.mktemp("finished") / "o.zarr"
    simulate(PROGRAM, CELLS, path, seed=5, block=BLOCK)
    return path, results(path)


@pytest.fixture
def output(finished, tmp_path):
    """A copy of the finished output."""
    return shutil.copytree(finished[0], tmp_path / "o.zarr")


def _flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    file.write_bytes(data)


def _exchange(one, other):
    """Let two files take each other's place."""
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


DAMAGES = {
    "flipped": lambda p: _flip(p / "current/c/1/2"),
    "zeroed": lambda p: (p / "current/c/1/2").write_bytes(bytes(4 * BLOCK + 4)),
    "cut": lambda p: (p / "cycle/c/2/2").write_bytes((p / "cycle/c/2/2").read_bytes()[:-9]),
    "cut to nothing": lambda p: (p / "cycle/c/2/2").write_bytes(b""),
    "missing": lambda p: (p / "cycle/c/2/2").unlink(),
    "two blocks exchanged": lambda p: _exchange(p / "current/c/1/2", p / "current/c/1/1"),
    "two reads exchanged": lambda p: _exchange(p / "current/c/0/2", p / "current/c/1/2"),
    "mark": lambda p: _flip(p / "done/c/2"),
    "seal": lambda p: _flip(p / "seal/c/2/0"),
    "no seal": lambda p: (p / "seal/c/2/0").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_block_is_computed_again(finished, output, damage, caplog):
    damage(output)
    assert_equal(resumed(output), finished[1])
    assert "block 2 is damaged and will be computed again" in caplog.text
    caplog.clear()
    resumed(output)  # everything is verified now
    assert caplog.text == ""


def test_the_last_block_is_shorter_and_computed_again_too(finished, output):
    _flip(output / "current/c/0/3")
    assert_equal(resumed(output), finished[1])


def test_a_mark_without_its_block_is_not_believed(finished, output, caplog):
    for array in ("current", "cycle"):
        for read in range(3):
            (output / array / "c" / str(read) / "1").unlink()
    assert_equal(resumed(output), finished[1])
    assert "block 1 is damaged" in caplog.text


def test_a_block_of_another_run_is_not_believed(finished, output, tmp_path):
    other = tmp_path / "other.zarr"
    simulate(PROGRAM, CELLS, other, seed=6, block=BLOCK)
    for array in ("current", "cycle"):
        for read in range(3):
            shutil.copy(other / array / f"c/{read}/2", output / array / f"c/{read}/2")
    shutil.copy(other / "seal/c/2/0", output / "seal/c/2/0")
    assert_equal(resumed(output), finished[1])


def test_a_reader_is_told_of_a_flipped_chunk(output):
    _flip(output / "current/c/1/2")
    with pytest.raises(ValueError, match="checksum"):
        results(output)


def test_impossible_values_are_computed_again(finished, output):
    group = zarr.open_group(str(output), mode="r+")
    group["current"][1, 2 * BLOCK] = np.nan
    group["cycle"][1, 0] = 4  # after two pulses
    assert_equal(resumed(output), finished[1])


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (".", '"seed": 5', '"seed": 4'), (".", '"noise": true', '"noise": 1'),
        (".", '"software": "syn', '"software": "sin'), (".", '"digest"', '"digesu"'),
        ("current", '"separator": "/"', '"separator": "."'), ("cycle", '"level": 0', '"level": 1'),
        ("done", '"fill_value": 0', '"fill_value": 1'), ("current", '"crc32c"', '"crc33c"'),
        ("seal", '"fill_value": 0', '"fill_value": 2'), ("cycle", "uint32", "uint16"),
    ],
)  # fmt: skip
def test_changed_descriptions_are_refused(output, name, old, new):
    file = output / name / "zarr.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(sf.FileFormatError, match=r"damaged|cannot|expected"):
        resumed(output)
    with pytest.raises(sf.SynfabError):  # not a new run either
        resumed(output, seed=4)


@pytest.mark.filterwarnings("ignore:Object at .synfab-lock", "ignore:Consolidated metadata")
def test_notes_of_the_user_are_not_damage(finished, output):
    zarr.open_group(str(output))["current"].attrs["unit"] = "A"
    zarr.open_group(str(output)).attrs["wafer"] = "W7"
    zarr.consolidate_metadata(str(output))
    assert_equal(resumed(output), finished[1])


def test_a_block_is_on_the_disk_before_its_mark(tmp_path, monkeypatch):
    """Every file and folder of a block is synced while its mark is not there, then the mark."""
    path, synced, before = tmp_path / "o.zarr", [], {}
    fsync = os.fsync

    def noted(handle):
        fsync(handle)
        name = Path(f"/proc/self/fd/{handle}").readlink()
        if name.is_relative_to(path):
            synced.append((str(name.relative_to(path)), os.fstat(handle).st_mtime_ns))
            for block in range(4):
                if not (path / f"done/c/{block}").exists():
                    before[block] = len(synced)

    monkeypatch.setattr("os.fsync", noted)
    simulate(PROGRAM, CELLS, path, seed=5, block=BLOCK)
    for block in range(4):
        early = synced[: before[block]]
        chunks = [f"{name}/c/{read}/{block}" for name in ("current", "cycle") for read in range(3)]
        for chunk in (*chunks, f"seal/c/{block}/0"):
            file = (chunk, (path / chunk).stat().st_mtime_ns)  # as it is now
            folder = str(Path(chunk).parent)
            assert file in early
            assert folder in [name for name, _ in early[early.index(file) :]]
        names = [name for name, _ in synced[before[block] :]]
        assert f"done/c/{block}" in names
        assert "done/c" in names[names.index(f"done/c/{block}") :]
    assert {"zarr.json", ".", "done/zarr.json", "seal", "current", "current/c"} <= {
        name for name, _ in synced
    }


def version_1(path):
    """Results as the version before checksums wrote them."""
    simulate(PROGRAM, CELLS, path, seed=5, block=BLOCK)
    group = zarr.open_group(str(path), mode="a")
    attributes = {k: v for k, v in group.attrs.items() if k not in ("digest", "arrays")}
    for name in ("current", "cycle", "done"):
        values, chunks = group[name][:], group[name].chunks
        made = group.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=chunks, overwrite=True,
            compressors="auto" if name == "cycle" else None,
            config={"write_empty_chunks": True},
        )  # fmt: skip
        made[:] = values
    shutil.rmtree(path / "seal")
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"] = {**attributes, "version": 1}
    (path / "zarr.json").write_text(json.dumps(document))


def test_results_of_cells_with_int16_history_are_not_continued(finished, output):
    """Version 0.1 rounded histories; other numbers must not stand beside theirs."""
    simulation_as_int16(output)
    (output / "current" / "c" / "0" / "0").unlink()
    for history, said in (
        ("float32", r"^history: .* was written with 'int16', found 'float32'$"),
        ("int16", r"^history: expected one of float32, compact, found 'int16'$"),
    ):
        with pytest.raises(sf.InvalidValueError, match=said):
            resumed(output, history=history)
    assert not (output / "current" / "c" / "0" / "0").exists()
    assert np.array_equal(results(output)[1], finished[1][1])


def test_results_of_an_earlier_version_are_resumed(finished, tmp_path, caplog):
    path = tmp_path / "o.zarr"
    version_1(path)
    assert_equal(resumed(path), finished[1])
    assert "without checksums" in caplog.text
    assert "block" not in caplog.text
    (path / "current/c/0/0").write_bytes(b"\0\0\x80\x7f" * BLOCK)  # infinite
    data = (path / "current/c/0/1").read_bytes()
    (path / "current/c/0/1").write_bytes(data[:-4])
    (path / "cycle/c/1/2").write_bytes(b"no frame of Zstandard")
    (path / "done/c/3").write_bytes(b"\2")
    assert_equal(resumed(path), finished[1])
    assert [block for block in range(4) if f"block {block} is damaged" in caplog.text] == [
        0, 1, 2, 3,
    ]  # fmt: skip


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
    with pytest.raises(sf.InvalidValueError, match="already exists"):
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
    from synfab.io.files import locked

    path = tmp_path / "o.zarr"
    hold = "import sys, pathlib, synfab.io.files as s\n"
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


def without_attributes(path):
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"] = {}
    (path / "zarr.json").write_text(json.dumps(document))


def test_killed_before_it_had_begun(tmp_path):
    path = tmp_path / "o.zarr"
    simulate(PROGRAM, 100, path, seed=5)
    without_attributes(path)
    for name in ("current", "cycle", "done", "seal"):
        shutil.rmtree(path / name / "c")
    (path / "zarr.0a1b.partial").write_text("{")  # killed before it was renamed
    simulate(PROGRAM, 200, path, seed=5, resume=True)
    assert results(path)[0].shape == (3, 200)


@pytest.mark.parametrize(
    "damage",
    [without_attributes, lambda p: _exchange(p / "zarr.json", p / "current" / "zarr.json")],
    ids=["no attributes", "exchanged"],
)
def test_results_whose_description_is_lost_are_not_begun_again(finished, output, damage):
    damage(output)
    with pytest.raises(sf.FileFormatError):
        resumed(output)
    assert (output / "current/c/0/0").read_bytes() == (finished[0] / "current/c/0/0").read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "zarr.json").write_text("{"), "cannot resume"),
        (lambda p: (p / "zarr.json").unlink(), "cannot resume"),
        (lambda p: (p / "done" / "zarr.json").write_bytes(b"\0\xff"), "cannot resume"),
        (lambda p: _attribute(p, version=3), "this version of synfab reads up to 2"),
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
        (tmp_path / "bad.npy", {}, "cannot read the pulse program"),
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
    assert "already exists" in again.stderr
