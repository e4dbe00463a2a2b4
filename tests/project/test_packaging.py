"""The wheel and the source distribution: what is in them, and that the wheel works by itself."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import synfab as sf

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("hatchling")
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    # Not in an environment of its own, for which packages would be downloaded.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.suffix: path for path in folder.iterdir()}


def sources():
    """Files of the package and of its command in the repository, caches left out."""
    folder = ROOT / "src"
    return {
        str(p.relative_to(folder))
        for p in (folder / "synfab_command.py", *(folder / "synfab").rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    }


def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[".whl"]).namelist()
    package = {name for name in names if ".dist-info/" not in name}
    assert package == sources()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_package_index_accepts_and_renders_both(built):
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *built.values()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_source_distribution_can_be_built_and_tested(built):
    with tarfile.open(built[".gz"]) as archive:
        names = archive.getnames()
    inside = {name.split("/", 1)[1] for name in names if "/" in name}
    assert {f"src/{name}" for name in sources()} <= inside
    for needed in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "tests/conftest.py",
        "tools/blocks.py",
    ):
        assert needed in inside
    assert not any(
        "__pycache__" in name or name.startswith(".") for name in inside - {".gitignore"}
    )


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Return a function that runs a program of an environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    done = subprocess.run(
        [sys.executable, "-m", "venv", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this Python cannot make virtual environments with pip")
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, built[".whl"]], check=True)

    def run(program, *arguments):
        # The dependencies of this environment, without this package's own link to the repository.
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        return subprocess.run(
            [folder / "bin" / program, *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )

    code = "import synfab; print(synfab.__file__)"
    first = run("python", "-c", code).stdout
    assert first.startswith(str(folder)) or "site-packages" in first
    return run


def test_an_installed_wheel_runs(installed, tmp_path):
    assert installed("synfab", "--version").stdout.strip() == f"synfab {sf.__version__}"
    done = installed("synfab", "info", "--json")
    assert done.returncode == 0, done.stderr
    done = installed("synfab", "export", "veriloga", "-o", str(tmp_path / "cell.va"))
    assert done.returncode == 0, done.stderr
    assert "module" in (tmp_path / "cell.va").read_text()
    done = installed("synfab", "export", "xschem", "-o", str(tmp_path / "schematics"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "schematics" / "synfab_1t1r.sym").is_file()


def test_an_installed_wheel_brings_the_templates_of_its_pages(installed):
    code = (
        "from importlib.resources import files\n"
        "for name in ('report.html.j2', 'report.css', 'report.js'):\n"
        "    assert (files('synfab.report') / 'templates' / name).is_file(), name\n"
        "for name in ('explorer.html.j2', 'explorer.css', 'explorer.js', 'figures.js'):\n"
        "    assert (files('synfab.explore') / 'templates' / name).is_file(), name\n"
    )
    done = installed("python", "-c", code)
    assert done.returncode == 0, done.stderr


def test_metadata_name_the_extras(built):
    with zipfile.ZipFile(built[".whl"]) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith("/METADATA"))
        text = wheel.read(name).decode()
    extras = ("learn", "plot", "report", "explore", "zarr", "cluster", "torch", "jax", "gpu", "all")
    for extra in (*extras, "xarray"):
        assert f"Provides-Extra: {extra}" in text
    for label in ("Documentation", "Source", "Issues", "Changelog"):
        assert f"Project-URL: {label}, https://" in text
