"""Decks of ngspice: their analyses, control sections and compiled devices, and a deck to run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from synfab.circuit.state_checks import NAME
from synfab.common.errors import InvalidValueError

ANALYSES = ("op", "dc", "ac", "tran", "noise", "sens", "tf", "pz", "disto", "sp")
# Commands of a control section that need a person, a display, or run other programs.
DISPLAY = ("plot", "iplot", "gnuplot", "hardcopy", "asciiplot")
REFUSED = ("shell", "!", "edit", "source", "bg_run", "resume", "step", "stop", "remcirc", "pss")
RESULTS = "out.raw"
MARKER = "synfab: no result of"  # printed where an analysis made no plot
# Settings of the files of results, and those of the deck again.
WRITING = (
    *("unset synfab_type", "if $?filetype", "set synfab_type=$filetype", "end"),
    *("unset synfab_append", "if $?appendwrite", "set synfab_append", "end"),
    *("set filetype=binary", "set appendwrite"),
)
WRITTEN = (
    *("unset filetype", "if $?synfab_type", "set filetype=$synfab_type", "end"),
    *("unset appendwrite", "if $?synfab_append", "set appendwrite", "end"),
)
AUTOMATIC = 1000  # devices whose current and state are saved without a .save line


@dataclass(frozen=True)
class Deck:
    """A netlist split into its circuit and what is run.

    Attributes
    ----------
    circuit
        Title and circuit lines, without analyses and control sections.
    commands
        Commands of a control section in their order; analyses are marked by ``is_analysis``.
    devices
        Compiled devices that the deck loads, as written.
    """

    circuit: list[str]
    commands: list[str]
    devices: list[str]

    @property
    def analyses(self) -> list[str]:
        """Analyses in the order in which they are written."""
        return [command for command in self.commands if is_analysis(command)]


def is_analysis(command: str) -> bool:
    """Return whether a command adds plots."""
    return _word(command) in (*ANALYSES, "run")


def read_deck(text: str) -> Deck:
    """Return the parts of a deck.

    Raises
    ------
    InvalidValueError
        It has no analysis, or a control section with commands that cannot be run unattended.
    """
    title, *lines = text.split("\n")
    circuit, dotted, section = _split(lines)
    for command in dotted:
        _refuse(command)
    commands, devices = list[str](), list[str]()
    if section is None:
        expressions, commands = _with_expressions(dotted)
        circuit += expressions
    else:
        for line in section:
            _control_line(line, commands, devices)
        if any(_word(command) == "run" for command in commands):
            circuit += [f".{command}" for command in dotted]
            if not dotted:
                raise InvalidValueError("netlist: the command run needs an analysis (.tran, .op)")
    deck = Deck([title, *circuit], commands, devices)
    if not deck.analyses:
        where = "" if section is None else ", or run, in its .control section"
        raise InvalidValueError(
            f"netlist: expected an analysis (.op, .dc, .ac, .tran, .noise …){where}"
        )
    return deck


def _split(lines: Sequence[str]) -> tuple[list[str], list[str], list[str] | None]:
    """Return circuit lines, analyses without their dot, and control lines (None: no section)."""
    circuit, dotted = list[str](), list[str]()
    section: list[str] | None = None
    inside = False
    for line in _logical(lines):
        word = _word(line)
        if word == ".end":
            break
        if word == ".control":
            inside, section = True, section or []
        elif word == ".endc":
            inside = False
        elif inside and section is not None:
            section.append(line)
        elif word.startswith(".") and word[1:] in (*ANALYSES, "pss"):
            dotted.append(_joined(line)[1:])
        else:
            circuit.append(_spaced(line) if word == ".model" else line)
    if inside:
        raise InvalidValueError("netlist: expected .endc after .control")
    return circuit, dotted, section


def _spaced(model: str) -> str:
    """Return a ``.model`` line in which ngspice does not lose the parameter that follows ``(``.

    It does lose it, if it has no spaces around it and the device is a compiled one.
    """
    return re.sub(r"(\.model\s+\S+\s+[^\s(]+)\(", r"\1 (", model, count=1, flags=re.IGNORECASE)


def _joined(line: str) -> str:
    """Return a line with its continuations as one."""
    return " ".join(line.split("\n+")).strip()


def _logical(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines with their continuations (``+``); comments between them are dropped."""
    held: list[str] = []
    comments: list[str] = []
    for line in lines:
        start = line.lstrip()
        if held and start.startswith("+"):
            held[-1] += "\n" + start
            comments.clear()
        elif start.startswith("*") or not start:
            comments.append(line)
        else:
            yield from (*held, *comments)
            held, comments = [line], []
    yield from (*held, *comments)


def _word(line: str) -> str:
    parts = line.split(maxsplit=1)
    return parts[0].lower() if parts else ""


def _control_line(line: str, control: list[str], devices: list[str]) -> None:
    command = _joined(line)
    word = _word(command)
    if word in ("pre_osdi", "osdi"):
        devices += command.split()[1:]
    elif word not in DISPLAY:
        _refuse(command)
        control.append(command)


def _refuse(command: str) -> None:
    word = _word(command)
    if word in REFUSED or word.startswith("!"):
        raise InvalidValueError(f"netlist: the command {word} cannot be run unattended")


def _with_expressions(dotted: list[str]) -> tuple[list[str], list[str]]:
    """Return ``.csparam`` lines and commands for analyses whose arguments may be expressions.

    Commands cannot contain expressions in braces; they take vectors, which ``.csparam`` defines.
    """
    lines = list[str]()

    def defined(found: re.Match[str]) -> str:
        name = f"synfab_{len(lines)}"
        expression = found[1] if found[1] is not None else found[2]
        lines.append(f".csparam {name}={{{expression}}}")
        return f"$&{name}"

    commands = [re.sub(r"\{([^{}]*)\}|'([^']*)'", defined, command) for command in dotted]
    return lines, commands


# ---- the deck that is run -----------------------------------------------------------------------


def runnable(deck: Deck, commands: Sequence[str], saved: Sequence[str]) -> str:
    """Return a deck that writes the plots of its analyses, and only these, to ``RESULTS``."""
    lines = [*deck.circuit]
    while lines[-1:] == [""]:
        lines.pop()
    lines += [".control", "set numdgt=15"]
    if saved:
        lines.append(f"save all {' '.join(saved)}")
    for command in deck.commands:
        lines += _captured(command) if is_analysis(command) else [command]
    lines += [*(WRITING if commands else ()), *commands, "quit 0", ".endc", ".end"]
    return "\n".join(lines) + "\n"


def _captured(command: str) -> Iterator[str]:
    """Yield an analysis and commands that write the plots that it made, the newest first.

    They lie above an empty plot, which is the newest before the analysis, whichever is current. An
    analysis that made none ends the run, as the results of an earlier one must not be taken for
    its own. The settings with which the deck writes files of its own stay as they are.
    """
    yield "set synfab_current=$curplot"
    yield "setplot new"
    yield "set synfab_before=$curplot"
    yield "setplot $synfab_current"
    yield command
    yield "set synfab_after=$curplot"
    yield "strcmp synfab_same $synfab_current $curplot"
    yield "if $synfab_same = 0"
    yield f"echo {MARKER} {command.replace('$', '')}"
    yield "quit 1"
    yield "end"
    yield from WRITING
    yield "strcmp synfab_same $synfab_before $curplot"
    yield "while $synfab_same <> 0"
    yield f"write {RESULTS}"
    yield "setplot previous"
    yield "strcmp synfab_same $synfab_before $curplot"
    yield "end"
    yield from WRITTEN
    yield "setplot $synfab_after"
    yield "destroy $synfab_before"


def automatic_vectors(deck: Deck) -> list[str]:
    """Return currents and states of compiled devices to save, if the deck does not save vectors.

    Devices in subcircuits or conditions, those with unusual names, and those of more than
    ``AUTOMATIC`` devices, are left to ``.save``.
    """
    depth, names, saves = 0, list[str](), False
    for line in deck.circuit[1:]:
        word = _word(line)
        depth += {".subckt": 1, ".ends": -1, ".if": 1, ".endif": -1}.get(word, 0)
        saves |= word in (".save", ".probe")
        if depth == 0 and NAME.fullmatch(word):
            names.append(word)
    saves |= any(_word(command) == "save" for command in deck.commands)
    if saves or len(names) > AUTOMATIC:
        return []
    return [f"@{name}[i] @{name}[r]" for name in names]


def resolve_devices(deck: Deck, origin: Path) -> list[Path]:
    """Return the paths of compiled devices of a deck in the folder ``origin``."""
    paths = [origin / device.strip("\"'") for device in deck.devices]
    for path in paths:
        if not path.is_file():
            raise InvalidValueError(f"netlist: there is no compiled device {path}")
    return paths
