"""Long runs that are stopped end with the same bits."""

import logging
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from prepared import Prepared

import synfab as sf
from synfab.io import checkpoints
from synfab.io.archive import is_whole
from synfab.io.checkpoints import read_checkpoint
from synfab.programming.controller import Controllers

SHAPE = (12, 12)
RESULTS = (
    "targets", "achieved", "outcome", "pulses", "energy", "outliers", "pending", "error",
)  # fmt: skip


def crossbar(seed=5, **options):
    access = sf.crossbar.Transistor(1e3)
    cells = sf.CellArray("published", SHAPE, seed=seed, **options)
    return sf.Crossbar(cells, 2.5, access=access)


def targets():
    return np.random.default_rng(0).uniform(20e-6, 180e-6, SHAPE)


def go_on(folder, **options):
    return sf.Checkpoints(folder, **{"interval": 0.0, "resume": True, **options})


class PowerCutError(Exception):
    pass


def stopped_after(passes, monkeypatch, folder, **options):
    """Program a crossbar until the given pass; checkpoints stay in the folder."""
    bar = crossbar(**options)

    done, fired = iter(range(passes + 1)), Controllers.fired

    def fired_until_then(controllers, voltage):
        if next(done) == passes:
            raise PowerCutError
        fired(controllers, voltage)

    monkeypatch.setattr(Controllers, "fired", fired_until_then)
    with pytest.raises(PowerCutError):
        bar.program(targets(), checkpoints=go_on(folder, resume=False))
    monkeypatch.undo()


def steps(folder):
    return sorted(path.name for path in folder.glob("step-*"))


@pytest.mark.parametrize("options", [{}, {"history": "compact"}, {"engine": "array"}])
def test_programming_that_was_stopped_ends_the_same(tmp_path, monkeypatch, options):
    bar = crossbar(**options)
    expected = bar.program(targets())
    stopped_after(20, monkeypatch, tmp_path, **options)
    again = crossbar(**options)
    found = again.program(targets(), checkpoints=go_on(tmp_path))
    for name in RESULTS:
        assert np.array_equal(getattr(found, name), getattr(expected, name), equal_nan=True), name
    assert np.array_equal(again.cells.r, bar.cells.r)
    assert np.array_equal(again.cells.read(), bar.cells.read())


def test_a_checkpoint_renamed_to_another_step_is_refused(tmp_path):
    with go_on(tmp_path).open({}) as run:
        run.save(3, {"x": 3})
        run.save(4, {"x": 4})
    (tmp_path / "step-000000000003.npz").rename(tmp_path / "step-000000000009.npz")
    with (
        pytest.raises(sf.FileFormatError, match=r"000009\.npz: step: .* 9, the content 3$"),
        go_on(tmp_path).open({}),
    ):
        pass
    with pytest.raises(sf.FileFormatError, match="step: the file name states 9"):
        read_checkpoint(tmp_path / "step-000000000009.npz", {})
    (tmp_path / "step-000000000009.npz").rename(tmp_path / "step-000000000003.npz")
    with go_on(tmp_path).open({}) as run:
        assert (run.step, run.load(3)) == (4, {"x": 3})


def test_only_the_newest_checkpoints_are_kept(tmp_path, monkeypatch):
    stopped_after(9, monkeypatch, tmp_path)
    assert steps(tmp_path) == ["step-000000000008.npz", "step-000000000009.npz"]


