"""What a signal handler raises reaches the caller, whatever was being done when it came."""

import hashlib
import os
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import synfab as sf
from synfab.io.limits import one_line_errors


class AlarmError(Exception):
    """Raised by a handler, and by nothing else."""


@pytest.fixture(params=[AlarmError, TimeoutError])
def alarm(request):
    """Set off a handler that raises; the code that is running when it comes is the caller's."""

    def ring(*_):
        raise request.param("mine")

    before = signal.signal(signal.SIGUSR1, ring)
    yield request.param, lambda: os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


class Interrupted:
    """Rings the alarm when it is looked at."""

    def __init__(self, ring):
        self.ring = ring

    def _look(self, *_, **__):
        self.ring()
        return 1

    __array__ = __index__ = __fspath__ = __len__ = _look


def test_argument_checks_do_not_blame_the_argument(alarm):
    error, ring = alarm
    cells = sf.CellArray("published", 4, seed=1)
    for call in (
        cells.apply_voltage,
        lambda value: cells.apply_voltage(-1.0, where=value),
        cells.renew,
        cells.save,
        lambda value: sf.CellArray("published", 4, seed=value),
    ):
        with pytest.raises(error, match="mine"):
            call(Interrupted(ring))


def test_a_whole_checkpoint_does_not_count_as_damaged(alarm, tmp_path, monkeypatch):
    error, ring = alarm
    with sf.Checkpoints(tmp_path, interval=0).open({"job": "a"}) as run:
        for step in (1, 2):
            run.save(step, {"x": np.arange(9.0)})
    from synfab.io import archive

    def interrupted():
        ring()
        return hashlib.sha256()

    monkeypatch.setattr(archive, "hashlib", SimpleNamespace(sha256=interrupted))
    names = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(error, match="mine"):  # noqa: SIM117
        with sf.Checkpoints(tmp_path, resume=True).open({"job": "a"}):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    monkeypatch.undo()
    with sf.Checkpoints(tmp_path, resume=True).open({"job": "a"}) as run:
        assert run.step == 2


def test_readers_do_not_call_a_file_damaged(alarm):
    error, ring = alarm
    with pytest.raises(error, match="mine"), one_line_errors("file"):
        ring()


def test_what_a_library_makes_of_it_is_looked_through(alarm):
    error, ring = alarm

    def library():
        try:
            ring()
        except Exception as reason:
            raise ValueError("damaged") from reason

    with pytest.raises(error, match="mine"), one_line_errors("file"):
        library()


def test_errors_of_others_are_said_in_one_line_while_a_handler_is_installed(alarm):
    with pytest.raises(sf.FileFormatError, match="file: damaged"), one_line_errors("file"):
        raise OSError("damaged")
    assert threading.current_thread() is threading.main_thread()
