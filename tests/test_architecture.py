"""The layout of the package, read from its imports, and the names that tests use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import synfab

ROOT = Path(synfab.__file__).parent

# A subpackage imports only from itself and from those before it.
ORDER = (
    *("common", "io", "random", "model", "physics", "engines", "cells", "network", "pulses"),
    *("programming", "crossbar", "learn", "circuit", "simulate", "cluster", "torch", "jax"),
    *("figures", "report", "explore", "compat", "cli"),
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def type_checking_only(tree: ast.AST) -> set[int]:
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }


def imports(path: Path, *, while_loading: bool) -> set[str]:
    """Modules of the package that a file imports; ``while_loading``: not those in functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = type_checking_only(tree)
    found = set()
    for node in tree.body if while_loading else ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names if a.name.split(".")[0] == "synfab")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "synfab":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else str(node.module))
    return found


def subpackage(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_the_root_holds_subpackages_and_three_files():
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py", "compat.py"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders | {"compat"} == set(ORDER)


@pytest.mark.parametrize("module", [m for m in FILES if subpackage(m) in ORDER])
def test_a_subpackage_imports_only_those_before_it(module):
    place = ORDER.index(subpackage(module))
    upwards = {
        other
        for other in imports(FILES[module], while_loading=False)
        if subpackage(other) in ORDER and ORDER.index(subpackage(other)) > place
    }
    assert not upwards


def test_no_circle_of_files():
    edges = {module: imports(path, while_loading=False) for module, path in FILES.items()}
    # A subpackage's __init__ imports its modules; that is no circle.
    edges = {m: {o for o in others if not m.startswith(f"{o}.")} for m, others in edges.items()}
    state: dict[str, int] = {}
    circles = []

    def visit(module: str, way: tuple[str, ...]) -> None:
        if state.get(module) == 2:
            return
        if state.get(module) == 1:
            circles.append((*way[way.index(module) :], module))
            return
        state[module] = 1
        for other in sorted(edges.get(module, ())):
            visit(other, (*way, module))
        state[module] = 2

    for module in FILES:
        visit(module, ())
    assert circles == []


# Members of named tuples are public, in spite of their names; the others are of other libraries.
NOT_OURS = {
    *("_replace", "_asdict", "_fields", "_exit", "_handle", "_cache", "_tornado"),
    *("_disable_dynamo", "_reversed_padding_repeated_twice", "_load_from_state_dict"),
    # Of PyTorch, which has no public names for these.
    *("_C", "_functorch", "_current_graph_task_id", "_parameters", "_output_padding"),
    *("_forward_pre_hooks", "_is_full_backward_hook", "_qkv_same_embed_dim"),
}


def names_defined(tree: ast.AST) -> set[str]:
    """Functions, and attributes that are assigned, in a file."""
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    stores = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute | ast.Name))
    return found | {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in stores
        if isinstance(node.ctx, ast.Store)
    }


@pytest.mark.parametrize("module", FILES)
def test_private_members_are_used_only_in_the_file_that_defines_them(module):
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    used = {
        f"{ast.unparse(node)}, line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and ast.unparse(node.value) not in ("self", "cls")
        and node.attr not in NOT_OURS | names_defined(tree)
    }
    assert used == set()


# ---- private names ------------------------------------------------------------------------------

TESTS = Path(__file__).parent
# Names with an underscore that Python or IPython document, or that belong to another library.
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_exit", "_repr_html_", "_repr_png_"}
OF_OTHERS: dict[str, str] = {}
# Folders: written by earlier versions, and tests that look into the shards of an array.
LEFT_OUT = ("fixtures", "cluster")


def is_private(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and not dunder and name not in PUBLIC and name not in OF_OTHERS


def private_names(tree: ast.AST) -> set[str]:
    """Private attributes, imports and names to patch that a test uses, except its own."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("synfab"):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            found.update(part for text in texts for part in str(text).split("."))
    return set(filter(is_private, found))


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(TESTS.rglob("*.py")) if not set(LEFT_OUT) & set(p.parts)],
    ids=lambda path: str(path.relative_to(TESTS)),
)
def test_a_test_uses_public_names_only(path):
    assert private_names(ast.parse(path.read_text(encoding="utf-8"))) == set()
