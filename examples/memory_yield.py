"""Bit errors and yield of a column of 1T1R cells with a sense amplifier, over many chips.

python examples/memory_yield.py [--chips 200] [--workers 2] [--table memory-yield.csv]

Every chip has its own cells and offsets, which follow from its number: the table is the same in
every run. Each cell is written to one state and then to the other, and read against several
references, with a short and a long time to sense.
"""

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from memory_kit import Memory, Read, program
from scipy.stats import binomtest

from synfab.circuit import build_osdi
from synfab.figures.cells import COLOURS, new_figure

REFERENCES = np.array([25, 45, 65, 100, 135, 155, 175]) * 1e-6
SENSE_TIMES = (0.4e-9, 1.5e-9)


def measure(chip: int, given: argparse.Namespace, device: Path) -> pd.DataFrame:
    """Return one line per read of a chip."""
    memory = Memory(
        device,
        (given.rows, 1),
        chip=chip,
        pdk=given.pdk,
        corner=given.corner,
        supply=given.supply,
    )
    rows = range(given.rows)
    bits = np.arange(given.rows)[:, None] % 2 == 0
    program(memory, bits)
    program(memory, ~bits)
    found, _ = memory.run([Read(i, REFERENCES, time) for time in SENSE_TIMES for i in rows])
    columns = pd.MultiIndex.from_product(
        [SENSE_TIMES, rows, REFERENCES], names=["sense_time_s", "row", "reference_S"]
    )
    table = columns.to_frame(index=False)
    table.insert(0, "chip", chip)
    table["written"] = (~bits)[table["row"], 0].astype(int)
    table["read"] = found[:, 0].astype(int)
    return table


def draw(table: pd.DataFrame) -> None:
    """Draw bit error rate and yield against the reference."""
    table["error"] = table["written"] != table["read"]
    figure, axes = new_figure(1, 2, (9, 3.8))
    left, right = axes[0]
    for (time, reads), colour in zip(table.groupby("sense_time_s"), COLOURS, strict=False):
        by_reference = reads.groupby("reference_S")["error"]
        errors, count = by_reference.sum(), by_reference.count()
        scale = errors.index * 1e6
        interval = [
            binomtest(int(k), int(n)).proportion_ci(method="wilson")
            for k, n in zip(errors, count, strict=True)
        ]
        label = f"{time * 1e9:.1f} ns"
        seen = errors > 0
        rate = (errors / count)[seen]
        left.plot(scale[seen], rate, "o", color=colour, label=label)
        left.fill_between(
            scale, [max(i.low, 1e-5) for i in interval], [i.high for i in interval],
            color=colour, alpha=0.25, lw=0,
        )  # fmt: skip
        good = 1 - reads.groupby(["reference_S", "chip"])["error"].any().groupby(level=0).mean()
        right.plot(scale, good * 100, "o-", color=colour, label=label)
    left.set(xlabel="reference (uS)", ylabel="bit error rate", yscale="log", ylim=(1e-5, 1))
    right.set(xlabel="reference (uS)", ylabel="chips without an error (%)", ylim=(-3, 103))
    left.set_title("points: observed; bands: 95 % confidence", fontsize=9)
    right.legend(title="time to sense", frameon=False)
    figure.savefig("memory-yield.png", dpi=130)


def main() -> None:
    """Run the chips, write the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, default=200)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="ngspice processes at a time")
    parser.add_argument("--supply", type=float, default=1.8, help="of the sense amplifiers, V")
    parser.add_argument("--pdk", type=Path, help="folder with the SPICE files of SKY130")
    parser.add_argument("--corner", default="tt", help="corner of the PDK")
    parser.add_argument("--table", type=Path, default=Path("memory-yield.csv"),
                        help="file to write (.csv or .parquet)")  # fmt: skip
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.workers) as pool:
        device = build_osdi("published", Path(folder) / "cell.osdi")
        run = partial(measure, given=given, device=device)
        table = pd.concat(pool.map(run, range(given.chips)), ignore_index=True)
    if given.table.suffix == ".parquet":
        table.to_parquet(given.table, index=False)
    else:
        table.to_csv(given.table, index=False, float_format="%.6g")
    draw(table)
    rate = table.groupby(["sense_time_s", "reference_S"])["error"].agg(["sum", "count"])
    print(rate.to_string())


if __name__ == "__main__":
    main()
