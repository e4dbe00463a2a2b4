"""What type checkers and editors know of the public API: a user's script, and every public name."""

import ast
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import synfab as sf

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "fixtures" / "user_script.py"
# Of an array of NumPy, the shape and the type of the elements are not known before it is made.
ARRAY = re.compile(r"(?:numpy\.)?ndarray\[tuple\[Any, \.\.\.\], (?:numpy\.)?dtype\[[^\]]*\]{1,2}\]")


def assigned(script):
    return [
        node.targets[0].id
        for node in ast.parse(script).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]


def public_names():
    yield from (f"sf.{name}" for name in (*sf.__all__, "Crossbar"))
    for package in sf.SUBPACKAGES:
        module = importlib.import_module(f"synfab.{package}")
        yield from (f"sf.{package}.{name}" for name in module.__all__)


def revealed_by_mypy(path):
    settings = path.with_name("mypy.ini")
    settings.write_text("[mypy]\nstrict = true\nfollow_imports = silent\n")
    command = [
        *(sys.executable, "-m", "mypy", "--config-file", settings, path),
        *("--cache-dir", ROOT / ".cache" / "mypy-user", "--no-error-summary"),
    ]
    done = subprocess.run(
        command, env=os.environ | {"MYPYPATH": str(ROOT / "src")}, cwd=path.parent,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r'Revealed type is "(.*)"', done.stdout)


def revealed_by_pyright(path):
    settings = {
        "include": [path.name], "extraPaths": [str(ROOT / "src")], "typeCheckingMode": "standard",
    }  # fmt: skip
    path.with_name("pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "-p", ".", "--pythonpath", sys.executable,
         "--outputjson"],
        cwd=path.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    wrong = [one["message"] for one in found if one["severity"] == "error"]
    assert wrong == []
    return [re.search(r' is "(.*)"$', one["message"], re.DOTALL)[1] for one in found]


CHECKERS = {"mypy": revealed_by_mypy, "basedpyright": revealed_by_pyright}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_no_value_of_a_script_is_of_unknown_type(checker, tmp_path):
    for package in ("torch", "jax", "zarr", "xarray", "dask", checker):
        pytest.importorskip(package)
    script = SCRIPT.read_text()
    names = [*assigned(script), *public_names()]
    path = tmp_path / "script.py"
    path.write_text(script + "".join(f"reveal_type({name})\n" for name in names))
    revealed = CHECKERS[checker](path)
    assert len(revealed) == len(names) > 150
    types = dict(zip(names, revealed, strict=True))
    known = {name: ARRAY.sub("array", found) for name, found in types.items()}
    known.pop("sf.CellArray")  # its overload for a library that is chosen at run time
    unknown = {
        name: found
        for name, found in known.items()
        # Of a function or a class, only the result: some arguments take any object.
        if re.search(r"(?:^|-> |\[)(?:Any|Unknown)[\])]*$", found)
        or (re.search(r"\b(?:Any|Unknown)\b", found) and not name.startswith("sf."))
    }
    assert unknown == {}
    # The library of the arrays is part of the type of the cells.
    assert ARRAY.search(types["currents"])
    assert types["tensor"].endswith("Tensor")
    assert types["own_model"].endswith("CellModel")
    assert types["table"].endswith("DataFrame")


def test_the_script_is_as_long_as_one_that_users_write():
    assert 50 <= len(SCRIPT.read_text().splitlines()) <= 80
    assert len(assigned(SCRIPT.read_text())) > 40
