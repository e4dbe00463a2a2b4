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

CELLS = 40_000
PULSES = (-2.0, 0.6, 1.5, -2.0, 1.5)
MODEL = sf.load_model()


class Interrupted(BaseException):  # as KeyboardInterrupt is
    """Raised by the signal handler."""


def fresh(history):
    return sf.CellArray(MODEL, CELLS, seed=1, order=2, history=history)


def whole(cells):
    """All that an array is, as bytes."""
    return [np.asarray(array).tobytes() for array in cells.engine_instance.storage().values()]


def expected(history):
    """Arrays and their currents after 0, 1, 2 … pulses."""
    cells = fresh(history)
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
    known = {history: expected(history) for history in ("float32", "compact")}
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
        history = choose.choice(("float32", "float32", "compact"))
        cells, progress = fresh(history), []
        shots.clear()
        shoot(choose)
        try:
            work(cells, progress)
        except Interrupted:
            hits += 1
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        # A pulse that was interrupted has been applied to every cell or to none.
        near = known[history][len(progress) : len(progress) + 2]
        wrong += whole(cells) not in [state for state, _ in near]
        later = fresh(history)
        for k in range(3):
            wrong += (whole(later), later.current(0.2).tobytes()) != known[history][k]
            later.apply_voltage(PULSES[k])
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return hits, wrong


if __name__ == "__main__":
    hits, wrong = campaign(int(sys.argv[1]), int(sys.argv[2]))
    threads = sum(thread.name == "synfab" for thread in threading.enumerate())
    sys.stdout.write(json.dumps({"interrupts": hits, "wrong": wrong, "threads": threads}))
