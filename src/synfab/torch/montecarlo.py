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

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.io.progress import ProgressBar
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.model.population import Population
from synfab.programming.methods import check_options
from synfab.random.streams import MAX_SEED
from synfab.torch.convert import convert
from synfab.torch.inputs import check_network
from synfab.torch.options import check_names
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
        Show a progress bar on standard error.
    **options
        Of ``convert``.

    Returns
    -------
    DataFrame
        One row a chip: ``seed``, ``score``, the columns of ``program`` for all layers together,
        and ``seconds``.
    """
    check_network(network)
    checks.function("evaluate", evaluate)
    chips = _chips(seeds)
    technology = load_model(model)
    steps = check_options(method, {} if programming is None else checks.mapping(
        "programming", programming
    ))  # fmt: skip
    checks.flag("progress", progress)
    workers = checks.count("workers", workers)
    _check_names(options)

    def one(seed: int) -> dict[str, Any]:
        begin = time.perf_counter()
        chip = convert(network, technology, seed=seed, **options)
        table = program(chip, method, **steps)
        score = checks.number("evaluate", evaluate(chip))
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

    with ThreadPoolExecutor(min(workers, len(chips))) as pool:
        found = pool.map(one, chips) if workers > 1 else map(one, chips)
        rows = []
        with ProgressBar("chips", len(chips), show=progress) as bar:
            for row in found:
                rows.append(row)
                bar.advance()
        return pd.DataFrame(rows)


def _chips(seeds: Any) -> list[int]:
    """Return the seeds, one or more."""
    try:
        given = list(seeds)
    except Exception as error:  # whatever an iterator raises
        pass_on(error)
        raise InvalidTypeError(
            f"seeds: expected several, such as range(20), found {checks.kind_of(seeds)}"
        ) from None
    if not given:
        raise InvalidValueError("seeds: expected at least one, found none")
    return [checks.integer("seeds", seed, 0, MAX_SEED) for seed in given]


def _check_names(options: dict[str, Any]) -> None:
    """Raise unless options are those of ``convert`` that are the same for every chip."""
    for name in ("seed", "inplace"):
        if name in options:
            raise InvalidTypeError(f"{name}: no option of monte_carlo, which makes copies")
    check_names(options, ("exceptions",))


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
