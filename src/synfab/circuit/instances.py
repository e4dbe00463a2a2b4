"""Cells of a deck by their names in ngspice, also those in subcircuits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synfab.circuit.deck import Deck
from synfab.common.errors import InvalidValueError

DEEPEST = 100  # levels of subcircuits; a subcircuit that contains itself has more


@dataclass
class _Scope:
    """Elements of the circuit or of a subcircuit."""

    cells: list[tuple[str, str]] = field(default_factory=list)  # name and model
    parts: list[tuple[str, str]] = field(default_factory=list)  # name and subcircuit
    models: dict[str, str] = field(default_factory=dict)  # type of each model


def cells_of(deck: Deck, devices: Sequence[Path]) -> dict[str, bool]:
    """Return the names of the cells in a deck, and whether each has traps.

    Cells are ``N`` elements whose model has a device of this package in one of the files
    ``devices``; those in included files are not found.
    """
    scopes = _scopes(deck)
    types = {name: kind for scope in scopes.values() for name, kind in scope.models.items()}
    libraries = [path.read_bytes() for path in devices]
    traps = {name: _has_traps(kind, libraries) for name, kind in types.items()}
    return {
        name: found
        for name, model in _expanded("", "", scopes, 0)
        if (found := traps.get(model)) is not None
    }


def models_of(deck: Deck, devices: Sequence[Path]) -> list[str]:
    """Return the names of the models of cells in the main circuit of a deck."""
    libraries = [path.read_bytes() for path in devices]
    models = _scopes(deck)[""].models
    return [name for name, kind in models.items() if _has_traps(kind, libraries) is not None]


def _has_traps(kind: str, libraries: Sequence[bytes]) -> bool | None:
    """Return whether a device has traps; None: no library has such a device of this package."""
    for library in libraries:
        if b"\0" + kind.encode() + b"\0" in library and b"steepness0\0" in library:
            return b"occupied0\0" in library
    return None


def _scopes(deck: Deck) -> Mapping[str, _Scope]:
    scopes: defaultdict[str, _Scope] = defaultdict(_Scope)
    inside = [""]
    for line in deck.circuit[1:]:
        words = line.replace("\n+", " ").lower().split()
        if not words:
            continue
        scope, plain = scopes[inside[-1]], _plain(words)
        if words[0] == ".subckt" and len(words) > 1:
            inside.append(words[1])
        elif words[0] == ".ends" and len(inside) > 1:
            inside.pop()
        elif words[0] == ".model" and len(words) > 2:
            scope.models[words[1]] = words[2].split("(")[0]
        elif words[0].startswith("n") and len(plain) > 3:
            scope.cells.append((words[0], plain[-1]))
        elif words[0].startswith("x") and len(plain) > 1:
            scope.parts.append((words[0], plain[-1]))
    return scopes


def _plain(words: Sequence[str]) -> Sequence[str]:
    """Return the words before the first parameter."""
    for k, word in enumerate(words):
        if "=" in word:
            return words[: k if word[0] != "=" else k - 1]
    return words


def _expanded(
    kind: str, path: str, scopes: Mapping[str, _Scope], depth: int
) -> Iterator[tuple[str, str]]:
    """Yield name and model of each cell of a subcircuit that is instantiated at ``path``."""
    if depth > DEEPEST:
        raise InvalidValueError(f"netlist: subcircuits are nested more than {DEEPEST} deep")
    scope = scopes[kind]
    for name, model in scope.cells:
        yield (f"n{path}.{name}" if path else name), model
    for name, inner in scope.parts:
        if inner in scopes:
            yield from _expanded(inner, f"{path}.{name}", scopes, depth + 1)
