"""What is imported when: nothing heavy before it is used."""

import subprocess
import sys
import typing

import pytest

import synfab as sf

HEAVY = (
    *("numba", "llvmlite", "scipy", "pandas", "pyarrow", "matplotlib", "sklearn", "h5py"),
    *("openpyxl", "bokeh", "tornado", "torch", "jax", "warp", "zarr", "distributed", "jinja2"),
)


def imported_after(code):
    """Heavy packages that a fresh interpreter has imported after running ``code``."""
    tail = (
        f"\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.split()


COMMAND = """
import sys
from synfab.cli.app import app
sys.argv = ["synfab", *{arguments}]
try:
    app()
except SystemExit as end:
    assert not end.code
"""


def test_importing_the_package_imports_not_even_numpy():
    assert imported_after("import sys, synfab; assert 'numpy' not in sys.modules") == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["info"], ["info", "--json"], ["fit", "--help"], ["export", "-h"]],
    ids=" ".join,
)
def test_commands_that_say_something_import_nothing_heavy(arguments):
    given = ["--help" if word == "-h" else word for word in arguments]
    assert imported_after(COMMAND.format(arguments=given)) == []


def test_names_import_only_what_they_need():
    code = "import synfab as sf; sf.CellArray; sf.load_model(); sf.adc(0.5, 0.0, 1.0, 4)"
    assert imported_after(code) == []


def test_every_public_name_is_there_and_is_listed():
    for name in sf.__all__:
        assert getattr(sf, name) is not None
        assert name in dir(sf)
    for name in ("Crossbar", "learn", "torch", "jax", "report", "circuit"):
        assert name in dir(sf)
    assert sf.crossbar.Crossbar is sf.Crossbar
    assert typing.get_type_hints(sf.load_model)["return"] is sf.CellModel


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'synfab' has no attribute 'Cellarray'"):
        _ = sf.Cellarray
