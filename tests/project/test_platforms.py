"""Windows and macOS, as far as another system can show it: without what only POSIX has."""

import errno
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import synfab as sf
from synfab.circuit import ngspice_search
from synfab.io import files

SOURCE = Path(sf.__file__).parent

# Modules and names that Windows does not have. Libraries that bring Windows code of their own are
# imported before, since here they would take their POSIX code.
WITHOUT_POSIX = """
import asyncio, multiprocessing, os, pathlib, signal, subprocess, sys, tempfile
import filelock, numba, numpy, pandas, psutil, pyarrow.parquet, scipy.sparse
for name in {libraries!r}:
    __import__(name)
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix"):
    sys.modules[name] = None
for name in ("register_at_fork", "fork", "forkpty", "sched_getaffinity", "sysconf",
             "geteuid", "getuid", "getgid", "uname", "killpg", "setsid", "getpgid", "fchmod",
             "mkfifo", "nice", "getloadavg", "wait4", "WNOHANG", "O_NOFOLLOW", "O_DIRECTORY"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGALRM", "SIGKILL", "SIGHUP", "SIGUSR1", "SIGPIPE", "setitimer", "alarm", "pause",
             "pthread_sigmask", "sigwait", "ITIMER_REAL"):
    if hasattr(signal, name):
        delattr(signal, name)
"""
CORE = """
import numpy as np
import synfab as sf
array = sf.CellArray("published", (30, 40), seed=3)
array.apply_voltage(-2.0)
first = array.read(0.2)
array.save("array.npz")
assert np.array_equal(sf.CellArray.load("array.npz").conductance(), array.conductance())
large = sf.CellArray("published", 100_000, seed=3)  # asks for memory and starts threads
sf.save_model(sf.load_model(), "model.json")
assert sf.load_model("model.json").fingerprint == sf.load_model().fingerprint
sf.Crossbar(sf.CellArray("published", (4, 4), seed=1), 1.0).solve(np.full(4, 0.1))
with sf.Checkpoints("kept").open({}) as run:
    run.save(1, {"a": {"b": np.zeros(3)}})
print("finished")
"""
COMMANDS = """
from synfab.cli.app import main
def call(*words):
    sys.argv = ["synfab", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
call("info")
call("doctor")
call("simulate", "--cells", "50", "--program", "-2, 1.2 x3", "-o", "pulses.csv")
call("simulate", "--cells", "5000", "--program", "-2, 1.2", "-o", "pulses.zarr")
call("simulate", "--cells", "5000", "--program", "-2, 1.2", "-o", "pulses.zarr", "--resume")
call("export", "veriloga", "-o", "cell.va")
call("export", "netlist", "-o", "net.cir", "--rows", "2", "--columns", "2")
print("finished")
"""
LEARNING = """
from synfab.cli.app import main
def call(*words):
    sys.argv = ["synfab", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
from synfab.cli.demo import measure
from synfab.model.model_file import load_model
measure.__globals__.update(MEASURED_CELLS=8, MEASURED_LOOPS=20)  # few are enough to run it all
measure(load_model(), pathlib.Path("loops.csv"))
call("fit", "loops.csv", "-o", "mine.json", "--report", "report.html", "--order", "1",
     "--components", "1")
call("compare", "mine.json", "loops.csv")
import synfab.explore.server
print("finished")
"""


