"""Every example runs, in an empty folder, and leaves the picture it promises."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
GALLERY = sorted((ROOT / "examples" / "gallery").glob("*.py"))
CONCEPTS = sorted((ROOT / "examples").glob("[cv]*/*.py"))  # concepts, validation
NGSPICE = ("cells_in_ngspice", "memory_array", "memory_yield", "sweep_in_ngspice")
# What these three promise of accuracy is measured in test_torch_workflows.py.
SMALL = {
    "ml_chips": (
        *("--chips", "1", "--in-situ-chips", "1", "--epochs", "2", "--aware-epochs", "1"),
        *("--in-situ-epochs", "1"),
    ),
    "ml_hardware_aware": ("--chips", "1", "--epochs", "2", "--aware-epochs", "1"),
    "ml_in_situ": ("--epochs", "1"),
    "ml_in_situ_methods": ("--epochs", "1"),
    "ml_inference": ("--chips", "1", "--epochs", "2"),
    "ml_peripherals": ("--chips", "1", "--epochs", "2", "--bits", "4", "8"),
    "memory_array": ("--size", "2"),
    "memory_yield": ("--chips", "2", "--rows", "2"),
    "ml_over_time": ("--chips", "1", "--epochs", "2", "--times", "2", "--refresh", "4"),
}


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example(script, tmp_path, request):
    if script.stem in NGSPICE:
        request.getfixturevalue("ngspice")
    if script.stem == "cells_in_spectre" and importlib.util.find_spec("evas") is None:
        pytest.skip("evas-sim is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "error", script, *SMALL.get(script.stem, ())],
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


def test_the_gallery_is_ten_short_scripts_with_a_figure_each():
    assert len(GALLERY) == 10
    for script in GALLERY:
        text = script.read_text()
        assert len(text.splitlines()) <= 40, script
        assert text.count(".savefig(") == 1, script
        assert f'savefig("{script.stem}.png"' in text, script
        assert (ROOT / "docs" / "images" / "gallery" / f"{script.stem}.png").is_file(), script


@pytest.mark.slow
@pytest.mark.parametrize("script", [*GALLERY, *CONCEPTS], ids=lambda path: path.stem)
def test_gallery(script, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    promised = re.findall(r'savefig\("([\w.]+)"', script.read_text())
    assert promised
    for picture in promised:
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
