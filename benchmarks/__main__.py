"""Compare with the published package and write docs/performance.md: python -m benchmarks."""

import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.account import COUNT, pair_in_parts, stage_table, table
from benchmarks.chart import PROCESSORS, chart
from benchmarks.limits import stages
from benchmarks.machine import processor
from benchmarks.overhead import report as overhead
from synfab.cli.bench import Results, compare_with_published, table_rows

HEADER = """# Performance

![Times as fast as the published package, for each job and processor](images/performance.png)

This page is for readers who compare simulation speeds or estimate run times. It compares the engine
with the published package, says what limits it, and lists the times of few cells and of the start.
Larger simulations are in [scale](scale.md), PyTorch and JAX in
[machine learning](machine-learning.md), GPUs in [gpu](gpu.md); terms are defined in the
[glossary](glossary.md).

![Time per cell against the number of cells](images/growth.png)

`python -m benchmarks.growth` draws the figure; a pulse is half of a pair, with the drawing of the
history. Above about 16,000 cells an operation uses all threads.

`make bench` wrote the rest of this page (last on {date}; {machine}, {cores} cores). Both packages
ran alternately in one process, with 2^20 cells of the published model, order 10, in the same state;
the times are medians. A pair is a pulse of -2 V and one of +1.5 V on every cell. Ten pairs are
timed together, because the history is drawn in blocks of ten cycles.

## Speed relative to synaptogen 0.2.0

One column for each processor on which `make bench` ran:

"""


FIRST_RESULT = (
    "import synfab as sf; sf.CellArray('published', 1000, seed=1).apply_voltage(-2.0).read()"
)


def timed(command: str, **environment: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", command], check=True, env={**os.environ, **environment})
    return time.perf_counter() - begin


def start_up() -> dict[str, float]:
    """Return the times (s) of an import, of the interpreter, of a first and of a later start."""
    bare = statistics.median(timed("pass") for _ in range(5))
    package = statistics.median(timed("import synfab") for _ in range(5)) - bare
    with tempfile.TemporaryDirectory() as cache:
        first = timed(FIRST_RESULT, NUMBA_CACHE_DIR=cache)
        later = statistics.median(timed(FIRST_RESULT, NUMBA_CACHE_DIR=cache) for _ in range(5))
    return {"import": package, "interpreter": bare, "first": first, "later": later}


def remember(result: Results, start: dict[str, float]) -> dict[str, Any]:
    """Return what is known of all processors, after adding this one."""
    known: dict[str, Any] = json.loads(PROCESSORS.read_text()) if PROCESSORS.exists() else {}
    known[f"{processor()}, {os.cpu_count()} cores"] = {
        "date": str(dt.datetime.now(tz=dt.UTC).date()),
        "ratios": {job: row["ratio"] for job, row in result.items() if row.get("ratio")},
        "pair_s": result["-2 V / +1.5 V pair, float32"]["synfab_s"],
        "copy_bytes_per_s": result["copy bandwidth"]["bytes_per_s"],
        "first_result_s": start["first"],
    }
    PROCESSORS.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    return known


def by_processor(known: dict[str, Any]) -> str:
    """Return the table of ratios, with a column for each processor."""
    jobs = list(dict.fromkeys(job for found in known.values() for job in found["ratios"]))
    text = f"| job | {' | '.join(known)} |\n|{'---|' * (len(known) + 1)}\n"
    text += f"| date | {' | '.join(found['date'] for found in known.values())} |\n"
    for job in jobs:
        ratios = (found["ratios"].get(job) for found in known.values())
        text += f"| {job} | {' | '.join(f'{r:.1f}' if r else '-' for r in ratios)} |\n"
    rates = (f"{2e-6 * COUNT / found['pair_s']:.0f} M/s" for found in known.values())
    text += f"| updates (pulses on a cell) | {' | '.join(rates)} |\n"
    copies = (f"{found['copy_bytes_per_s'] / 1e9:.1f} GB/s" for found in known.values())
    text += f"| copy bandwidth | {' | '.join(copies)} |\n"
    starts = (f"{found['first_result_s']:.1f} s" for found in known.values())
    return text + f"| first result, compiling the kernels | {' | '.join(starts)} |\n"


LIMITS = """
A share near 100 % means that the operation cannot be faster on this processor with the same memory
layout (copy bandwidth) or the same instructions (arithmetic limit: the time of the arithmetic alone
on data in the L1 cache, divided by the number of threads). The rest is the time of new memory
(initialisation and reads allocate their results), of data that are not in the cache, and of the
loops that move data and select cells, which the arithmetic does not include.

Parts of the arithmetic, with the instructions per cell counted in the loops of the compiled code:

"""


def main() -> None:
    result, parts, start = compare_with_published(), stages(), start_up()
    text = HEADER.format(
        date=dt.datetime.now(tz=dt.UTC).date(),
        machine=processor(),
        cores=os.cpu_count(),
    )
    text += by_processor(remember(result, start))
    text += f"\n## Times on the last processor\n\nOn {processor()}:\n\n"
    text += "| job | synaptogen 0.2.0 | synfab | ratio |\n|---|---|---|---|\n"
    text += "".join(f"| {' | '.join(row)} |\n" for row in table_rows(result))
    text += f"\n## What limits the speed\n\n{table(result, parts)}"
    text += f"{LIMITS}{stage_table(parts)}\n{pair_in_parts(result)}"
    text += "\n## Few cells\n\nTime per call (medians of 300 alternating rounds; the published\n"
    text += "package has no masks, so its unselected cells receive 0 V):\n\n"
    text += overhead()
    text += "\n## Start-up\n\nMedians of separate processes:\n\n"
    text += (
        f"- `import synfab` takes {start['import']:.2f} s, in addition to "
        f"{start['interpreter']:.2f} s of the interpreter.\n"
        f"- The first use compiles the kernels once: {start['first']:.1f} s until the first "
        f"result. They are compiled again only if their sources, Numba or the processor change.\n"
        f"- A later start takes {start['later']:.2f} s until the first result.\n"
    )
    text += "\nNext: [scale](scale.md) describes simulations of more cells than fit in memory.\n"
    chart(json.loads(PROCESSORS.read_text())).savefig("docs/images/performance.png", dpi=120)
    Path("docs/performance.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