def run_without_posix(folder, source, libraries=()):
    code = WITHOUT_POSIX.format(libraries=libraries) + source
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_core_runs_without_what_only_posix_has(tmp_path):
    done = run_without_posix(tmp_path, CORE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("finished\n")


@pytest.mark.slow
def test_the_commands_run_without_what_only_posix_has(tmp_path):
    done = run_without_posix(tmp_path, COMMANDS, ("zarr", "h5py", "matplotlib"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("finished\n")
    assert (tmp_path / "pulses.zarr/.synfab-lock").exists()


@pytest.mark.slow
def test_learning_and_reports_run_without_what_only_posix_has(tmp_path):
    done = run_without_posix(tmp_path, LEARNING, ("sklearn.mixture", "bokeh.plotting"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("finished\n")
    assert "</html>" in (tmp_path / "report.html").read_text("utf-8")


def test_nothing_outside_of_guards_imports_what_only_posix_has():
    """A new import of these modules would break `import synfab` on Windows."""
    only = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty")
    found = [
        f"{path.relative_to(SOURCE)}: {line}"
        for path in SOURCE.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.strip() in {f"import {name}" for name in only}
        or line.strip().startswith(tuple(f"from {name} import" for name in only))
    ]
    assert found == []


def test_text_files_have_the_same_encoding_everywhere(tmp_path):
    """Windows' own encoding depends on its language."""
    strict = (
        "import warnings, sys\n"
        "warnings.filterwarnings('error', category=EncodingWarning, module='synfab')\n"
    )
    command = [sys.executable, "-X", "warn_default_encoding", "-c", strict + COMMANDS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("finished\n")


# ---- files on Windows --------------------------------------------------------


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(files, "WINDOWS", True)


@pytest.mark.parametrize(
    "name", ["a:b.json", "con", "NUL.json", "com1.csv", "what?.json", "a|b", "end.", "end ", 'a"b']
)
def test_names_that_windows_cannot_store_are_refused(tmp_path, windows, name):
    with (
        pytest.raises(sf.InvalidValueError, match="is not a valid file name on Windows"),
        files.atomic_path(tmp_path / name),
    ):
        pass
    with (
        pytest.raises(sf.InvalidValueError, match="is not a valid file name on Windows"),
        files.locked(tmp_path / name, "output"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.json", "console.json", "com10.csv", "µ 1.json", ".hidden"])
def test_other_names_are_written(tmp_path, windows, name):
    with files.atomic_path(tmp_path / name) as path:
        path.write_text("{}")
    with files.atomic_folder(tmp_path / f"{name}.d", "output") as folder:
        (folder / "part").write_text("1")
    assert sorted(part.name for part in tmp_path.iterdir()) == sorted([name, f"{name}.d"])


def test_files_are_synchronised_by_a_handle_that_may_write(tmp_path, windows, monkeypatch):
    import fcntl

    modes = []

    def fsync(handle):
        if stat.S_ISREG(os.fstat(handle).st_mode):  # folders are opened for reading only
            modes.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(os, "fsync", fsync)
    with files.atomic_path(tmp_path / "a.json") as path:
        path.write_text("{}")
    assert modes == [os.O_RDWR]


def test_the_cache_folder_is_that_of_the_system(monkeypatch, tmp_path):
    monkeypatch.delenv("SYNFAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ngspice_search.cache_folder() == tmp_path / "synfab"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: Path("C:/Cache/synfab"))
    assert ngspice_search.cache_folder() == Path("C:/Cache/synfab")


# ---- locks -------------------------------------------------------------------


def test_a_lock_is_refused_within_a_process_too(tmp_path):
    with (
        files.locked(tmp_path / "o", "output"),
        pytest.raises(sf.InvalidValueError, match="is being written by another process"),
        files.locked(tmp_path / "o", "output"),
    ):
        pass
    with files.locked(tmp_path / "o", "output"):
        assert (tmp_path / "o" / files.LOCK).exists()


@pytest.mark.parametrize("code", sorted(files.NO_LOCKS))
def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog, code):
    def none(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", none)
    with caplog.at_level(logging.WARNING, "synfab.io.files"), files.locked(tmp_path, "output"):
        pass
    assert "cannot be locked" in caplog.text


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_another_failure_to_lock_is_an_error(tmp_path, monkeypatch, code):
    def fails(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", fails)
    with (
        pytest.raises(sf.InvalidValueError, match="output: cannot write"),
        files.locked(tmp_path, "output"),
    ):
        pass
