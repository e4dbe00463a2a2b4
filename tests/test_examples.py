"""Every example runs, in an empty folder, and leaves the picture it promises."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example(script, tmp_path, request):
    if script.stem == "cells_in_ngspice":
        request.getfixturevalue("ngspice")
    if script.stem == "cells_in_spectre" and importlib.util.find_spec("evas") is None:
        pytest.skip("evas-sim is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pictures = list(tmp_path.rglob("*.png"))
    assert pictures
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert done.stdout
