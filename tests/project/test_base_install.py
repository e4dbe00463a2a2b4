"""What works without the packages of the extras, and the one line where one is needed."""

import subprocess
import sys

import pytest

from synfab.common.extras import PACKAGES

BLOCK = f"""
import sys
from importlib.machinery import PathFinder
plain = PathFinder.find_spec

def find_spec(name, *arguments):  # as if the packages were not installed
    return None if name.partition(".")[0] in {tuple(PACKAGES)} else plain(name, *arguments)

PathFinder.find_spec = find_spec
"""
MAIN = "from synfab.cli.app import main\nsys.argv = ['synfab', *{arguments!r}]\nmain()\n"


def python(code, folder):
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code], capture_output=True, text=True, check=False,
        cwd=folder,
    )  # fmt: skip


def synfab(folder, *arguments):
    return python(MAIN.format(arguments=arguments), folder)


CELLS = """
import numpy as np, synfab as sf
for history in ("float32", "compact"):
    cells = sf.CellArray("published", (4, 6), seed=1, history=history)
    cells.apply_voltage(-2.0).apply_voltage(1.2, where=np.eye(4, 6, dtype=bool))
    cells.set_conductance(5e-5, where=np.eye(4, 6, dtype=bool))
    cells.save("cells.npz")
    again = sf.CellArray.load("cells.npz")
    assert np.array_equal(cells.read(), again.read())
    assert np.array_equal(cells @ np.full(6, 0.2), again @ np.full(6, 0.2))
assert sf.CellArray("published", 4, seed=1, engine="array").read().shape == (4,)
sf.save_model(cells.model, "mine.json")
assert sf.load_model("mine.json") == cells.model
bar = sf.Crossbar(sf.CellArray("published", (4, 6), seed=1), 1.0)
assert bar.read(np.full(6, 0.2)).shape == (4,)
bar.solve(np.full(6, 0.2))
for name in ("circuit", "crossbar", "simulate", "compat", "cli.doctor", "cli.bench"):
    __import__(f"synfab.{name}")
assert sf.circuit.to_veriloga(cells.model)
assert not [name for name in %r if sys.modules.get(name)]
"""


def test_cells_files_crossbars_and_circuits_need_no_extra(tmp_path):
    done = python(CELLS % (tuple(PACKAGES),), tmp_path)
    assert done.returncode == 0, done.stderr


def test_commands_that_simulate_need_no_extra(tmp_path):
    (tmp_path / "pulses.csv").write_text("time,voltage\n0,-2\n1,1.5\n")
    for arguments in (
        ("--help",),
        ("info", "--json"),
        ("simulate", "--cells", "3", "--program", "pulses.csv", "-o", "out.csv"),
        ("export", "veriloga", "-o", "cell.va"),
        ("export", "osdi", "--source", "-o", "cell.c"),
        ("export", "netlist", "-o", "bar.cir"),
        ("doctor", "--json"),
    ):
        done = synfab(tmp_path, *arguments)
        assert not done.stderr or "doctor" in arguments, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == '"pulse","voltage","cell","cycle","current"'
    assert [line.split(",")[:4] for line in lines[1:]] == [
        *(["0", "-2.0", str(cell), "0"] for cell in range(3)),
        *(["1", "1.5", str(cell), "1"] for cell in range(3)),
    ]


NEEDS = [
    ("sf.learn", "learn"),
    ("sf.torch", "torch"),
    ("sf.jax", "jax"),
    ("sf.CellArray('published', 4, seed=1, engine='torch')", "torch"),
    ("sf.CellArray('published', 4, seed=1, engine='jax')", "jax"),
    ("sf.CellArray('published', 4, seed=1, engine='warp')", "gpu"),
    ("sf.simulate.simulate('-2', 4, 'out.zarr', seed=1)", "zarr"),
    ("sf.cluster.ShardedCellArray('published', 4, seed=1, client=None)", "cluster"),
    ("from synfab.figures.cells import new_figure; new_figure(1, 1, (4, 4))", "plot"),
    ("from synfab.explore.page import require_packages; require_packages()", "explore"),
]


@pytest.mark.parametrize(("code", "extra"), NEEDS, ids=[code for code, _ in NEEDS])
def test_what_needs_an_extra_names_it_in_one_line(tmp_path, code, extra):
    done = python(
        f"import synfab as sf\ntry:\n    {code}\nexcept sf.SynfabError as error:\n    print(error)",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f'need it: pip install "synfab[{extra}]"\n')
    assert not list(tmp_path.iterdir())


COMMANDS = [
    (("demo",), "plot"),
    (("fit", "cycling.csv", "-o", "mine.json"), "learn"),
    (("compare", "published", "cycling.csv"), "learn"),
    (("compare", "published", "cycling.csv", "--report", "page.html"), "learn"),
    (("explore", "--no-show"), "explore"),
    (("simulate", "--cells", "3", "--program", "p.parquet", "-o", "out.csv"), "learn"),
    (("simulate", "--cells", "3", "--program", "-2", "-o", "out.parquet"), "learn"),
    (("simulate", "--cells", "3", "--program", "-2", "-o", "out.zarr"), "zarr"),
]


@pytest.mark.parametrize(
    ("arguments", "extra"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS]
)
def test_commands_that_need_an_extra_name_it_in_one_line(tmp_path, arguments, extra):
    (tmp_path / "p.parquet").touch()
    done = synfab(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f'need it: pip install "synfab[{extra}]"\n')
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]
