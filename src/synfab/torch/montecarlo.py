"""Many chips: the same network on cells of other seeds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from synfab.checks import number
from synfab.errors import InvalidTypeError, InvalidValueError
from synfab.model import CellModel
from synfab.modelfile import load_model
from synfab.population import Population
from synfab.torch.convert import convert
from synfab.torch.programming import program


def monte_carlo(
    network: nn.Module,
    evaluate: Callable[[nn.Module], float],
    seeds: Iterable[int],
    *,
    model: CellModel | str | os.PathLike[str] = "published",
    method: str = "write-verify",
    programming: dict[str, Any] | None = None,
    workers: int = 1,
    progress: bool = False,
    **options: Any,
) -> pd.DataFrame:
    """Put a network on one chip for each seed, program and evaluate it.

    Parameters
    ----------
    network
        In software; it is not changed.
    evaluate
        Called with each converted network; returns a number, such as an accuracy.
    seeds
        Chips.
    model
        Technology.
    method, programming
        Method of ``program``, and options of it.
    workers
        Chips at the same time, in threads: NumPy, Numba and PyTorch give way to each other.
        ``evaluate`` must allow it. The table does not depend on it.
    progress
        Show a progress bar.
    **options
        Of ``convert``.

    Returns
    -------
    DataFrame
        One row a chip: ``seed``, ``score``, the columns of ``program`` for all layers together,
        and ``seconds``.
    """
    if not isinstance(seeds, Iterable):
        raise InvalidTypeError(
            f"seeds: expected several, such as range(20), found {type(seeds).__name__}"
        )
    chips = list(seeds)
    if not chips:
        raise InvalidValueError("seeds: expected at least one, found none")
    if not callable(evaluate):
        raise InvalidTypeError(f"evaluate: expected a function, found {type(evaluate).__name__}")
    technology = load_model(model)

    def one(seed: int) -> dict[str, Any]:
        begin = time.perf_counter()
        chip = convert(network, technology, seed=seed, **options)
        table = program(chip, method, **(programming or {}))
        score = number("evaluate", evaluate(chip))
        share = table["cells"] / table["cells"].sum()
        return {
            "seed": seed,
            "score": score,
            **{name: int(table[name].sum()) for name in ("cells", "unreachable", "outliers")},
            "rms_error": float(np.sqrt((share * table["rms_error"] ** 2).sum())),
            "pulses": float((share * table["pulses"]).sum()),
            "energy": float(table["energy"].sum()),
            "seconds": time.perf_counter() - begin,
        }

    with ThreadPoolExecutor(max(1, workers)) as pool:
        found = pool.map(one, chips) if workers > 1 else map(one, chips)
        return pd.DataFrame(list(_watched(found, len(chips), progress)))


def _watched(rows: Iterable[Any], total: int, progress: bool) -> Iterable[Any]:
    if not progress:
        return rows
    from rich.progress import track

    return track(rows, "chips", total=total)


def without_outliers(model: CellModel | str | os.PathLike[str]) -> CellModel:
    """Return the technology without its rarest kind of device, to see what that kind costs.

    Raises
    ------
    InvalidValueError
        It has one kind only.
    """
    whole = load_model(model)
    population = whole.population
    if len(population.weights) < 2:
        raise InvalidValueError("model: expected two kinds of devices or more, found one")
    kept = np.arange(len(population.weights)) != int(np.argmin(population.weights))
    common = Population(population.weights[kept], population.means[kept], population.factors[kept])
    return CellModel(
        f"{whole.name} without outliers", whole.marginals, whole.histories, common,
        whole.conduction, whole.provenance,
    )  # fmt: skip
