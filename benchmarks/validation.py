"""Fit half of the devices, compare with the other half, and write the tables of validation.md.

Run it with: python -m benchmarks.validation [FILE ...]

The data sets are measurements made by the published package (synaptogen 0.2.0), the public
measurements in the folder SYNFAB_DATA if it is set, and the files named, which are read as by
`synfab fit`. The tables replace what is between the two marks in docs/validation.md.
"""

import datetime as dt
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import synfab as sf
from synfab import learn
from synfab.learn.comparison.compare import prepared
from synfab.learn.comparison.data import measured_data, not_scored
from synfab.learn.comparison.properties import PROPERTIES
from synfab.learn.comparison.yardstick import FAR, Result, results
from synfab.report.verdict import left_out, rare_sentences

PAGE = Path("docs/validation.md")
MARKS = ("<!-- tables: begin -->", "<!-- tables: end -->")
DEVICES, CYCLES = 512, 1000
LOOP_DEVICES, LOOPS = 48, 60
# Fewer devices are not split: the first half of their cycles is fitted, the second compared.
MIN_DEVICES = 8

# The yardstick is that of a correct model. A fit to as many devices has their sampling error, too:
# root of (1 + 1 + 1/R) / (1 + 1/R) for R = 5 generated data sets.
FIT_ERROR = math.sqrt(2.2 / 1.2)

# Why a property can differ by more than twice the yardstick though the halves do not differ.
REASONS = {
    "trend": "drift is not modelled",
    "closed_window": "cycles without switching are not modelled",
    "failed_set": "failed SET is not modelled",
    "failed_reset": "failed RESET is not modelled",
    "jumps": "jumps within a device are not modelled",
    "second_level": "two levels within a device are not modelled",
}


class DataSet(NamedTuple):
    """A measurement: its title, the features, and the loops if they were measured."""

    title: str
    features: learn.FeatureTable
    sweeps: learn.Sweeps | None


def published_features() -> DataSet:
    """Return features of cells of the published package."""
    values, _ = _package().measured_features(DEVICES, CYCLES, seed=11)
    table = learn.FeatureTable.build(
        np.repeat(np.arange(DEVICES), CYCLES), np.tile(np.arange(CYCLES), DEVICES),
        values.reshape(-1, 4),
    )  # fmt: skip
    return DataSet(f"synaptogen 0.2.0, features of {DEVICES} devices", table, None)


def published_loops() -> DataSet:
    """Return loops of cells of the published package, with noise, offset and digitiser steps."""
    voltage, current, _ = _package().measured_sweeps(LOOP_DEVICES, LOOPS, seed=12)
    sweeps = learn.sweeps_from_arrays(voltage, current)
    title = f"synaptogen 0.2.0, {LOOPS} loops of {LOOP_DEVICES} devices"
    return DataSet(title, learn.extract_features(sweeps), sweeps)


def read(title: str, path: Path, **options: object) -> DataSet:
    """Return a measured data set from a file."""
    data = learn.read_any(path, **options)  # type: ignore[arg-type]
    if isinstance(data, learn.Sweeps):
        return DataSet(title, learn.extract_features(data), data)
    return DataSet(title, data, None)


def data_sets(files: list[str]) -> Iterator[Callable[[], DataSet]]:
    """Yield functions that return the data sets."""
    yield published_features
    yield published_loops
    folder = os.environ.get("SYNFAB_DATA")
    if folder:
        root = Path(folder)
        columns = {"device": "0", "r_lrs": "1", "r_hrs": "2", "cycle": "3"}
        yield lambda: read("py-ivtools, loops of one cell", root / "py-ivtools/ivloops.npz")
        yield lambda: read(
            "NI-RRAM-Python, endurance of one cell", root / "NI-RRAM-Python/1us_endurance.tsv",
            columns=columns, u_set=-1.0, u_reset=(1.0, 0.05),
        )  # fmt: skip
        for name, words in (("endurance_log", "one cell"), ("endurance_log_many", "19 cells")):
            path = root / "Anjiang-RRAM-Python" / f"{name}.csv"
            yield lambda path=path, words=words: read(  # type: ignore[misc]
                f"Anjiang-RRAM-Python, {words}", path, u_set=-1.0, u_reset=2.5
            )
    for name in files:
        yield lambda name=name: read(Path(name).name, Path(name))  # type: ignore[misc]


