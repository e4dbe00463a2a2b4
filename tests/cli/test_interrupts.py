"""Ctrl-C: status 130 and a line at most, nothing half written, and what is finished stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import synfab as sf

# Seconds after the start of a command: imports, kernels, work.
MOMENTS = [0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.6, 2.2]
COMMANDS = {
    "help": ["--help"],
    "info": ["info"],
    "fit": ["fit", "m.csv", "-o", "m.json"],
    "table": ["simulate", "--cells", "3000000", "--program", "-2, 1.5 x99", "-o", "t.csv"],
}
# The installed script, but only once Python itself has started.
START = (
    "import sys; sys.argv[0] = 'synfab'; from synfab_command import main\n"
    "print('started', flush=True); main()"
)


@pytest.fixture(scope="module")
def measurement(tmp_path_factory):
    """I-V loops to be fitted, long enough to be interrupted."""
    cells = sf.CellArray("published", 8, seed=1)
    u = np.interp(np.linspace(0, 4, 81), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
    rows = ["device,cycle,voltage,current"]
    for cycle in range(60):
        for voltage in u:
            currents = cells.apply_voltage(voltage).current(voltage)
            rows += [f"d{d},{cycle},{voltage:.4f},{i:.6e}" for d, i in enumerate(currents)]
    path = tmp_path_factory.mktemp("measured") / "m.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def interrupted(arguments, folder, moment):
    """Start a command, interrupt it a moment later, and return it with what it said."""
    words = [sys.executable, "-c", START, *arguments]
    run = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert run.stdout.readline() == "started\n"
    time.sleep(moment)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    return run.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_that_is_interrupted_says_no_more_than_a_line(
    tmp_path, measurement, name, moment
):
    Path(tmp_path / "m.csv").write_bytes(measurement.read_bytes())
    status, errors = interrupted(COMMANDS[name], tmp_path, moment)
    assert status in {0, 130}  # it may have been finished
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    left = {path.name for path in tmp_path.iterdir()} - {"m.csv"}
    # Nothing temporary; what bears its own name was complete before the interrupt.
    assert left <= {"m.json"}
    if status == 130 and "m.json" in left:
        sf.load_model(tmp_path / "m.json")


def test_an_interrupt_during_the_imports_ends_with_130_and_says_nothing(tmp_path):
    status, errors = interrupted(["--help"], tmp_path, 0.02)
    assert (status, errors) == (130, "")


@pytest.mark.parametrize(
    "start", [["-m", "synfab"], ["-c", "import synfab_command as c; c.main()"]]
)
@pytest.mark.parametrize("library", ["numpy", "typer"])
def test_an_interrupt_inside_the_import_of_a_library_says_nothing(tmp_path, start, library):
    (tmp_path / f"{library}.py").write_text(
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *start, "info"], check=False, capture_output=True,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_error_that_an_interrupt_became_is_no_traceback(tmp_path):
    """Libraries turn an interrupt inside their start into an error of their own."""
    code = (
        "import sys, types, os, signal, synfab_command\n"
        "def main():\n"
        "    try: os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt: raise ImportError('half a library')\n"
        "sys.modules['synfab.cli.app'] = types.SimpleNamespace(main=main)\n"
        "synfab_command.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (130, b"")


def test_an_interrupt_inside_a_callback_is_repeated():
    """What C calls cannot raise; the interrupt comes again when it has returned."""
    code = (
        "import ctypes, sys, types, os, signal, time, synfab_command\n"
        "def main():\n"
        "    call = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "    call()\n"
        "    time.sleep(60)\n"
        "sys.modules['synfab.cli.app'] = types.SimpleNamespace(main=main)\n"
        "synfab_command.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, timeout=50
    )
    assert (done.returncode, done.stderr) == (130, b"")


def test_another_error_stays_what_it_is():
    code = (
        "import sys, types, synfab_command\n"
        "def main(): raise ZeroDivisionError\n"
        "sys.modules['synfab.cli.app'] = types.SimpleNamespace(main=main)\n"
        "synfab_command.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.endswith(b"ZeroDivisionError\n")


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "synfab", "--version"], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"synfab {sf.__version__}\n"


# ---- simulations --------------------------------------------------------------------------------


def test_a_simulation_stops_after_a_pulse_and_keeps_its_blocks(tmp_path):
    zarr = pytest.importorskip("zarr")
    options = {"seed": 5, "block": 1000}
    whole = sf.simulate.Simulation("-2, 1.5 x3", 3000, tmp_path / "whole.zarr", **options)
    whole.run()
    halted = sf.simulate.Simulation("-2, 1.5 x3", 3000, tmp_path / "halted.zarr", **options)
    pulses = []

    def stop():
        pulses.append(1)
        if len(pulses) == 6:  # inside the second block
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        halted.run(after_pulse=stop)
    assert list(zarr.open_group(str(tmp_path / "halted.zarr"))["done"][:]) == [1, 0, 0]
    halted.run(resume=True)
    for name in ("current", "cycle", "done"):
        found, wanted = (
            zarr.open_group(str(tmp_path / f"{kind}.zarr"))[name][:] for kind in ("halted", "whole")
        )
        assert np.array_equal(found, wanted)


def test_programming_that_was_interrupted_resumes_from_its_checkpoint(tmp_path, monkeypatch):
    from synfab.io.checkpoints import Run

    def bar():
        return sf.Crossbar(sf.CellArray("published", (8, 8), seed=3), wire_resistance=0.5)

    targets = np.full((8, 8), 1e-4)
    whole = bar().program(targets)
    tick, passes = Run.tick, []

    def stop(*arguments):
        tick(*arguments)
        passes.append(1)
        if len(passes) == 4:
            raise KeyboardInterrupt

    halted = bar()
    with monkeypatch.context() as patch:
        patch.setattr(Run, "tick", stop)
        with pytest.raises(KeyboardInterrupt):
            halted.program(targets, checkpoints=sf.Checkpoints(tmp_path, interval=0.0))
    assert np.isfinite(np.asarray(halted.cells.read())).all()  # an array like any other
    resumed = bar().program(targets, checkpoints=sf.Checkpoints(tmp_path, resume=True))
    for name in ("achieved", "outcome", "pulses", "energy"):
        assert np.array_equal(getattr(resumed, name), getattr(whole, name), equal_nan=True)
