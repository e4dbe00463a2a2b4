"""Cells on the workers of a SLURM cluster; skipped where there is none."""

import shutil
import subprocess
import time

import numpy as np
import pytest

import synfab as sf

SHAPE = (64, 128)


def ask(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


@pytest.fixture
def client(tmp_path):
    jobqueue = pytest.importorskip("dask_jobqueue")
    distributed = pytest.importorskip("distributed")
    if shutil.which("sbatch") is None or "idle" not in ask("sinfo", "-h", "-o", "%T", check=False):
        pytest.skip("no SLURM with an idle node")
    with (
        jobqueue.SLURMCluster(
            cores=1,
            processes=1,
            memory="2GB",
            log_directory=str(tmp_path),
            scheduler_options={"dashboard_address": None},
        ) as cluster,  # fmt: skip
        distributed.Client(cluster) as found,
    ):
        cluster.scale(jobs=2)
        found.wait_for_workers(2, timeout=120)
        yield found


def test_a_job_may_be_killed(client, tmp_path):
    whole = sf.CellArray("published", SHAPE, seed=3)
    sharded = sf.cluster.ShardedCellArray(
        "published",
        SHAPE,
        seed=3,
        client=client,
        shard_size=1024,
        folder=tmp_path / "cells",
        every=4,
    )
    u = np.linspace(-2.0, 1.6, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    for k in range(10):
        for cells in (whole, sharded):
            cells.apply_voltage(-2.0 if k % 2 else np.roll(u, 37 * k))
        if k == 5:
            sharded.flush()
            job = ask("squeue", "-h", "-n", "dask-worker", "-t", "R", "-o", "%i").split()[0]
            ask("scancel", "--signal=KILL", job)
            while job in ask("squeue", "-h", "-t", "R", "-o", "%i").split():
                time.sleep(0.1)
    assert np.array_equal(sharded.r, whole.r)
    assert sharded.pulses == 10
    sharded.close()
