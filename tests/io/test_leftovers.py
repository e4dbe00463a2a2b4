"""Writers that are killed leave nothing behind for longer than until the next one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import synfab as sf
from synfab.cli.app import app
from synfab.io import temporary
from synfab.io.files import atomic_folder, atomic_path, temporary_folder

WRITE_A_FILE = """
import sys, time
from synfab.io.files import atomic_path
with atomic_path(sys.argv[1]) as path:
    path.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
WRITE_A_FOLDER = """
import sys, time
from pathlib import Path
from synfab.io.files import atomic_folder
with atomic_folder(Path(sys.argv[1]), "output") as path:
    (path / "part").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
TAKE_A_FOLDER = """
import sys, time
from synfab.io.files import temporary_folder
with temporary_folder("synfab", sys.argv[1]) as path:
    (path / "part").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
SIMULATE = (
    "from synfab.cli.app import main\nimport sys\n"
    "sys.argv = ['synfab', 'simulate', '--cells', '20000', '--program', '(-2, 1.2) x 100000', "
    "'-o', sys.argv[1]]\nmain()\n"
)


@pytest.fixture
def start():
    running = []

    def begin(code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1]

    def begin_writing(code, *arguments):
        process = begin(code, *arguments)
        assert process.stdout.readline() == "writing\n"
        return process

    begin_writing.silently = begin
    yield begin_writing
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def simulation(start, tmp_path_factory):
    """Start a simulation that takes minutes, and wait until its table has some rows."""
    simulate(tmp_path_factory.mktemp("first") / "out.csv")  # which compiles the kernels

    def begin(path):
        process = start.silently(SIMULATE, path)
        while not any(part.stat().st_size for part in path.parent.iterdir()):
            assert process.poll() is None
            time.sleep(0.05)
        return process

    return begin


def simulate(path):
    arguments = ["simulate", "--cells", "9", "--program", "-2", "-o", str(path)]
    app(arguments, standalone_mode=False)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def kill(process):
    process.kill()
    process.wait()


@pytest.mark.parametrize("name", ["model.json", "a name with\na line break", "m" * 200])
def test_one_write_removes_what_killed_writers_of_a_file_left(tmp_path, start, name):
    for _ in range(3):
        kill(start(WRITE_A_FILE, tmp_path / name))
    assert len(names(tmp_path)) == 1  # each has removed the one before
    sf.save_model(sf.load_model(), tmp_path / name)
    assert names(tmp_path) == [name]


def test_one_write_removes_what_killed_writers_of_a_folder_left(tmp_path, start):
    for _ in range(3):
        kill(start(WRITE_A_FOLDER, tmp_path / "cells"))
    with atomic_folder(tmp_path / "cells", "output") as path:
        (path / "part").write_text("whole")
    assert names(tmp_path) == ["cells"]
    assert names(tmp_path / "cells") == ["part"]


def test_the_next_temporary_folder_removes_those_of_killed_processes(tmp_path, start):
    kill(start(TAKE_A_FOLDER, tmp_path))
    assert len(names(tmp_path)) == 1
    with temporary_folder("synfab", tmp_path) as folder:
        assert names(tmp_path) == [folder.name]
        assert names(folder) == []
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [WRITE_A_FILE, WRITE_A_FOLDER])
def test_what_a_live_process_writes_is_not_touched(tmp_path, start, code):
    target = tmp_path / "cells"
    start(code, target)
    (unfinished,) = tmp_path.iterdir()
    with atomic_path(target) as path:
        path.write_text("whole")
        with atomic_path(target) as second:  # nor what this one writes
            second.write_text("second")
    assert unfinished.exists()
    assert names(tmp_path) == sorted([unfinished.name, "cells"])
    assert target.read_text() == "whole"


def test_a_process_that_has_the_number_of_a_dead_one_is_another_one(tmp_path, start, monkeypatch):
    kill(start(WRITE_A_FILE, tmp_path / "file"))
    (stale,) = tmp_path.iterdir()
    monkeypatch.setattr("psutil.pid_exists", lambda _: True)
    monkeypatch.setattr(temporary, "start_time", lambda _: 12345)
    assert temporary.is_stale(stale)


def test_a_process_that_ended_and_was_not_waited_for_is_dead(tmp_path, start):
    process = start(WRITE_A_FILE, tmp_path / "file")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    (stale,) = tmp_path.iterdir()
    assert temporary.is_stale(stale)


def test_files_of_other_machines_are_removed_once_they_are_old(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "this_writer", lambda _: temporary.Writer(1, 2, 3))
    foreign = tmp_path / temporary.temporary_name("file")
    monkeypatch.undo()
    foreign.write_text("half")
    with atomic_path(tmp_path / "file") as path:
        path.write_text("whole")
    assert foreign.exists()
    week_ago = time.time() - temporary.FOREIGN_SECONDS - 60.0
    os.utime(foreign, (week_ago, week_ago))
    with atomic_path(tmp_path / "file") as path:
        path.write_text("whole")
    assert names(tmp_path) == ["file"]


def test_files_of_others_that_look_alike_stay(tmp_path):
    """Hidden, of the same beginning, even with 32 hexadecimal digits: but not ours."""
    alike = [".file", ".file.original", ".file.swp", ".file." + "0123456789abcdef" * 2, "file.old"]
    for name in alike:
        (tmp_path / name).write_text("precious")
        os.utime(tmp_path / name, (0.0, 0.0))
    with atomic_path(tmp_path / "file") as path:
        path.write_text("whole")
    assert names(tmp_path) == sorted(["file", *alike])


def test_what_a_killed_worker_left_inside_does_not_become_part_of_a_folder(tmp_path):
    with atomic_folder(tmp_path / "cells", "output") as path:
        (path / "part").write_text("whole")
        (path / temporary.temporary_name("part")).write_text("half")
    assert names(tmp_path / "cells") == ["part"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_command_that_is_told_to_end_leaves_no_temporary_file(tmp_path, simulation, name):
    process = simulation(tmp_path / "out.csv")
    process.send_signal(getattr(signal, name))
    assert process.wait(timeout=120) == 128 + getattr(signal, name)
    assert names(tmp_path) == []


def test_a_table_of_a_killed_simulation_is_removed_by_the_next(tmp_path, simulation):
    kill(simulation(tmp_path / "out.csv"))
    assert len(names(tmp_path)) == 1
    simulate(tmp_path / "out.csv")
    assert names(tmp_path) == ["out.csv"]
    assert np.array_equal(pd.read_csv(tmp_path / "out.csv")["cell"], np.arange(9))
