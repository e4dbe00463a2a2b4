"""Cells of a deck by their names in ngspice, also those in subcircuits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synfab.circuit.deck import Deck
from synfab.circuit.state_checks import NAME
from synfab.common import checks
from synfab.common.errors import InvalidValueError

DEEPEST = 100  # levels of subcircuits; a subcircuit that contains itself has more
COMMENT = re.compile(r";|//|(?:^|[\s,])\$.*", re.DOTALL)


@dataclass(frozen=True)
class _Element:
    """An element, its model or subcircuit, and why it is uncertain, if it is."""

    name: str
    kind: str
    doubt: str


@dataclass
class _Scope:
    """Elements of the circuit or of a subcircuit."""

    cells: list[_Element] = field(default_factory=list)
    parts: list[_Element] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)  # type of each model


@dataclass(frozen=True)
class Instances:
    """Cells of a deck.

    Attributes
    ----------
    cells
        Whether the cell of each name has traps.
    models
        Names of the models of these cells.
    """

    cells: dict[str, bool]
    models: list[str]


def instances_of(deck: Deck, devices: Sequence[Path]) -> Instances:
    """Return the cells of a deck, and their models, by their names in ngspice.

    Cells are ``N`` elements whose model has a device of this package in one of the files
    ``devices``; those in included files are not found.

    Raises
    ------
    InvalidValueError
        A cell has a name that is no word for ngspice, or may be missing: it is in a conditional
        part, or in a subcircuit that is defined within another.
    """
    scopes = _scopes(deck)
    libraries = [path.read_bytes() for path in devices]
    traps = {
        kind: has_traps(kind, libraries)
        for scope in scopes.values()
        for kind in scope.models.values()
    }
    cells, models = dict[str, bool](), dict[str, None]()
    for name, model, kind, doubt in _expanded("", "", scopes, ""):
        if (found := traps.get(kind)) is None:
            continue
        if doubt:
            raise InvalidValueError(
                f"netlist: the state of {name} cannot be saved, because it is in {doubt} and may "
                f"be missing or have another name"
            )
        if NAME.fullmatch(name) is None:
            raise InvalidValueError(
                f"netlist: expected cells with names of letters, digits and _.#:@, whose state "
                f"can be saved; found {checks.shown(name)}"
            )
        cells[name] = found
        models[model] = None
    return Instances(cells, list(models))


def has_traps(kind: str, libraries: Sequence[bytes]) -> bool | None:
    """Return whether a device has traps; None: no library has such a device of this package."""
    for library in libraries:
        if b"\0" + kind.encode() + b"\0" in library and b"steepness0\0" in library:
            return b"occupied0\0" in library
    return None


def _scopes(deck: Deck) -> Mapping[str, _Scope]:
    scopes: defaultdict[str, _Scope] = defaultdict(_Scope)
    inside = [""]
    conditions = 0
    for line in deck.circuit[1:]:
        words = _words(line)
        if not words:
            continue
        scope, plain = scopes[inside[-1]], _plain(words)
        if words[0] == ".subckt" and len(words) > 1:
            inside.append(words[1])
        elif words[0] == ".ends" and len(inside) > 1:
            inside.pop()
        elif words[0] in (".if", ".endif"):
            conditions += 1 if words[0] == ".if" else -1
        elif words[0] == ".model" and len(words) > 2:
            scope.models[words[1]] = words[2].split("(")[0]
        elif words[0].startswith(("n", "x")) and len(plain) > 1:
            doubt = f"a subcircuit that is defined in {inside[-2]}" if len(inside) > 2 else ""
            doubt = ".if" if conditions > 0 else doubt
            elements = scope.cells if words[0][0] == "n" else scope.parts
            elements.append(_Element(words[0], plain[-1], doubt))
    return scopes


def _words(line: str) -> list[str]:
    """Return the words of an element or a command in lower case, without comments."""
    lines = (COMMENT.split(part, maxsplit=1)[0] for part in line.split("\n"))
    return " ".join(part.removeprefix("+") for part in lines).lower().split()


def _plain(words: Sequence[str]) -> Sequence[str]:
    """Return the words before the first parameter."""
    for k, word in enumerate(words):
        if word == "params:":
            return words[:k]
        if "=" in word:
            return words[: k if word[0] != "=" else k - 1]
    return words


def _expanded(
    kind: str, path: str, scopes: Mapping[str, _Scope], doubt: str
) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, model, device and doubt of each cell of a subcircuit instantiated at ``path``."""
    if path.count(".") > DEEPEST:
        raise InvalidValueError(f"netlist: subcircuits are nested more than {DEEPEST} deep")
    scope = scopes[kind]
    for cell in scope.cells:
        local = cell.kind in scope.models
        device = (scope if local else scopes[""]).models.get(cell.kind, "")
        model = f"{path[1:]}:{cell.kind}" if path and local else cell.kind
        name = f"n{path}.{cell.name}" if path else cell.name
        yield name, model, device, doubt or cell.doubt
    for part in scope.parts:
        if part.kind in scopes:
            inner = f"{path}.{part.name}"
            yield from _expanded(part.kind, inner, scopes, doubt or part.doubt)