def halves(data: DataSet) -> tuple[DataSet, DataSet, str]:
    """Return the part to fit and the part to compare, and how they were split."""
    table = data.features
    if len(table.names) >= MIN_DEVICES:
        second = table.device % 2 == 1
        text = "every other device was fitted, the others compared"
    else:
        second = np.concatenate(
            [np.arange(len(cycles)) >= len(cycles) // 2 for _, cycles, _ in table.devices()]
        )
        text = "the first half of the cycles was fitted, the second compared"
    parts = []
    for rows in (~second, second):
        names = np.asarray(table.names)[table.device[rows]]
        part = learn.FeatureTable.build(
            names, table.cycle[rows], table.values[rows], notes=table.notes
        )
        parts.append(DataSet(data.title, part, _loops_of(data, part)))
    return parts[0], parts[1], text


def _loops_of(data: DataSet, chosen: learn.FeatureTable) -> learn.Sweeps | None:
    """Return the loops of the cycles in a table."""
    if data.sweeps is None:
        return None
    source = data.sweeps
    cycles = {name: numbers for name, numbers, _ in chosen.devices()}

    def devices() -> Iterator[learn.DeviceSweeps]:
        for device in source.devices():
            if device.name not in cycles:
                continue
            kept = np.flatnonzero(np.isin(device.cycles, cycles[device.name]))
            lengths = np.diff(device.offsets)[kept]
            points = np.concatenate(
                [np.arange(device.offsets[k], device.offsets[k + 1]) for k in kept]
            )
            yield learn.DeviceSweeps(
                device.name, device.cycles[kept], np.concatenate([[0], np.cumsum(lengths)]),
                device.voltage[points], device.current[points],
            )  # fmt: skip

    return learn.Sweeps(devices)


def number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else ""


def note(row: Result, words: str, apart: dict[tuple[str, str], float]) -> str:
    """Return why a row has no ratio of at most 2; empty if it has one.

    ``apart``: ratios of the fitted half of the measurement itself.
    """
    if words == "cannot be judged":
        return "too few data" if not math.isfinite(row.yardstick) else "yardstick of 0.5 or more"
    if not row.ratio > FAR:
        return ""
    own = apart.get((row.key, row.feature), 0.0)
    if own > 1.0:
        return f"the fitted half of the measurement is {own:.1f} yardsticks away from the other"
    if row.ratio <= FAR * FIT_ERROR:
        return "at most twice the yardstick with the sampling error of the fit"
    return REASONS.get(row.key, "not explained")


def between_halves(
    model: sf.CellModel, train: DataSet, score: DataSet
) -> dict[tuple[str, str], float]:
    """Return the ratios of the fitted half of the measurement, compared as if it were generated."""
    fitted, compared = (measured_data(part.features, model).data for part in (train, score))
    left_out = set(not_scored(compared, score.features.notes))
    units, others, splits = prepared(compared, [fitted], left_out, 1)
    return {
        (row.key, row.feature): row.ratio
        for entry in PROPERTIES
        for row in results(entry, splits, units, others)
    }


def section(data: DataSet) -> tuple[str, str, list[str]]:
    """Return the row of the overview, the tables of a data set, and rows above 2 without reason."""
    begin = time.perf_counter()
    train, score, text = halves(data)
    result = learn.fit(train.features, train.sweeps)
    found = learn.compare(result.model, score.features, score.sweeps, seed=1)
    judged = found.verdicts()
    counts = {w: sum(v.words == w for v in judged) for w in
              ("agrees", "differs a little", "differs", "cannot be judged")}  # fmt: skip
    lines = [
        f"### {data.title}", "",
        f"{len(found.names)} devices, {sum(len(y) for _, y in found.measured.devices)} cycles "
        f"compared; {text}. " + " ".join([*left_out(found), *rare_sentences(found)]),
        "", "| property | measured | generated | yardstick | ratio | why above 2 |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    unexplained, apart = [], between_halves(result.model, train, score)
    for row, verdict in zip(found.results, judged, strict=True):
        why = note(row, verdict.words, apart)
        cells = (number(row.measured), number(row.generated), number(row.yardstick),
                 number(row.ratio), why)  # fmt: skip
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
        if why == "not explained":
            unexplained.append(f"{data.title}: {row.name}")
    print(f"{data.title}: {counts}, {time.perf_counter() - begin:.0f} s", flush=True)
    overview = f"| {data.title} | {' | '.join(str(counts[w]) for w in counts)} |"
    return overview, "\n".join(lines), unexplained


def main() -> None:
    parts = [section(read_data()) for read_data in data_sets(sys.argv[1:])]
    table = (
        "| data | agree | differ a little | differ | cannot be judged |\n|---|---|---|---|---|\n"
    )
    text = (
        f"Written by `python -m benchmarks.validation` (synfab {sf.__version__}, "
        f"{dt.datetime.now(tz=dt.UTC).date()}).\n\n{table}\n"
        + "\n".join(overview for overview, _, _ in parts)
        + "\n\n"
        + "\n\n".join(tables for _, tables, _ in parts)
    )
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")
    for name in (name for _, _, names in parts for name in names):
        print(f"not explained: {name}")


def _package():  # type: ignore[no-untyped-def]
    """Return the module of the tests that measures cells of the published package."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
    import published_measurements

    return published_measurements


if __name__ == "__main__":
    main()