def test_a_damaged_checkpoint_is_passed_over(tmp_path, monkeypatch, caplog):
    expected = crossbar().program(targets())
    stopped_after(9, monkeypatch, tmp_path)
    newest = tmp_path / "step-000000000009.npz"
    newest.write_bytes(newest.read_bytes()[:-1000])
    with caplog.at_level(logging.WARNING, "synfab.io.checkpoints"):
        found = crossbar().program(targets(), checkpoints=go_on(tmp_path))
    assert "step-000000000009.npz: damaged" in caplog.text
    assert np.array_equal(found.achieved, expected.achieved)


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_checkpoints_do_not_push_out_whole_ones(tmp_path, keep):
    for step in (10, 20):
        with go_on(tmp_path, keep=2).open({}) as run:
            run.save(step, {"step": step})
    (tmp_path / "step-000000000020.npz").write_bytes(b"PK")
    with go_on(tmp_path, keep=keep).open({}) as run:
        assert run.step == 10
        run.save(12, {"step": 12})
    with go_on(tmp_path, keep=keep).open({}) as run:
        assert run.state == {"step": 12}
    assert steps(tmp_path) == [
        *(["step-000000000010.npz"] if keep == 2 else []), "step-000000000012.npz",
        "step-000000000020.npz.damaged",
    ]  # fmt: skip


def test_a_later_checkpoint_does_not_push_out_the_one_just_written(tmp_path):
    """As after a run that has gone on from an earlier one."""
    with go_on(tmp_path, keep=1).open({}) as run:
        run.save(30, {})
        run.save(10, {})
        assert run.has(10)
        assert run.has(30)


def test_a_run_with_a_setting_less_is_another_run(tmp_path):
    with go_on(tmp_path).open({"rate": 0.1, "seed": 3}) as run:
        run.save(1, {})
    with (
        pytest.raises(sf.InvalidValueError, match=r"^rate: .* written with 0\.1, found None"),
        go_on(tmp_path).open({"seed": 3}),
    ):
        pass


def test_any_number_of_arrays_comes_back(tmp_path):
    state = {f"tile {k}": {"r": np.full(2, k)} for k in range(10_500)}
    with go_on(tmp_path).open({}) as run:
        run.save(1, state)
    with go_on(tmp_path).open({}) as run:
        assert run.state["tile 10499"]["r"].tolist() == [10499, 10499]


