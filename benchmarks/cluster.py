"""Overhead of a distributed array: python benchmarks/cluster.py.

Compares shards of 2**22 cells on single-threaded worker processes with the same cells in one
process with as many threads (medians of alternating runs). Then measures weak scaling with one
shard per worker.
"""

import os
import statistics
import time

import numpy as np
from distributed import Client, LocalCluster
from matplotlib.figure import Figure

import synfab as sf
from synfab.cluster import ShardedCellArray
from synfab.cluster.array import QUEUE

SHARD, PULSES, ROUNDS = 2**22, 64, 5


def program(cells) -> None:
    for k in range(PULSES):
        cells.apply_voltage(1.5 if k % 2 else -2.0)


def once(cells, finish) -> float:
    begin = time.perf_counter()
    program(cells)
    finish()
    return time.perf_counter() - begin


def task_seconds(client: Client) -> float:
    """Return the time per message (s) when the scheduler sends one to each of many shards."""
    cells = ShardedCellArray("published", 256 * 200, seed=2, client=client, shard_size=256)
    cells.apply_voltage(-2.0).flush()
    times = []
    for _ in range(ROUNDS):
        cells.apply_voltage(0.1)
        begin = time.perf_counter()
        cells.flush()
        times.append((time.perf_counter() - begin) / cells.shards)
    return statistics.median(times)


def draw(measured: dict[int, float], task: float) -> None:
    """Draw efficiency against the number of workers, measured and estimated."""
    alone = measured[1]
    workers = np.unique(np.geomspace(1, 2048, 60).astype(int))
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    for per_message, style in ((1, ":"), (QUEUE, "-")):
        # A worker waits for its own pulses or for the scheduler's messages, whichever is slower.
        busy, sending = per_message * alone, task * workers
        efficiency = busy / np.maximum(busy, sending)
        label = f"estimate, {per_message} pulses per message" if per_message > 1 else (
            "estimate, one pulse per message")  # fmt: skip
        axis.plot(workers, 100 * efficiency, style, color="#0072B2", label=label)
    found = [100 * alone / seconds for seconds in measured.values()]
    axis.plot(list(measured), found, "o", color="#D55E00", label="measured, 2 cores of one machine")
    axis.axvline(64 * 16, color="0.7", lw=1)
    axis.annotate("64 machines\nof 16 cores", (64 * 16, 8), ha="right", xytext=(-4, 0),
                  textcoords="offset points", color="0.4")  # fmt: skip
    axis.set(xscale="log", xlabel="workers, each with 2**22 cells", ylabel="efficiency (%)")
    axis.set_ylim(0, 110)
    axis.legend(frameon=False, loc="lower left")
    figure.savefig("weak-scaling.png", dpi=130)


def main() -> None:
    medians = {}
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None,
                memory_limit=None, env={"SYNFAB_NUM_THREADS": "1"},  # of each worker
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            os.environ["SYNFAB_NUM_THREADS"] = str(workers)
            whole = sf.CellArray("published", workers * SHARD, seed=1)
            sharded = ShardedCellArray(
                "published", workers * SHARD, seed=1, client=client, shard_size=SHARD
            )
            times: dict[str, list[float]] = {"one process": [], "cluster": []}
            for number in range(ROUNDS + 1):
                found = {
                    "one process": once(whole, lambda: None),
                    "cluster": once(sharded, sharded.flush),
                }
                for name, seconds in found.items():
                    if number:  # the first round fabricates and compiles
                        times[name].append(seconds / PULSES)
            task = task_seconds(client)
        one, many = (statistics.median(values) for values in times.values())
        medians[workers] = many
        print(
            f"{workers} shards of {SHARD} cells: one process with {workers} threads "
            f"{1e3 * one:.1f} ms per pulse, {workers} workers {1e3 * many:.1f} ms: "
            f"overhead {many / one - 1.0:+.0%}"
        )
    print(f"weak scaling from 1 to 2 workers: efficiency {medians[1] / medians[2]:.0%}")
    print(f"message to one of many shards: {1e3 * task:.2f} ms")
    draw(medians, task)


if __name__ == "__main__":
    main()
