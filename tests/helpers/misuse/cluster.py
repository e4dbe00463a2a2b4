"""Recipes of cells on a cluster: one without processes serves all of them."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path
from typing import Any

import distributed

from synfab.cluster import ShardedCellArray
from synfab.model import Traps

from .core import fresh, model
from .harness import RECIPES


@cache
def client() -> distributed.Client:
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0",
        silence_logs=50,
    )  # fmt: skip
    found = distributed.Client(cluster)
    atexit.register(lambda: (found.close(), cluster.close()))
    return found


@cache
def shared() -> ShardedCellArray:
    return ShardedCellArray(model(), (4, 3), seed=1, client=client(), shard_size=6, order=1)


@RECIPES.add("synfab.cluster.ShardedCellArray")
def _(folder: Path) -> Any:
    def made(**options: Any) -> None:
        ShardedCellArray(**options).close()

    made.__signature__ = _signature(ShardedCellArray)
    return made, {
        "model": model(), "shape": (4, 3), "seed": 1, "client": client(), "order": 1,
        "history": "float32", "shard_size": 6, "folder": fresh(folder), "every": 2, "keep": 2,
    }  # fmt: skip


def _signature(target: Any) -> Any:
    import inspect

    return inspect.signature(target)


def method(name: str, **valid: Any) -> None:
    RECIPES.add(f"synfab.cluster.ShardedCellArray.{name}")(
        lambda _: (getattr(shared(), name), dict(valid))
    )


@RECIPES.add("synfab.cluster.ShardedCellArray.apply_voltage")
def _(_folder: Path) -> Any:
    def applied(u: Any, where: Any) -> None:
        shared().apply_voltage(u, where=where).flush()

    return applied, {"u": -2.0, "where": None}


method("apply_program", program="-2, 0.9")
method("matvec", v=[0.1, 0.1, 0.1], noise=True, bandwidth=1e8, number=None)
method("__matmul__", v=[0.1, 0.1, 0.1])


@cache
def aging() -> ShardedCellArray:
    traps = Traps([1e-3, 1.0], 0.5, [0.0], [1e-6])
    return ShardedCellArray(model().replace(traps=traps), 4, seed=1, client=client(), order=1)


@RECIPES.add("synfab.cluster.ShardedCellArray.wait")
def _(_folder: Path) -> Any:
    return aging().wait, {"seconds": 1.0, "temperature": 300.0}


@RECIPES.add("synfab.cluster.ShardedCellArray.read")
def _(folder: Path) -> Any:
    return shared().read, {
        "u": 0.2, "bandwidth": 1e8, "noise": True, "number": None, "interval": None,
        "temperature": 300.0, "output": fresh(folder),
    }  # fmt: skip


@RECIPES.add("synfab.cluster.ShardedCellArray.save")
def _(folder: Path) -> Any:
    return shared().save, {"folder": fresh(folder)}


def saved(folder: Path) -> Path:
    path = folder / "kept"
    if not path.exists():
        shared().save(path)
    return path


def steps(folder: Path) -> Path:
    path = folder / "steps"
    if not path.exists():
        array = ShardedCellArray(
            model(), (4, 3), seed=1, client=client(), shard_size=6, order=1, folder=path
        )
        array.checkpoint()
        array.close()
    return path


@RECIPES.add("synfab.cluster.ShardedCellArray.load")
def _(folder: Path) -> Any:
    def loaded(**options: Any) -> None:
        ShardedCellArray.load(**options).close()

    loaded.__signature__ = _signature(ShardedCellArray.load)
    return loaded, {
        "folder": saved(folder), "client": client(), "checkpoints": fresh(folder), "every": 2,
        "keep": 2,
    }  # fmt: skip


@RECIPES.add("synfab.cluster.ShardedCellArray.resume")
def _(folder: Path) -> Any:
    def resumed(**options: Any) -> None:
        ShardedCellArray.resume(**options).close()

    resumed.__signature__ = _signature(ShardedCellArray.resume)
    return resumed, {"folder": steps(folder), "client": client(), "every": 2, "keep": 2}
