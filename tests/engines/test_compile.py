"""Kernels compile wherever Numba can keep nothing, and say so once."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numba.core.caching import FunctionCache
from numba.core.errors import TypingError

import synfab
from synfab.engines.numba.intrinsics import pointer
from synfab.engines.numba.reading import row_normals

SOURCES = Path(synfab.__file__).parent
# Every module with kernels is imported, a small one is compiled.
CODE = """
import synfab, synfab.engines.compact.kernels, synfab.engines.numba.engine
import synfab.network.kernels, synfab.learn.loops
from synfab.engines.numba.reading import row_normals
print(row_normals(7, 0, 3, 5, 2).tobytes().hex())
"""
LIMITED = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n" + CODE


@pytest.fixture
def unwritable(tmp_path):
    """Environment in which Numba finds no folder for its cache, not even as root."""
    file = tmp_path / "file"
    file.write_text("not a folder")
    package = tmp_path / "site" / "synfab"
    shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").write_text("not a folder")
    below = str(file / "folder")
    return {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "HOME": below,
        "XDG_CACHE_HOME": below,
        "NUMBA_CACHE_DIR": below,
    }


def run(code, environment):
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def check(done):
    assert done.stdout.strip() == row_normals(7, 0, 3, 5, 2).tobytes().hex()
    assert done.stderr.count("RuntimeWarning") == 1, done.stderr
    assert done.stderr.count("NUMBA_CACHE_DIR") == 1


def test_without_a_folder_for_the_cache_kernels_compile_and_one_warning_says_so(unwritable):
    check(run(CODE, unwritable))


def test_when_compiled_kernels_cannot_be_saved_they_serve_and_one_warning_says_so(tmp_path):
    pytest.importorskip("resource")
    cache = tmp_path / "cache"
    check(run(LIMITED, {**os.environ, "NUMBA_CACHE_DIR": str(cache)}))
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_damaged_cache_is_written_again(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run(CODE, environment)
    (index,) = tmp_path.rglob("*row_normals*.nbi")
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2])
    done = run(CODE, environment)
    assert done.stderr == ""
    assert index.stat().st_size == len(whole)


@pytest.mark.slow
def test_compiled_kernels_are_kept_and_found_again(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = CODE + "from synfab.engines.numba.readout_kernels import row_normals as kernel\n"
    code += "print(sum(kernel.stats.cache_hits.values()), kernel.targetoptions)\n"
    first, second = (run(code, environment).stdout.splitlines()[1] for _ in range(2))
    assert first.startswith("0 ")
    assert second == "1" + first[1:]


def test_one_warning_names_the_reason_and_what_to_do(monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    # A module of its own, as in a process that has not warned yet.
    spec = importlib.util.find_spec("synfab.engines.numba.compile")
    compiling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiling)
    monkeypatch.setattr(FunctionCache, "save_overload", full_disk)
    cache = compiling.OptionalCache(run)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache.save_overload(None, None)
        cache.save_overload(None, None)
    (warning,) = caught
    assert issubclass(warning.category, RuntimeWarning)
    assert re.search("No space left.*NUMBA_CACHE_DIR", str(warning.message))


@pytest.mark.slow
def test_a_change_in_a_function_that_kernels_call_compiles_them_again(tmp_path):
    copy = tmp_path / "synfab"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path)}
    code = CODE + "from synfab.engines.numba.readout_kernels import row_normals as kernel\n"
    code += "print(sum(kernel.stats.cache_hits.values()))\n"

    def change(source):
        source.write_text(source.read_text() + "# a comment\n")

    def hits():
        return int(run(code, environment).stdout.splitlines()[1])

    assert hits() == 0
    change(copy / "engines" / "numba" / "engine.py")  # no kernel uses it
    assert hits() == 1
    change(copy / "engines" / "numba" / "scalar.py")  # row_normals calls philox
    assert hits() == 0


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 3), np.float32, order="F"), np.zeros(4, np.float32)[::2], np.zeros(2, np.bool_)],
)
def test_kernels_take_no_pointer_to_an_array_with_strides_or_of_booleans(array):
    @njit
    def first(a):
        return pointer(a)[0]

    with pytest.raises(TypingError, match="expected a C-contiguous array of numbers"):
        first(array)


def test_one_line_is_logged_before_kernels_are_compiled_and_none_if_they_are_cached(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = f"import logging; logging.basicConfig(level=logging.INFO)\n{CODE}"
    for lines in (1, 0):
        assert run(code, environment).stderr.count("compiling kernels, which takes") == lines
