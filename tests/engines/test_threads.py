"""Threads of kernels: interrupts, forks, errors, and how many there are."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import synfab as sf
from synfab.engines.numba.threads import share

PROGRAM = Path(__file__).parents[1] / "helpers" / "interrupted.py"
HITS = int(os.environ.get("SYNFAB_SOAK_INTERRUPTS", "100"))


def kernel_threads():
    return sum(thread.name == "synfab" for thread in threading.enumerate())


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 8])
def test_interrupts_at_random_moments_leave_every_array_whole(count):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(HITS), "1"],
        env={**os.environ, "SYNFAB_NUM_THREADS": str(count)},
        capture_output=True, text=True, check=True, timeout=60 + 6 * HITS,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["interrupts"] == HITS
    assert found["wrong"] == 0
    assert found["threads"] <= count


def test_threads_are_as_many_as_one_call_has_used_at_most(threads):
    share(lambda low, high: None, 100, 10**6)
    before = kernel_threads()
    for count in (2, 5, 3, 9, 4, 9, 7, 2):
        threads(count)
        share(lambda low, high: None, 100, 10**6)
    assert kernel_threads() <= max(before, 9)


def test_a_kernel_that_raises_raises_the_first_part_s_error_once_all_parts_have_ended(threads):
    threads(4)
    ended = []

    def kernel(low, high):
        if low >= 8:
            raise ZeroDivisionError(low)
        ended.extend(range(low, high))

    for discardable in (False, True):
        ended.clear()
        with pytest.raises(ZeroDivisionError, match=r"^8$"):
            share(kernel, 16, 10**6, discardable=discardable)
        assert sorted(ended) == list(range(8))


def test_a_kernel_may_share_work_out_itself(threads):
    threads(2)
    found = []

    def outer(low, high):
        share(lambda first, last: found.extend(range(first, last)), high - low, 10**6)

    share(outer, 8, 10**6)
    assert len(found) == 8


def test_many_callers_at_once_each_get_their_own_result(published, threads):
    threads(3)
    wanted = sf.CellArray(published, 20_000, seed=5).apply_voltage(-2.0).r
    found = [None] * 8

    def work(k):
        found[k] = sf.CellArray(published, 20_000, seed=5).apply_voltage(-2.0).r

    callers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(np.array_equal(r, wanted) for r in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_starts_threads_of_its_own(published, threads):
    threads(2)
    cells = sf.CellArray(published, 20_000, seed=5)
    wanted = cells.copy().apply_voltage(-2.0).r.sum()
    child = os.fork()
    if child == 0:
        os._exit(0 if cells.apply_voltage(-2.0).r.sum() == wanted and kernel_threads() == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_interrupts_of_the_compiler_leave_it_intact():
    program = PROGRAM.with_name("interrupted_compilation.py")
    done = subprocess.run(
        [sys.executable, str(program), "10", "1"], capture_output=True, text=True, check=True,
        timeout=300,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"interrupts": 10, "wrong": 0}
