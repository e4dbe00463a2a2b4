"""Notebooks run in a kernel, and show objects, figures and progress bars."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from shared import shared_folder

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from blocks import DEMO, EARLIER, SHELL, TABLE, WRITTEN, run_shared  # noqa: E402
from notebooks import notebook_of_page  # noqa: E402

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def execute(book, folder, monkeypatch, **variables):
    """Run a notebook from its first cell to its last, in a folder; an error ends the test."""
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        (folder / ".jupyter" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(folder / ".jupyter" / name))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel chooses its own
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(book, kernel_name="python3", timeout=900, resources=resources).execute()
    for cell in code_of(book):
        assert all(output.output_type != "error" for output in cell.outputs)
    return book


def code_of(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def kinds(cell):
    """MIME types of the displayed outputs of a cell."""
    return [kind for output in cell.outputs for kind in output.get("data", ())]


# ---- tutorials ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Run the commands that many pages have once for all of them, as the tests of the pages do."""

    def make(folder):
        assert run_shared(folder) == ""

    return shared_folder(tmp_path_factory, "earlier", make)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_a_notebook(page, tmp_path, monkeypatch, earlier):
    book = nbformat.reads(notebook_of_page(page, f"tutorials/{page.stem}.html"), as_version=4)
    for cell in code_of(book):
        cell.outputs = []
    # Commands of many pages are copied from where they were run.
    shell = tmp_path / "commands.sh"
    shell.write_text(
        SHELL.format(path=Path(sys.executable).parent, python=sys.executable, earlier=EARLIER,
                     demo=DEMO, written=WRITTEN, table=TABLE)
    )  # fmt: skip
    folder = tmp_path / "work"
    folder.mkdir()
    execute(book, folder, monkeypatch, BASH_ENV=shell, **{EARLIER: earlier})
    pictures = [kind for cell in code_of(book) for kind in kinds(cell) if kind == "image/png"]
    figures = re.findall(r"^!\[.*\]\(\.\./images/tutorials/", page.read_text(), re.MULTILINE)
    assert len(pictures) == len(figures)
    said = "".join(output.get("text", "") for cell in code_of(book) for output in cell.outputs)
    assert ('title="output"' in page.read_text()) <= bool(said)


# ---- what a notebook shows ----------------------------------------------------------------------

CELLS = {
    "array": """
import numpy as np
import synfab as sf
cells = sf.CellArray("published", (8, 8), seed=1)
cells
""",
    "figure": """
from synfab.figures.crossbar import maps
bar = sf.Crossbar(cells, 2.0)
maps(bar.solve(np.full(8, 0.1)))
""",
    "axes": """
from matplotlib import pyplot as plt
_, axes = plt.subplots(1, 2)
maps(bar.solve(np.full(8, 0.1)), axes=axes);
""",
    "bar": """
programmed = bar.program(np.full((8, 8), 8e-5), progress=True, max_passes=5)
""",
    "no bar": """
programmed = bar.program(np.full((8, 8), 8e-5), max_passes=5)
""",
    "vanishing": """
from synfab.io.progress import ProgressBar
with ProgressBar("counting <1>", 4, show=True, vanish=True) as counting:
    counting.advance()
""",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    book = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, CELLS.values())])
    with pytest.MonkeyPatch.context() as monkeypatch:
        execute(book, tmp_path_factory.mktemp("notebook"), monkeypatch)
    return dict(zip(CELLS, book.cells, strict=True))


def test_a_cell_that_returns_an_array_shows_its_description(shown):
    (output,) = shown["array"].outputs
    assert "<b>CellArray</b> 8 x 8 cells of published" in output.data["text/html"]
    assert output.data["text/plain"].startswith("CellArray(8 x 8 cells")


def test_a_figure_is_shown_once(shown):
    assert kinds(shown["figure"]).count("image/png") == 1
    assert kinds(shown["axes"]).count("image/png") == 1  # by pyplot


def test_a_progress_bar_needs_no_widget_and_is_shown_only_when_asked_for(shown):
    (output,) = shown["bar"].outputs
    assert "<progress" in output.data["text/html"]
    assert "cells left" in output.data["text/plain"]
    assert shown["no bar"].outputs == []
    (gone,) = shown["vanishing"].outputs
    assert gone.data["text/html"] == gone.data["text/plain"] == ""