def test_what_is_not_a_checkpoint_is_left_alone(tmp_path):
    for name in (".step-notes", "sub/.step-000000000001.npz.abc", "step-1.npz", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    (tmp_path / ".step-000000000002.npz.folder").mkdir()
    with go_on(tmp_path, keep=1).open({}) as run:
        run.save(1, {})
        run.save(2, {})
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert names == {
        ".step-notes", "sub", "sub/.step-000000000001.npz.abc", "step-1.npz", "notes.txt",
        ".step-000000000002.npz.folder", ".synfab-lock", "step-000000000002.npz",
    }  # fmt: skip


def test_a_child_does_not_hold_the_folder_of_its_dead_parent(tmp_path):
    code = (
        "import os, sys, time, synfab as sf\n"
        "with sf.Checkpoints(sys.argv[1]).open({}) as run:\n"
        "    if not os.fork():\n        print('forked', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as parent:
        try:
            assert parent.stdout.readline() == b"forked\n"
            parent.kill()
            parent.wait()
            with go_on(tmp_path / "kept").open({}) as run:
                assert run.step == 0
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def test_a_folder_that_cannot_be_locked_is_said(tmp_path, monkeypatch, caplog):
    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", none)
    with caplog.at_level(logging.WARNING, "synfab.io.files"), go_on(tmp_path).open({}) as run:
        run.save(1, {})
    assert "cannot be locked" in caplog.text


def test_the_clock_does_not_choose_the_checkpoint(tmp_path, monkeypatch):
    expected = crossbar().program(targets())
    stopped_after(9, monkeypatch, tmp_path)
    os.utime(tmp_path / "step-000000000009.npz", (0, 0))  # 1970; the other one is of today
    monkeypatch.setattr(time, "time", lambda: -1e9)
    with go_on(tmp_path).open(_settings_in(tmp_path)) as run:
        assert run.step == 9
    found = crossbar().program(targets(), checkpoints=go_on(tmp_path))
    assert np.array_equal(found.achieved, expected.achieved)


def _settings_in(folder):
    from synfab.io.archive import open_checked

    with open_checked(folder / steps(folder)[-1], "a checkpoint") as archive:
        return archive.manifest["settings"]


def test_nothing_whole_is_said(tmp_path, monkeypatch):
    stopped_after(3, monkeypatch, tmp_path)
    for path in tmp_path.glob("step-*"):
        path.write_bytes(b"PK")
    with pytest.raises(sf.FileFormatError, match="all checkpoints are damaged"):
        crossbar().program(targets(), checkpoints=go_on(tmp_path))


def test_another_run_is_not_gone_on_with(tmp_path, monkeypatch):
    stopped_after(3, monkeypatch, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("step-*")}
    ours = go_on(tmp_path)
    access, dead = sf.crossbar.Transistor(1e3), np.eye(12, dtype=bool)
    other = sf.Crossbar(crossbar().cells, 5.0, access=access)
    broken = sf.Crossbar(crossbar().cells, 2.5, access=access, open_cells=dead)
    weaker = sf.Crossbar(crossbar().cells, 2.5, access=sf.crossbar.Transistor(2e3))
    for change, message in (
        (lambda: crossbar().program(targets(), checkpoints=tmp_path), "already holds checkpoints"),
        (lambda: crossbar().program(1.1 * targets(), checkpoints=ours), "^targets: "),
        (lambda: crossbar().program(targets(), retries=3, checkpoints=ours), "^retries: .* 10"),
        (lambda: crossbar(seed=6).program(targets(), checkpoints=ours), "^cells: seed: .* 5"),
        (lambda: crossbar(order=2).program(targets(), checkpoints=ours), "^cells: order: "),
        (lambda: other.program(targets(), checkpoints=ours), "^wires: "),
        (lambda: broken.program(targets(), checkpoints=ours), "^stuck: "),
        (lambda: weaker.program(targets(), checkpoints=ours), "^access: "),
        *(
            (lambda k=k, v=v: crossbar().program(targets(), checkpoints=ours, **{k: v}), f"^{k}: ")
            for k, v in {
                "tolerance": 1e-6,
                "duration": 2e-7,
                "scheme": "V/2",
                "parallel": 3,
                "max_passes": 7,
            }.items()
        ),
    ):
        with pytest.raises(sf.InvalidValueError, match=message) as caught:
            change()
        assert "\n" not in str(caught.value)
    assert before == {path.name: path.read_bytes() for path in tmp_path.glob("step-*")}


@pytest.mark.parametrize("nested", [False, True])
def test_settings_under_an_earlier_name_are_the_same_settings(tmp_path, nested):
    def settings(name, value):
        return {"options": {name: value}} if nested else {name: value}

    with go_on(tmp_path).open(settings("most_passes", 7)) as run:
        run.save(1, {"x": 1})
    with go_on(tmp_path).open(settings("max_passes", 7)) as run:
        assert run.state == {"x": 1}
    with (
        pytest.raises(sf.InvalidValueError, match="options: " if nested else "max_passes: .* 7"),
        go_on(tmp_path).open(settings("max_passes", 8)),
    ):
        pass


def test_a_later_version_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VERSION", 2)
    with go_on(tmp_path).open({}) as run:
        run.save(1, {})
    monkeypatch.undo()
    with (
        pytest.raises(sf.FileFormatError, match="version: the file has version 2"),
        go_on(tmp_path).open({}),
    ):
        pass


def test_one_run_at_a_time(tmp_path):
    with (
        go_on(tmp_path).open({}),
        pytest.raises(sf.InvalidValueError, match=r"checkpoints: .* another process"),
        go_on(tmp_path).open({}),
    ):
        pass


def test_states_come_back_as_they_were(tmp_path):
    state = {
        "a": {"b.c": np.arange(6, dtype=np.int16).reshape(2, 3), "empty": {}, "none": None},
        "flags": np.array([True, False]), "scalar": np.float32(0.1), "zero": np.array(3.5),
        "nan": np.array([np.nan, -0.0]), "one": float("nan"), "none": np.zeros((0, 3)),
        "text": "a line", "list": [1, 2.5, "x"], "arrays": [np.ones(2), {"b": [np.zeros(1)]}, 3],
    }  # fmt: skip
    with go_on(tmp_path).open({"who": "me"}) as run:
        assert (run.step, run.state) == (0, None)
        run.save(7, state)
    (tmp_path / ".step-000000000008.npz.x1_b2c3d").write_bytes(b"killed while it was written")
    with go_on(tmp_path).open({"who": "me"}) as run:
        assert run.step == 7
        found = run.state
    assert found["a"]["b.c"].tobytes() == state["a"]["b.c"].tobytes()
    assert found["a"]["b.c"].shape == (2, 3)
    assert found["nan"].tobytes() == state["nan"].tobytes()
    assert found["zero"].shape == ()
    assert np.isnan(found["one"])
    assert found["none"].shape == (0, 3)
    assert found["flags"].tolist() == [True, False]
    assert found["scalar"] == float(np.float32(0.1))
    first, second, third = found["arrays"]
    assert (first.tolist(), second["b"][0].tolist(), third) == ([1.0, 1.0], [0.0], 3)
    assert (found["a"]["empty"], found["a"]["none"]) == ({}, None)
    assert (found["text"], found["list"]) == ("a line", [1, 2.5, "x"])
    assert steps(tmp_path) == ["step-000000000007.npz"]
    assert not list(tmp_path.glob(".step-*"))


def test_intervals_are_those_of_the_running_clock(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with sf.Checkpoints(tmp_path, interval=60.0).open({}) as run:
        for seconds, step in ((159.0, 1), (160.0, 2), (219.0, 3), (220.0, 4)):
            now = seconds
            run.tick(step, dict)
    assert steps(tmp_path) == ["step-000000000002.npz", "step-000000000004.npz"]


def test_bad_arguments(tmp_path):
    for options, message in (
        ({"folder": 3}, "folder: expected a path"), ({"interval": -1.0}, "interval: expected"),
        ({"interval": "x"}, "interval: expected"), ({"keep": 0}, "keep: expected"),
    ):  # fmt: skip
        with pytest.raises(sf.SynfabError, match=message):
            sf.Checkpoints(**{"folder": tmp_path, **options})
    with go_on(tmp_path).open({}) as run:
        for state, message in (
            ({"a": {"x/y": 1}}, "state/a: expected names"), ({1: 2}, "state: expected names"),
            ({"a": np.array(["x"])}, "state/a: expected numbers"),
            ({"a": object()}, "state/a: expected arrays"), ({"a\0": 1}, "state: expected names"),
            ({"a": [object()]}, "state/a/0: expected arrays"),
        ):  # fmt: skip
            with pytest.raises(sf.SynfabError, match=message):
                run.save(1, state)
        with pytest.raises(sf.InvalidValueError, match="step: expected"):
            run.save(-1, {})
    for settings, message in (
        ({"lr": float("nan")}, "^lr: expected finite"), ({"x": object()}, "^x: expected numbers"),
        ({"x": "y" * 200_000}, "^x: expected up to"),
    ):  # fmt: skip
        with pytest.raises(sf.SynfabError, match=message), go_on(tmp_path).open(settings):
            pass
    with go_on(tmp_path / "new").open({"n": np.int64(3), "x": np.float32(0.5)}) as run:
        run.save(1, {})
    with go_on(tmp_path / "new").open({"n": 3, "x": 0.5}) as run:
        assert run.step == 1
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "none" / "below"):
        with (
            pytest.raises(sf.InvalidValueError, match="checkpoints: cannot write"),
            sf.Checkpoints(folder).open({}),
        ):
            pass
    assert steps(tmp_path) == []


def test_odd_folders(tmp_path):
    real = tmp_path / "new\nline and 'quotes' \N{GREEK SMALL LETTER OMEGA}"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    with go_on(tmp_path / "link").open({}) as run:
        run.save(3, {"x": np.zeros(2)})
    with go_on(real).open({}) as run:
        assert run.step == 3


PROGRAM = """
import sys, numpy as np, synfab as sf
folder, output = sys.argv[1:]
cells = sf.CellArray("published", (16, 16), seed=5)
bar = sf.Crossbar(cells, 2.5, access=sf.crossbar.Transistor(1e3))
targets = np.random.default_rng(0).uniform(20e-6, 180e-6, (16, 16))
print("started", flush=True)
done = bar.program(targets, checkpoints=sf.Checkpoints(folder, interval=0.0, resume=True))
np.savez(output, r=cells.r, read=cells.read(), **vars(done))
"""
TRAIN = """
import sys, numpy as np, torch, synfab as sf
from synfab.torch import PulsedSGD, convert, tasks
folder, output = sys.argv[1:]
torch.manual_seed(1)
task = tasks.synthetic()
chip = convert(tasks.perceptron(task, 12), seed=3, weight_range=1.0)
chip.insert(2, torch.nn.Dropout(0.2))
optimizer = PulsedSGD(chip, lr=0.1)
print("started", flush=True)
notes = tasks.fit(chip, optimizer, task, 8, after=lambda epoch: tasks.accuracy(chip, task),
                  checkpoints=sf.Checkpoints(folder, interval=0.0, resume=True))
flat = sf.torch.training_state(chip, optimizer)
table = optimizer.report()
weights = {k: v for k, v in flat["network"].items() if isinstance(v, np.ndarray)}
np.savez(output, notes=notes, table=table.to_numpy(), generator=flat["generators"][0],
         r0=chip[0].tiles.states(), r3=chip[3].tiles.states(), **weights)
"""


# The first optimizer makes PyTorch import further parts.
IMPORTS = {
    PROGRAM: "import numpy, synfab.crossbar, synfab.engines.numba.engine",
    TRAIN: "import torch, synfab.torch.tasks\ntorch.optim.SGD([torch.zeros(1)])",
}


def newest_step(folder):
    """Number of the newest step that is whole under its name, -1 without one."""
    return max(
        (int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.npz")), default=-1
    )


@pytest.mark.slow
@pytest.mark.parametrize("code", [PROGRAM, TRAIN], ids=["programming", "training"])
def test_killed_at_any_moment_a_run_ends_the_same(tmp_path, code):
    """``make soak`` does it at 50 moments."""
    if code is TRAIN:
        pytest.importorskip("torch")
    with Prepared(IMPORTS[code]) as programs:
        _kill_and_compare(programs, code, tmp_path)


def _kill_and_compare(programs, code, tmp_path):
    whole = tmp_path / "whole.npz"
    programs.run(code, tmp_path / "whole", whole)
    last = newest_step(tmp_path / "whole")
    choose, kills = random.Random(3), int(os.environ.get("SYNFAB_SOAK_KILLS", "4"))
    folder, output, between = tmp_path / "run", tmp_path / "run.npz", 0
    for number in range(kills):
        step, delay = choose.randint(-1, last - 10), choose.uniform(0.0, 0.02)
        programs.start(code, folder, output)
        programs.kill(lambda step=step: newest_step(folder) >= step, delay)
        found = list(folder.glob("step-*"))
        assert all(is_whole(path) for path in found)
        between += bool(found) and not output.exists()
        if number % 2 or output.exists():
            programs.run(code, folder, output)
            with np.load(whole) as expected, np.load(output) as ended:
                assert set(ended.files) == set(expected.files)
                for name in ended.files:
                    assert ended[name].tobytes() == expected[name].tobytes(), name
            for path in (*folder.iterdir(), output):
                path.unlink()
    assert between >= kills // 4  # kills have met runs that were under way
