"""Former names of modules: what was documented in version 0.1 can still be imported."""

import importlib
import subprocess
import sys

import pytest

from synfab.common.moved import MOVED


@pytest.mark.parametrize("former", sorted(MOVED))
def test_a_former_name_imports_the_same_module_with_a_warning(former, monkeypatch):
    monkeypatch.delitem(sys.modules, former, raising=False)
    present = importlib.import_module(MOVED[former])
    with pytest.warns(DeprecationWarning, match=f"{former} is now {MOVED[former]};") as caught:
        module = importlib.import_module(former)
    assert module is present
    assert module.__name__ == module.__spec__.name == MOVED[former]
    assert caught[0].filename == importlib.__file__  # the importing line, not this package


def test_names_of_a_former_module_are_the_very_same_objects():
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from synfab.errors import SynfabError; import synfab.rules, synfab as sf\n"
        "import synfab.physics.rules as rules\n"
        "assert SynfabError is sf.SynfabError and synfab.rules is rules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_never_existed_is_still_an_import_error():
    with pytest.raises(ModuleNotFoundError, match=r"synfab\.never"):
        importlib.import_module("synfab.never")
