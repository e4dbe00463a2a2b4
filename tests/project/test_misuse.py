"""Wrong arguments of every public callable end in one clear line, never in a raw error."""

from __future__ import annotations

import importlib
import pkgutil

import misuse
import pytest
from misuse.harness import RECIPES, failures, inside, public_callables

for recipes in pkgutil.iter_modules(misuse.__path__, "misuse."):
    importlib.import_module(recipes.name)

NAMES = sorted(set(public_callables()))


def test_every_public_callable_is_tried():
    tried = RECIPES.made.keys() | RECIPES.exempt.keys()
    assert set(NAMES) - tried == set()
    assert tried - set(NAMES) == set()


@pytest.mark.parametrize("name", [n for n in NAMES if n in RECIPES.made])
def test_a_wrong_argument_is_one_clear_line(name, tmp_path):
    with inside(tmp_path):
        found = failures(name, tmp_path)
    assert not found, f"{len(found)} raw errors\n" + "\n".join(found)
