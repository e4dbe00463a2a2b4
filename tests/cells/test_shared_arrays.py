"""Several threads on one array: reads are numbered one by one, pulses follow one another."""

import copy
import os
import pickle
import threading

import numpy as np
import pytest

import synfab as sf
from synfab.common.locking import lock_of

THREADS, READS = 8, 100


def together(job):
    """Run ``job(k)`` in eight threads at once; what they raised."""
    errors, barrier = [], threading.Barrier(THREADS)

    def run(k):
        barrier.wait()
        try:
            job(k)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run, args=(k,)) for k in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []


def test_reads_of_eight_threads_are_numbered_as_in_one(published):
    cells = sf.CellArray(published, (16, 16), seed=3)
    alone = cells.copy()
    wanted = {alone.read(0.2).tobytes() for _ in range(THREADS * READS)}
    rows = {(alone @ np.full(16, 0.1)).tobytes() for _ in range(THREADS * READS)}
    found, summed = [], []

    def read(k):
        for _ in range(READS):
            found.append(cells.read(0.2).tobytes())
            summed.append((cells @ np.full(16, 0.1)).tobytes())

    together(read)
    assert len(set(found)) == THREADS * READS
    assert set(found) == wanted
    assert set(summed) == rows
    assert cells.read_number == cells.readout_number == THREADS * READS


@pytest.mark.parametrize("engine", ["numba", "array"])
@pytest.mark.parametrize("kept", ["float32", "compact"])
def test_pulses_of_eight_threads_leave_cells_with_the_features_of_their_cycles(
    published, engine, kept
):
    if engine == "array" and kept == "compact":
        pytest.skip("only numba has compact cells")
    cells = sf.CellArray(published, 5000, seed=3, order=2, engine=engine, history=kept)

    def pulse(k):
        for _ in range(10):
            cells.apply_voltage(-3.0)
            cells.apply_voltage(1.6)

    together(pulse)
    cells.apply_voltage(-3.0).apply_voltage(1.6)
    alone = sf.CellArray(published, 5000, seed=3, order=2, engine=engine, history=kept)
    last = cells.cycle.max()
    features = {name: np.full(5000, np.nan, np.float32) for name in cells.features}
    for _ in range(int(last) + 1):
        now = alone.cycle == cells.cycle
        for name, values in alone.features.items():
            features[name][now] = values[now]
        alone.apply_voltage(-3.0).apply_voltage(1.6)
    for name, values in cells.features.items():
        assert np.array_equal(values, features[name])


def test_a_copy_taken_meanwhile_is_that_of_one_moment(published, tmp_path):
    cells = sf.CellArray(published, 5000, seed=3, order=1)
    states = []

    def work(k):
        for i in range(10):
            if k == 0:
                cells.apply_voltage(-3.0 if i % 2 else 1.6)
            elif k == 1:
                states.append(cells.copy())
            elif k == 2:
                states.append(pickle.loads(pickle.dumps(cells)))
            elif k == 3:
                cells.save(tmp_path / "cells")
                states.append(sf.CellArray.load(tmp_path / "cells"))

    together(work)
    for state in states:  # the same voltage has switched all of them
        assert len(np.unique(state.cycle)) == 1
        assert state.in_hrs.all() or state.in_lrs.mean() > 0.9


def test_copies_have_locks_and_cells_of_their_own(published):
    cells = sf.CellArray(published, 100, seed=3)
    for twin in (cells.copy(), copy.copy(cells), pickle.loads(pickle.dumps(cells))):
        assert lock_of(twin) is not lock_of(cells)
        twin.apply_voltage(-3.0)
        assert not cells.in_lrs.any()
        assert twin.in_lrs.any()


def test_methods_call_one_another_under_the_lock(published):
    cells = sf.CellArray(published, 1, seed=3)
    with lock_of(cells):  # reentrant: methods call one another
        cells.apply_voltage(-3.0)
        assert cells.conductance(0.2).shape == (1,)


def read_in_a_child(*arrays):
    """Read arrays in a forked child and return what came of it."""
    outcomes = ("read", "refused", "failed")
    child = os.fork()
    if child == 0:
        outcome = "failed"
        try:
            for cells in arrays:
                cells.read(0.2)
            outcome = "read"
        except sf.InvalidValueError as error:
            outcome = "refused" if "forked" in str(error) else "failed"
        finally:
            os._exit(outcomes.index(outcome))
    return outcomes[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_in_the_middle_of_a_change_is_refused_in_the_child(published):
    free, used = (sf.CellArray(published, 10, seed=3) for _ in range(2))
    held, end = threading.Event(), threading.Event()

    def change():
        with lock_of(used):
            held.set()
            end.wait()

    other = threading.Thread(target=change)
    other.start()
    held.wait()
    assert read_in_a_child(free, used) == "refused"
    end.set()
    other.join()
    assert read_in_a_child(free, used) == "read"
