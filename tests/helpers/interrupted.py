"""Interrupt arrays at random moments: ``python interrupted.py INTERRUPTS SEED``.

Prints, as JSON, how many interrupts there were, how many arrays were wrong, and how many threads
run kernels in the end.
"""

import json
import os
import random
import signal
import sys
import threading

import numpy as np

import synfab as sf
from synfab.common import extras

CELLS = 40_000
PULSES = (-2.0, 0.6, 1.5, -2.0, 1.5)
MODEL = sf.load_model()
KINDS = (("numba", "float32"), ("numba", "float32"), ("numba", "compact"))
if extras.installed("warp"):
    KINDS += (("warp", "float32"),)


class Interrupted(BaseException):  # as KeyboardInterrupt is
    """Raised by the signal handler."""


def fresh(kind):
    engine, history = kind
    return sf.CellArray(MODEL, CELLS, seed=1, order=2, engine=engine, history=history)


def whole(cells):
    """All that an array is, as bytes."""
    return [np.asarray(array).tobytes() for array in cells.engine_instance.storage().values()]


def expected(kind):
    """Arrays and their currents after 0, 1, 2 … pulses."""
    cells = fresh(kind)
    found = [(whole(cells), cells.current(0.2).tobytes())]
    for u in PULSES:
        cells.apply_voltage(u)
        found.append((whole(cells), cells.current(0.2).tobytes()))
    return found


def work(cells, progress):
    """Pulses and reads until something is raised, or all pulses are applied."""
    for u in PULSES:
        cells.apply_voltage(u)
        progress.append(u)
        cells.current(0.2)
        cells.read(0.2)


def shoot(choose):
    """Send signals to this process from now on, from a timer or another thread."""
    pause = choose.expovariate(400.0)
    if choose.random() < 0.5:
        signal.setitimer(signal.ITIMER_REAL, max(pause, 1e-6), 1e-3)
    else:
        threading.Timer(pause, os.kill, (os.getpid(), signal.SIGALRM)).start()


def campaign(interrupts, seed):
    """Count the interrupts and the arrays that are wrong during and after them."""
    choose = random.Random(seed)
    known = {kind: expected(kind) for kind in KINDS}
    shots: list[int] = []

    def interrupt(number, frame):
        while frame is not None and frame.f_code is not work.__code__:
            frame = frame.f_back
        if frame is not None and len(shots) < 3:
            shots.append(number)
            raise Interrupted
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    signal.signal(signal.SIGALRM, interrupt)
    hits = wrong = 0
    while hits < interrupts:
        kind = choose.choice(KINDS)
        cells, progress = fresh(kind), []
        shots.clear()
        shoot(choose)
        try:
            work(cells, progress)
        except Interrupted:
            hits += 1
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        # A pulse that was interrupted has been applied to every cell or to none.
        near = known[kind][len(progress) : len(progress) + 2]
        wrong += whole(cells) not in [state for state, _ in near]
        later = fresh(kind)
        for k in range(3):
            wrong += (whole(later), later.current(0.2).tobytes()) != known[kind][k]
            later.apply_voltage(PULSES[k])
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return hits, wrong


if __name__ == "__main__":
    hits, wrong = campaign(int(sys.argv[1]), int(sys.argv[2]))
    threads = sum(thread.name == "synfab" for thread in threading.enumerate())
    sys.stdout.write(json.dumps({"interrupts": hits, "wrong": wrong, "threads": threads}))
