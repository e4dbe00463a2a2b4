"""Draw the figures of the documentation again: python tools/figures.py [NAME …]

With names, only sources that contain one of them are run (demo, gallery, …). Screenshots need
Chromium, and circuit figures need a simulator; if one is missing, a message names the source and
the old figure is kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from blocks import run_page

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"

# Figure in docs/images: (script or page that draws it, file name that the script writes).
SOURCES: dict[str, tuple[str, str]] = {
    "autocorrelation.png": ("demo", "autocorrelation.png"),
    "cell-voltages.png": ("examples/crossbar_size.py", "cell_voltages.png"),
    "read-error.png": ("examples/crossbar_size.py", "read_error.png"),
    "crossbar-disturb.png": ("examples/crossbar_write.py", "crossbar-disturb.png"),
    "crossbar-programming.png": ("examples/crossbar_write.py", "crossbar-programming.png"),
    "extracted-loops.png": ("examples/learn_from_loops.py", "extracted_loops.png"),
    "fitted-distributions.png": ("examples/learn_from_loops.py", "distributions.png"),
    "cells-in-ngspice.png": ("examples/cells_in_ngspice.py", "cells-in-ngspice.png"),
    "sweep-in-ngspice.png": ("examples/sweep_in_ngspice.py", "sweep-in-ngspice.png"),
    "cells-in-spectre.png": ("examples/cells_in_spectre.py", "cells-in-spectre.png"),
    "memory-array.png": ("examples/memory_array.py", "memory-array.png"),
    "memory-yield.png": ("examples/memory_yield.py", "memory-yield.png"),
    "performance.png": ("benchmarks/chart.py", "performance.png"),
    "growth.png": ("benchmarks/growth.py", "growth.png"),
    "compact-validation.png": ("benchmarks/compact_models.py", "compact-validation.png"),
    "compact-speed.png": ("benchmarks/compact_models.py", "compact-speed.png"),
    "weak-scaling.png": ("benchmarks/cluster.py", "weak-scaling.png"),
    "relaxation-fit.png": ("benchmarks/relaxation.py", "relaxation-fit.png"),
    "history-modes.png": ("examples/history_modes.py", "history_modes.png"),
    "ml-inference.png": ("examples/ml_inference.py", "ml-inference.png"),
    "ml-hardware-aware.png": ("examples/ml_hardware_aware.py", "ml-hardware-aware.png"),
    "ml-chips.png": ("examples/ml_chips.py", "ml-chips.png"),
    "ml-in-situ.png": ("examples/ml_in_situ.py", "ml-in-situ.png"),
    "ml-in-situ-methods.png": ("examples/ml_in_situ_methods.py", "ml-in-situ-methods.png"),
    "ml-peripherals.png": ("examples/ml_peripherals.py", "ml-peripherals.png"),
    "ml-over-time.png": ("examples/ml_over_time.py", "ml-over-time.png"),
    "concepts/relaxation.png": ("examples/concepts/time_and_temperature.py", "relaxation.png"),
    "concepts/noise_spectrum.png": (
        "examples/concepts/time_and_temperature.py",
        "noise_spectrum.png",
    ),
    "concepts/retention.png": ("examples/concepts/time_and_temperature.py", "retention.png"),
    "tutorials/first-array.png": ("docs/tutorials/first-array.md", "first-array.png"),
    "tutorials/extracted.png": ("docs/tutorials/measurement-to-model.md", "extracted.png"),
    "tutorials/relaxation-fit.png": ("docs/tutorials/relaxation.md", "relaxation-fit.png"),
    "tutorials/product.png": ("docs/tutorials/crossbar.md", "product.png"),
    "report.png": ("tools/screenshots.py", "report.png"),
    "report-dark.png": ("tools/screenshots.py", "report-dark.png"),
    "explorer.png": ("tools/screenshots.py", "explorer.png"),
    "explorer-dark.png": ("tools/screenshots.py", "explorer-dark.png"),
    "notebook.png": ("tools/notebook_screenshot.py", "notebook.png"),
} | {
    f"{folder}/{script.stem}.png": (f"examples/{folder}/{script.name}", f"{script.stem}.png")
    for folder in ("gallery", "concepts", "validation")
    for script in (ROOT / "examples" / folder).glob("*.py")
    if script.stem != "time_and_temperature"  # it draws three
}

# Figures with colour maps also have a dark version, x-dark.png. The site inverts the lightness of
# the others for its dark scheme, which would change the meaning of a colour map.
COLOUR_MAPS = (
    "cell-voltages.png",
    "crossbar-disturb.png",
    "gallery/programmed_picture.png",
    "gallery/voltage_map.png",
)


def draw(source: str, folder: Path, *, dark: bool = False) -> str:
    """Run one source in a folder; return an error message, or an empty string."""
    if source.endswith(".md"):
        return run_page(ROOT / source, folder)
    command = [str(ROOT / source)]
    if source == "demo":
        command = ["-m", "synfab", "demo", "--output", str(folder)]
    paths = os.pathsep.join(map(str, (ROOT / "src", ROOT)))  # ROOT: for the benchmarks
    environment = os.environ | {"PYTHONPATH": paths, "MPLBACKEND": "Agg"}
    if dark:
        environment["MATPLOTLIBRC"] = str(ROOT / "tools" / "dark.matplotlibrc")
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.stderr[-1000:] if done.returncode else ""


def main(wanted: list[str]) -> int:
    """Run the wanted sources and copy their figures to docs/images."""
    failed = 0
    for source in dict.fromkeys(source for source, _ in SOURCES.values()):
        if wanted and not any(word in source for word in wanted):
            continue
        problem = _copy_figures(source, [f for f, (owner, _) in SOURCES.items() if owner == source])
        mapped = [figure for figure in COLOUR_MAPS if SOURCES[figure][0] == source]
        if mapped and not problem:
            problem = _copy_figures(source, mapped, dark=True)
        print(f"{source}: {problem or 'drawn'}")
        failed += bool(problem)
    return int(failed > 0)


def _copy_figures(source: str, figures: list[str], *, dark: bool = False) -> str:
    """Run one source and copy its figures; return an error message, or an empty string."""
    with tempfile.TemporaryDirectory() as name:
        problem = draw(source, Path(name), dark=dark)
        for figure in figures:
            if problem:
                return problem
            found = next(Path(name).rglob(SOURCES[figure][1]), None)
            if found is None:
                return f"{SOURCES[figure][1]} was not drawn"
            target = IMAGES / figure
            target = target.with_stem(f"{target.stem}-dark") if dark else target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, target)
    return problem


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
