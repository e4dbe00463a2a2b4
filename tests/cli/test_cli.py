"""The command line as a person and as a program use it."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from trap_models import model_with_traps

import synfab as sf


def synfab(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", "from synfab.cli.app import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
    )


@pytest.mark.parametrize("command", [[], ["demo"], ["info"], ["simulate"], ["bench"], ["explore"]])
def test_every_command_explains_itself(command):
    done = synfab(*command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_the_version_is_the_package_s():
    assert synfab("--version").stdout.strip() == f"synfab {sf.__version__}"


def test_info_tells_a_program_what_the_model_is():
    facts = json.loads(synfab("info", "--json").stdout)
    assert facts["orders"] == list(range(1, 11))
    assert facts["r_max"] == pytest.approx(0.8892, abs=1e-4)
    assert facts["bytes_per_cell"] == {"float32": 216, "compact": 16}
    assert "traps" not in facts


def test_info_shows_traps_and_their_memory(tmp_path):
    sf.save_model(model_with_traps(), tmp_path / "aging.json")
    facts = json.loads(synfab("info", tmp_path / "aging.json", "--json").stdout)
    assert facts["bytes_per_cell"] == {"float32": 236, "compact": 36}
    assert facts["traps"]["number"] == 28
    assert facts["traps"]["time_constants_s"] == pytest.approx([1e-5, 1e9])


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_simulate_writes_what_was_read(published, tmp_path, ending):
    output = tmp_path / f"reads.{ending}"
    done = synfab("simulate", "--cells", 50, "--program", "-2, 1.5 x3", "-o", output, "--seed", 9)
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(output) if ending == "parquet" else pd.read_csv(output)
    assert list(table) == ["pulse", "voltage", "cell", "cycle", "current"]
    cells = sf.CellArray(published, 50, seed=9)
    for pulse, u in enumerate([-2.0, 1.5, 1.5, 1.5]):
        cells.apply_voltage(u)
        rows = table[table["pulse"] == pulse]
        np.testing.assert_allclose(rows["current"], cells.read(), rtol=1e-6)
        np.testing.assert_array_equal(rows["cycle"], cells.cycle)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "none.json"], "none.json: cannot read"),
        (["simulate", "--cells", 5, "--program", "a", "-o", "x.csv"], "program: cannot be parsed"),
        (["simulate", "--cells", 0, "--program", "1", "-o", "x.csv"], "shape: expected"),
        (["simulate", "--cells", 5, "--program", "1", "-o", "x.txt"], "output: expected a name"),
        (["simulate", "--cells", 5, "--program", "1", "-o", "none/x.csv"], "path: cannot write"),
        (["simulate", "--cells", 5, "--program", "1", "-o", "x.csv", "--seed", "-1"], "seed"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, arguments, message):
    done = synfab(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"synfab: {message}")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_importing_is_light():
    code = "import sys, synfab; print(sorted({'numba', 'scipy', 'pandas', 'matplotlib', 'torch', "
    code += "'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_demo_draws_five_figures_and_writes_a_measurement(tmp_path):
    done = synfab("demo", "-o", tmp_path / "figures", "--json")
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert all(step["seconds"] > 0 for step in steps)
    figures = sorted(p.name for p in (tmp_path / "figures").iterdir())
    assert figures == [
        ".synfab-files.json",
        "autocorrelation.png",
        "cycling.csv",
        "devices.png",
        "distributions.png",
        "features.png",
        "iv-loops.png",
    ]
    pictures = list((tmp_path / "figures").glob("*.png"))
    assert all(picture.read_bytes()[:4] == b"\x89PNG" for picture in pictures)
    sweeps = sf.learn.read_sweeps(tmp_path / "figures" / "cycling.csv")
    assert len(sf.learn.extract_features(sweeps)) == 64 * 160


def test_the_demo_replaces_no_file_of_others(tmp_path):
    (tmp_path / "devices.png").write_bytes(b"my photograph")
    done = synfab("demo", "-o", tmp_path)
    assert done.returncode == 2
    assert "devices.png already exists" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"my photograph"]


def test_the_shell_completes_commands():
    typed = {"COMP_WORDS": "synfab ex", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['synfab']; from synfab.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=os.environ | typed | {"_SYNFAB_COMPLETE": "complete_bash"},
    )  # fmt: skip
    assert done.stdout.split() == ["explore", "export"]


def test_the_doctor_knows_every_extra():
    import tomllib
    from pathlib import Path

    from synfab.common.extras import PACKAGES

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extras = set(tomllib.loads(text)["project"]["optional-dependencies"])
    # The explorer needs what reports need.
    assert {extra for extra, _ in PACKAGES.values()} == extras - {"all", "docs", "explore", "test"}


def test_without_jax_one_line_says_what_to_install():
    code = "import sys; sys.modules['jax'] = None\nimport synfab\nsynfab.jax"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith('pip install "synfab[jax]"')
