"""Compare with the published package and write docs/performance.md: python -m benchmarks."""

import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.account import account, processor
from benchmarks.overhead import report as overhead
from synfab.cli.bench import compare_with_published, table_rows

HEADER = """# Performance

This page is for readers who compare simulation speeds or estimate run times. It lists the times of
single calls, of few cells, and of the start. Larger simulations are in [scale](scale.md); terms are
defined in the [glossary](glossary.md).

Written by `make bench` ({date}; {machine}, {cores} cores). Both packages
ran alternately in one process, with 2^20 cells of the published model, order 10, in the same state;
the times are medians. A pair is a pulse of -2 V and one of +1.5 V on every cell. Ten pairs are
timed together, because the history is drawn in blocks of ten cycles: nine of ten pulses are faster
than the mean, and one is about five times slower. Ratios differ between processors, most for random
voltages, where neighbouring cells are in different states (10 to 19 on the processors tested).

| job | synaptogen 0.2.0 | synfab | ratio |
|---|---|---|---|
"""


FIRST_RESULT = (
    "import synfab as sf; sf.CellArray('published', 1000, seed=1).apply_voltage(-2.0).read()"
)


def timed(command: str, **environment: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", command], check=True, env={**os.environ, **environment})
    return time.perf_counter() - begin


def start_up() -> list[str]:
    bare = statistics.median(timed("pass") for _ in range(5))
    package = statistics.median(timed("import synfab") for _ in range(5)) - bare
    with tempfile.TemporaryDirectory() as cache:
        first = timed(FIRST_RESULT, NUMBA_CACHE_DIR=cache)
        later = statistics.median(timed(FIRST_RESULT, NUMBA_CACHE_DIR=cache) for _ in range(5))
    return [
        f"`import synfab` takes {package:.2f} s, in addition to {bare:.2f} s of the interpreter.",
        f"The first use compiles the kernels once: {first:.1f} s until the first result.",
        f"A later start takes {later:.2f} s until the first result.",
    ]


def main() -> None:
    result = compare_with_published()
    rows = table_rows(result)
    text = HEADER.format(
        date=dt.datetime.now(tz=dt.UTC).date(),
        machine=processor(),
        cores=os.cpu_count(),
    )
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    text += f"\nWhere the time goes:\n\n{account(result)}"
    text += "\nTime per call for few cells (medians of 300 alternating rounds; the published\n"
    text += "package has no masks, so its unselected cells receive 0 V):\n\n"
    text += overhead()
    text += "\nStart-up (medians of separate processes):\n\n"
    text += "".join(f"- {line}\n" for line in start_up())
    Path("docs/performance.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
