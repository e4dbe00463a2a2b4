"""Measure against the published package and write docs/performance.md: python -m benchmarks."""

import datetime as dt
import os
import platform
from pathlib import Path

from synfab.bench import compare_with_published, table_rows

HEADER = """# Performance

Written by `make bench` ({date}; {machine}, {cores} cores). Medians of alternating runs in one
process, 2^20 cells of the published model, order 10, both packages in the same state. A pair is
-2 V and then +1.5 V on every cell; ten pairs are timed together, because the history is drawn in
blocks of ten cycles: nine pulses in ten are faster than the mean, one is about five times slower.

| job | synaptogen 0.2.0 | synfab | ratio |
|---|---|---|---|
"""


def main() -> None:
    rows = table_rows(compare_with_published())
    text = HEADER.format(
        date=dt.datetime.now(tz=dt.UTC).date(),
        machine=platform.machine(),
        cores=os.cpu_count(),
    )
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    Path("docs/performance.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
