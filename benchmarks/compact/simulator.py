"""One run of ngspice, and what it reports about itself."""

from __future__ import annotations

import re
import resource
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synfab.circuit import Waveforms, run_ngspice


@dataclass(frozen=True)
class Run:
    """A finished run: processor time (s), peak memory (MB), and the counts and times of ngspice."""

    seconds: float
    megabytes: float
    iterations: int
    points: int
    rejected: int
    load: float  # s of the processor, all calls of the devices
    wave: Waveforms


def measure(text: str, osdi: Sequence[Path] | Path = (), limit: float = 600.0) -> Run:
    """Run a netlist with one analysis and return what it took."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "usage.txt"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        (wave,) = run_ngspice(
            text, osdi=osdi, time_limit=limit, commands=[f"rusage all > {report}"]
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = report.read_text("utf-8")

    def number(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} *= *([-+.\deE]+)", said, re.MULTILINE)
        return float(found[1]) if found else 0.0

    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # ngspice measures elapsed times; on a busy machine only their shares mean something.
    load, analysis = number("Matrix load time"), number("Total analysis time (seconds)")
    return Run(
        seconds=seconds,
        megabytes=number("Maximum ngspice program size"),
        iterations=int(number("Total iterations")),
        points=int(number("Accepted timepoints")),
        rejected=int(number("Rejected timepoints")),
        load=min(load, seconds * load / analysis),
        wave=wave,
    )
