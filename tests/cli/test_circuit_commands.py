"""From nothing to waveforms: netlists of the command line run in ngspice as they are."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from synfab.circuit import run_ngspice
from synfab.circuit.provide import SCRIPTS, write_starter

PROGRAM = "-2, 1.2, 0.2"


def synfab(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", "from synfab.cli.app import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
    )


@pytest.fixture(scope="module")
def exported(ngspice, tmp_path_factory):
    folder = tmp_path_factory.mktemp("My decks")
    done = synfab(
        *("export", "netlist", "-o", "My bar.cir", "--rows", 3, "--columns", 2),
        *("--program", PROGRAM, "--seed", 7),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_an_exported_netlist_runs_as_it_is(exported, ngspice):
    assert {file.name for file in exported.iterdir()} >= {"My bar.cir", "My_bar.osdi"}
    done = subprocess.run(
        [ngspice, "-b", exported / "My bar.cir"],
        cwd=exported,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "error" not in (done.stdout + done.stderr).lower().replace("spinit", "")
    assert (exported / "My_bar.raw").is_file()


def test_run_writes_a_table_and_a_figure_and_says_where_ngspice_is(exported, ngspice):
    done = synfab("run", "My bar.cir", "-o", "w.parquet", "--plot", "w.png", cwd=exported)
    assert done.returncode == 0, done.stderr
    assert f"ngspice: {ngspice}" in done.stdout
    table = pd.read_parquet(exported / "w.parquet")
    (wave,) = run_ngspice(exported / "My bar.cir")
    assert list(table) == list(wave)
    np.testing.assert_array_equal(table["i(vr0)"], wave["i(vr0)"])
    assert (exported / "w.png").read_bytes().startswith(b"\x89PNG")


def test_every_analysis_has_a_table_of_its_own(ngspice, tmp_path):
    (tmp_path / "d.cir").write_text(
        "t\nV1 a 0 dc 1 ac 1\nR1 a b 1k\nC1 b 0 1n\n.op\n.ac dec 2 1 1e6\n.end\n"
    )
    done = synfab("run", "d.cir", "-o", "d.csv", "--plot", "d.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(tmp_path / "d-1.csv")["v(b)"][0] == pytest.approx(1.0)
    table = pd.read_csv(tmp_path / "d-2.csv")
    expected = 1.0 / (1.0 + 2j * np.pi * table["frequency"] * 1e-6)
    np.testing.assert_allclose(table["real(v(b))"] + 1j * table["imag(v(b))"], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.cir", "-o", "w.csv"], "cannot read"),
        (["bad.cir", "-o", "w.txt"], "--output: expected"),
        (["bad.cir", "-o", "bad.cir"], "--output"),
        (["bad.cir", "-o", "w.csv", "--plot", "w.cir"], "--plot: expected"),
        (["bad.cir", "-o", "w.csv"], '"vx" is not in the circuit'),
    ],
)
def test_a_failure_is_one_line_and_leaves_no_file(ngspice, tmp_path, arguments, message):
    (tmp_path / "bad.cir").write_text("t\nV1 a 0 1\nR1 a 0 1\n.op\n.dc vx 0 1 1\n")
    done = synfab("run", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["bad.cir"]


def test_a_provided_ngspice_loads_code_models(ngspice, tmp_path):
    root = ngspice.parent / "root"
    if not root.is_dir():
        pytest.skip("ngspice is not one that synfab provides")
    (tmp_path / "root").symlink_to(root)
    write_starter(tmp_path, tmp_path)
    assert (tmp_path / SCRIPTS / "spinit").is_file()
    text = "gain\nV1 a 0 0.5\nA1 a b amplifier\n.model amplifier gain(gain=4)\nR1 b 0 1k\n.op\n"
    (point,) = run_ngspice(text, ngspice=tmp_path / "ngspice")
    assert point["v(b)"][0] == pytest.approx(2.0)


def test_a_device_is_exported_for_either_version_of_the_interface(tmp_path):
    for version in ("0.3", "0.4"):
        command = ("export", "osdi", "-o", "cell.c", "--source", "--interface", version)
        assert synfab(*command, cwd=tmp_path).returncode == 0
        text = (tmp_path / "cell.c").read_text()
        assert f"OSDI_VERSION_MINOR = {version[2:]};" in text
    wrong = synfab("export", "osdi", "-o", "x.c", "--source", "--interface", "1", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "interface: expected one of 0.3, 0.4" in wrong.stderr


def test_netlists_of_simulators_without_cells_need_the_option(tmp_path):
    command = ("export", "netlist", "-o", "x.cir", "--rows", 2, "--columns", 2, "--dialect", "xyce")
    wrong = synfab(*command, cwd=tmp_path)
    assert wrong.returncode == 2
    assert "snapshot: expected True, dialect xyce has no other cells" in wrong.stderr
    assert list(tmp_path.iterdir()) == []
    assert synfab(*command, "--snapshot", cwd=tmp_path).returncode == 0
    assert (tmp_path / "x.cir").read_text().endswith(".end\n")


@pytest.mark.parametrize("option", ["--save-states", "--restore"])
def test_waveforms_do_not_replace_states(option, tmp_path):
    (tmp_path / "a.cir").write_text("t\nV1 a 0 1\n.op\n")
    (tmp_path / "s.csv").write_text("states")
    done = synfab("run", "a.cir", "-o", "s.csv", option, "s.csv", cwd=tmp_path)
    assert "--output: s.csv would overwrite the states s.csv" in done.stderr
    assert (tmp_path / "s.csv").read_text() == "states"
