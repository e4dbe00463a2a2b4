"""A package with entry points extends the engines, measurement formats and netlist dialects."""

import logging
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from synfab.common import plugins

EXAMPLE = Path(__file__).parents[1] / "helpers" / "example_plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder in which the example package is installed."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--target", folder, EXAMPLE],
        check=True, timeout=300,
    )  # fmt: skip
    return folder


def run(site, *arguments, folder=None):
    """Return the finished process of Python with the example package installed."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False,
        cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, timeout=300,
    )  # fmt: skip


ENGINE = """
import sys
import numpy as np
import synfab as sf
cells = sf.CellArray("published", 8, seed=1, engine="counting")
cells.apply_voltage(-2.0).apply_voltage(1.0)
other = sf.CellArray("published", 8, seed=1, engine="array").apply_voltage(-2.0).apply_voltage(1.0)
assert np.array_equal(cells.read(), other.read())
print(cells.engine, cells.engine_instance.pulses, "synfab_example.pairs" in sys.modules)
"""


def test_an_installed_engine_simulates_cells(site):
    done = run(site, "-c", ENGINE)
    assert done.stdout.split() == ["counting", "2", "False"], done.stderr


def test_an_unknown_engine_is_refused_with_the_installed_ones(site):
    done = run(site, "-c", 'import synfab; synfab.CellArray("published", 8, seed=1, engine="no")')
    assert "counting" in done.stderr.splitlines()[-1]
    assert "found 'no'" in done.stderr.splitlines()[-1]


def test_an_installed_format_is_read(site, tmp_path):
    voltage = np.concatenate([np.linspace(0, -1.5, 20), np.linspace(-1.5, 1.5, 40)])
    loop = "\n".join(f"{u:.3f};{10 * u:.4f}" for u in voltage)
    (tmp_path / "D7.pairs").write_text(f"{loop}\n\n{loop}\n")
    names = "print(*(d.name for d in learn.read_sweeps('D7.pairs').open_devices()))"
    done = run(site, "-c", f"from synfab import learn; {names}", folder=tmp_path)
    assert done.stdout.split() == ["D7"], done.stderr


def test_an_installed_dialect_is_written_by_the_command(site, tmp_path):
    done = run(site, "-m", "synfab", "export", "netlist", "--dialect", "commented", "--snapshot",
               "--rows", 2, "--columns", 2, "--output", tmp_path / "a.net")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.net").stat().st_size > 0


@pytest.mark.parametrize("group", list(plugins.KINDS))
def test_a_module_that_cannot_be_imported_is_logged(group, caplog):
    entry = metadata.EntryPoint("toy", "no_such_module_here", group)
    with caplog.at_level(logging.WARNING, logger="synfab"):
        plugins.import_modules([entry])
    (record,) = caplog.records
    assert f"{plugins.KINDS[group]} toy: cannot load no_such_module_here" in record.getMessage()


def test_every_group_is_in_the_documentation():
    page = (EXAMPLE.parents[2] / "docs" / "design.md").read_text(encoding="utf-8")
    missing = [group for group in plugins.KINDS if f"`{group}`" not in page]
    assert not missing
