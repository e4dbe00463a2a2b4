"""Interrupt compilation at random moments: ``python interrupted_compilation.py INTERRUPTS SEED``.

Prints, as JSON, how many interrupts there were and how many kernels were wrong afterwards.
"""

import json
import random
import signal
import sys

import numpy as np

from synfab.engines.numba.compile import cached_njit


class Interrupted(BaseException):  # as KeyboardInterrupt is
    """Raised by the signal handler."""


def interrupt(number, frame):
    raise Interrupted


def make(power):
    """Return a kernel that Numba has not compiled yet."""

    def kernel(values):
        for i in range(values.size):
            values[i] = np.exp(values[i] * power) + values[: i + 1].sum()

    def same(values):
        for i in range(values.size):
            values[i] = np.exp(values[i] * power) + values[: i + 1].sum()

    return cached_njit()(kernel), same


def campaign(interrupts, seed):
    """Count the interrupts, and the kernels whose result is not that of Python."""
    choose = random.Random(seed)
    signal.signal(signal.SIGALRM, interrupt)
    hits = wrong = made = 0
    while hits < interrupts:
        made += 1
        kernel, same = make(1.0 / made)
        values, expected = np.linspace(0.0, 1.0, 5), np.linspace(0.0, 1.0, 5)
        try:
            signal.setitimer(signal.ITIMER_REAL, choose.uniform(1e-3, 0.3))
            kernel(values.copy())
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        except Interrupted:
            hits += 1
        kernel(values)
        same(expected)
        wrong += not np.allclose(values, expected)
    return hits, wrong


if __name__ == "__main__":
    hits, wrong = campaign(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(json.dumps({"interrupts": hits, "wrong": wrong}))
