"""Monte Carlo over chips: the same network on the cells of different seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
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
from synfab.torch.convert import convert, crossbar_layers
from synfab.torch.exceptions import Exceptions
from synfab.torch.inputs import check_network
from synfab.torch.options import (
    MethodName,
    ModelLike,
    ProgramOptions,
    SharedLayerOptions,
    check_names,
)
from synfab.torch.programming import program_networks
from synfab.torch.schedule import Schedule

CELLS_AT_ONCE = 2**21  # of chips that exist at the same time: about 1 GB


def monte_carlo(
    network: nn.Module,
    evaluate: Callable[[nn.Module], float],
    seeds: Iterable[int],
    *,
    model: ModelLike = "published",
    method: MethodName = "write-verify",
    programming: ProgramOptions | None = None,
    times: npt.ArrayLike | None = None,
    temperature: float = 300.0,
    compensate: bool = False,
    refresh: float | None = None,
    refreshing: ProgramOptions | None = None,
    workers: int = 1,
    progress: bool = False,
    strict: bool = False,
    exceptions: Exceptions | None = None,
    first_cell: int = 0,
    **options: Unpack[SharedLayerOptions],
) -> pd.DataFrame:
    """Return a table of chips, one for each seed, with a network programmed and evaluated on each.

    Chips with up to 2**21 cells in total are programmed at the same time, which is faster.

    Parameters
    ----------
    network
        In software; it is not changed.
    evaluate
        Called with each converted network; returns a number, such as an accuracy.
    seeds
        Seeds of the chips.
    model
        Technology.
    method, programming
        Method of ``program``, and its options.
    times
        Times (s) after programming, ascending: every chip is evaluated at each of them. The model
        needs traps. None: right after programming.
    temperature
        Temperature (K) of the chips; see ``wait``.
    compensate
        Whether ``compensate_drift`` precedes each evaluation.
    refresh, refreshing
        Interval (s) at which ``program`` with method ``"refresh"`` reprograms the cells that have
        drifted, and its options; a chip is evaluated before a refresh that is due at the same
        time. None: never.
    workers
        Number of chips that are evaluated at the same time, in threads. ``evaluate`` must allow
        this. The table does not depend on it.
    progress
        Show a progress bar: on standard error, or in the output of a notebook.
    strict, exceptions, first_cell, **options
        As in ``convert``.

    Returns
    -------
    DataFrame
        One row per chip: ``seed``, ``score``, the columns of ``program`` for all layers together,
        and ``seconds``, its part of the time. With ``times``, one row per chip and time, with two
        more columns, ``time`` (s) and ``refreshes``, the number of them so far; ``rms_error`` is
        that at this time, ``pulses`` and ``energy`` include the refreshes.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """
    check_network(network)
    checks.function("evaluate", evaluate)
    chips = _chips(seeds)
    technology = load_model(model)
    steps = check_options(method, _mapping("programming", programming))
    again = check_options("refresh", _mapping("refreshing", refreshing))
    schedule = Schedule.of(times, temperature, compensate, refresh, again)
    if schedule is not None and technology.traps is None:
        raise InvalidValueError(
            f"times: {technology.name!r} has no traps, so its cells do not change with time; "
            f"learn.fit_traps adds them"
        )
    checks.flag("progress", progress)
    workers = checks.count("workers", workers)
    _check_names(options)

    def chip_of(seed: int) -> nn.Module:
        return convert(
            network,
            technology,
            seed=seed,
            strict=strict,
            exceptions=exceptions,
            first_cell=first_cell,
            **options,
        )

    def scores_of(chip: nn.Module, table: pd.DataFrame) -> tuple[list[dict[str, float]], float]:
        begin = time.perf_counter()
        if schedule is None:
            rows = [{"score": checks.number("evaluate", evaluate(chip)), **_whole(table)}]
        else:
            rows = [
                {"time": at, "score": checks.number("evaluate", evaluate(chip)), **_whole(table)}
                | state
                for at, table, state in schedule.ages(chip, table)
            ]
        return rows, time.perf_counter() - begin

    rows: list[dict[str, float]] = []
    with (
        ThreadPoolExecutor(min(workers, len(chips))) as pool,
        ProgressBar("chips", len(chips), show=progress) as bar,
    ):
        each = pool.map if workers > 1 else map
        for group in _groups(chips, workers, chip_of):
            tables = program_networks(group.chips, method, steps)
            shared = (time.perf_counter() - group.begin) / len(group.seeds)
            for seed, (found, own) in zip(
                group.seeds, each(scores_of, group.chips, tables), strict=True
            ):
                rows += [{"seed": seed, **row, "seconds": shared + own} for row in found]
                bar.advance()
    return pd.DataFrame(rows)


class _Group(NamedTuple):
    """Chips that are programmed at the same time, and when their conversion began."""

    seeds: list[int]
    chips: list[nn.Module]
    begin: float


def _groups(seeds: list[int], least: int, chip_of: Callable[[int], nn.Module]) -> Iterator[_Group]:
    """Yield all chips in groups with up to ``CELLS_AT_ONCE`` cells, or ``least`` chips."""
    while seeds:
        begin = time.perf_counter()
        chips = [chip_of(seeds[0])]
        cells = sum(
            layer.tiles.end_cell - layer.tiles.first_cell for _, layer in crossbar_layers(chips[0])
        )
        count = max(least, CELLS_AT_ONCE // max(cells, 1))
        chips += map(chip_of, seeds[1:count])
        yield _Group(seeds[:count], chips, begin)
        seeds = seeds[count:]


def _mapping(name: str, options: ProgramOptions | None) -> Mapping[str, object]:
    return {} if options is None else checks.mapping(name, options)


def _whole(table: pd.DataFrame) -> dict[str, float]:
    """Return the table of ``program`` for all layers together."""
    share = table["cells"] / table["cells"].sum()
    return {
        **{name: int(table[name].sum()) for name in ("cells", "unreachable", "outliers")},
        "rms_error": float(np.sqrt((share * table["rms_error"] ** 2).sum())),
        "pulses": float((share * table["pulses"]).sum()),
        "energy": float(table["energy"].sum()),
    }


def _chips(seeds: Iterable[int]) -> list[int]:
    """Return the seeds, one or more."""
    try:
        given = list(seeds)
    except Exception as error:  # whatever an iterator raises
        pass_on(error)
        raise InvalidTypeError(
            f"seeds: expected several integers, such as range(20), found {checks.kind_of(seeds)}"
        ) from None
    if not given:
        raise InvalidValueError("seeds: expected at least one, found none")
    return [checks.integer("seeds", seed, 0, MAX_SEED) for seed in given]


def _check_names(options: Mapping[str, object]) -> None:
    """Raise unless options are those of ``convert`` that are the same for every chip."""
    for name in ("seed", "inplace"):
        if name in options:
            raise InvalidTypeError(f"{name}: not an option of monte_carlo, which makes copies")
    check_names(options)


def without_outliers(model: ModelLike) -> CellModel:
    """Return a technology without its rarest kind of device, to measure the effect of that kind.

    Raises
    ------
    InvalidValueError
        The technology has one kind only.

    Examples
    --------
    >>> sf.torch.without_outliers(sf.load_model()).name
    'published without outliers'
    """
    whole = load_model(model)
    population = whole.population
    if len(population.weights) < 2:
        raise InvalidValueError("model: expected two kinds of devices or more, found one")
    kept = np.arange(len(population.weights)) != int(np.argmin(population.weights))
    common = Population(
        population.weights[kept], population.means[kept], population.factors[kept],
        population.log_spread,
    )  # fmt: skip
    return whole.replace(name=f"{whole.name} without outliers", population=common)
