"""Measure against the published package and write docs/performance.md: python -m benchmarks."""

import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.overhead import report as overhead
from synfab.cli.bench import account, compare_with_published, processor, table_rows

HEADER = """# Performance

Written by `make bench` ({date}; {machine}, {cores} cores). Medians of alternating runs in one
process, 2^20 cells of the published model, order 10, both packages in the same state. A pair is
-2 V and then +1.5 V on every cell; ten pairs are timed together, because the history is drawn in
blocks of ten cycles: nine pulses in ten are faster than the mean, one is about five times slower.
Ratios differ between processors, most where cells of all kinds stand side by side (random voltages:
10 to 19 on those we had).

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
        f"`import synfab` takes {package:.2f} s, beyond the interpreter's {bare:.2f} s.",
        f"The first use ever, until a result is there, compiles the kernels: {first:.1f} s (once).",
        f"A later start takes {later:.2f} s until a result is there.",
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
    text += "\nFew cells: what a call costs (medians of 300 alternating rounds; the published\n"
    text += "package has no masks, so its unselected cells get 0 V):\n\n"
    text += overhead()
    text += "\nStarting up (medians of separate processes):\n\n"
    text += "".join(f"- {line}\n" for line in start_up())
    Path("docs/performance.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
