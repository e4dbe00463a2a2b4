"""Run the statistical tests and write what they measured into docs/validation.md.

Usage: python tools/validation.py

The table lies between two comments. Its tests record a statistic, a bound and a value with the
fixture `measured` (tests/conftest.py).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- statistics: begin -->\n", "<!-- statistics: end -->\n"
HEADER = "| claim | statistic | bound | result | figure | test |\n|---|---|---|---|---|---|\n"


class Claim(NamedTuple):
    """A statistical claim: the test that measures it and the figure that shows it."""

    text: str
    test: str
    figure: str = ""


GENERATED = "[generated cells](images/validation/generated_cells.png)"
STATISTICS, CELLS = "tests/cells/test_statistics.py", "tests/cells/test_cells.py"
CLAIMS = (
    Claim(
        "Device parameters follow the mixture of the model",
        f"{STATISTICS}::test_device_parameters_follow_the_mixture",
        GENERATED,
    ),
    Claim(
        "The marginal distributions of each component are normal",
        f"{STATISTICS}::test_each_component_is_normal_in_every_marginal",
    ),
    Claim(
        "The fraction of outliers is that of the mixture",
        f"{STATISTICS}::test_the_mixture_has_its_outliers",
        "[outliers](gallery.md#outlier-devices)",
    ),
    Claim(
        "The covariances are those of the mixture",
        f"{STATISTICS}::test_the_covariance_is_the_mixture_s",
    ),
    Claim(
        "The history is stationary from the first cycle",
        f"{STATISTICS}::test_the_history_is_stationary_from_the_first_cycle",
        GENERATED,
    ),
    Claim(
        "The autocorrelation is the one computed from A and B",
        f"{STATISTICS}::test_the_autocorrelation_is_exact_at_every_lag",
        "[autocorrelation](images/autocorrelation.png)",
    ),
    Claim(
        "Read noise has the variance of Johnson and shot noise",
        f"{CELLS}::test_read_noise_has_the_stated_variance",
        "[read noise](gallery.md#read-noise-against-bandwidth)",
    ),
    Claim(
        "The noise variance of a crossbar readout is the sum over its cells",
        f"{CELLS}::test_crossbar_noise_is_that_of_its_cells",
    ),
    Claim(
        "Features have the same distribution as in the published package, after its burn-in",
        "tests/compat/test_against_published.py"
        "::test_features_are_distributed_as_the_published_package_s_after_its_burn_in",
    ),
    Claim(
        "The reduced history of compact cells has nearly the correlations of the full history",
        "tests/engines/test_compact.py::test_the_reduced_history_is_near_the_full_one",
        "[history modes](images/history-modes.png)",
    ),
)


def measure(tests: list[str], folder: Path) -> Path:
    """Run tests, and return the file with what they recorded."""
    file = folder / "results.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-o", "junit_family=xunit1"]
    command += [f"--junitxml={file}", *tests]
    subprocess.run(command, cwd=ROOT, check=True)
    return file


def results(file: Path) -> dict[str, tuple[str, str, str]]:
    """Return statistic, bound and worst value of each test of a file."""
    found: dict[str, tuple[str, str, str]] = {}
    for case in ET.parse(file).iter("testcase"):
        name = case.attrib["name"].split("[")[0]
        recorded = [(e.attrib["name"], e.attrib["value"]) for e in case.iter("property")]
        for (_, statistic), (_, value), (_, bound) in zip(*[iter(recorded)] * 3, strict=True):
            worst = found.get(name, (statistic, bound, value))[2]
            choose = max if bound.startswith("<") else min
            found[name] = (statistic, bound, choose(worst, value, key=float))
    return found


def table(found: dict[str, tuple[str, str, str]]) -> str:
    """Return the table of the page."""
    rows = [
        (claim.text, *found[claim.test.split("::")[1]], claim.figure, f"`{claim.test}`")
        for claim in CLAIMS
    ]
    return HEADER + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = table(results(measure([claim.test for claim in CLAIMS], Path(folder))))
    page = PAGE.read_text()
    new = f"{BEGIN}{text}{END}"
    PAGE.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: new, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
