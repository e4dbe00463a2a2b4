"""Run netlists in ngspice and read their waveforms."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from synfab.circuit.ngspice_process import ANALYSIS, execute
from synfab.circuit.ngspice_search import find_ngspice
from synfab.circuit.waveforms import Waveforms, read_raw
from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import PathLike
from synfab.io.files import make_folder, refuse_overwrite, temporary_folder
from synfab.io.limits import read_large
from synfab.io.own_files import own_files
from synfab.io.progress import ProgressBar

END = re.compile(r"^[ \t]*\.end[ \t]*$", re.IGNORECASE | re.MULTILINE)
EXPONENTS = {"": "", "m": "e-3", "u": "e-6", "n": "e-9", "p": "e-12", "f": "e-15"}
FILES = ("deck.cir", "out.raw", ".spiceinit")  # that a run writes, besides links to devices


def run_ngspice(
    netlist: PathLike,
    *,
    osdi: PathLike | Sequence[PathLike] = (),
    time_limit: float = 600.0,
    progress: bool = False,
    ngspice: PathLike | None = None,
    commands: Sequence[str] = (),
    keep: PathLike | None = None,
) -> list[Waveforms]:
    """Run the analyses of a netlist and return their waveforms.

    Parameters
    ----------
    netlist
        Text of a netlist (with line breaks), or the path of one. Its analyses (``.op``, ``.dc``,
        ``.ac``, ``.tran``) are run in the order written; ``.save`` limits what comes back.
    osdi
        Compiled device or devices to load.
    time_limit
        Seconds after which the simulator is stopped.
    progress
        Show a progress bar of the simulated time on standard error.
    ngspice
        The program; None searches, see ``find_ngspice``.
    commands
        Commands of ngspice to run after the analyses.
    keep
        Folder to keep the files of the run in; None uses a temporary one. Files of an earlier run
        there are replaced, files of others (a ``.spiceinit``, ``deck.cir``) are refused.

    Returns
    -------
    list of Waveforms
        One for each analysis.

    Raises
    ------
    SolverError
        The simulator did not converge, or the circuit has no single solution.
    ToolError
        There is no such simulator, a model or file is missing, it was killed or took too long.
    InvalidValueError
        An argument, or a parameter in the netlist, is not allowed.
    """
    text, origin = read_netlist(netlist)
    time_limit = check_run(time_limit, progress, ngspice, keep)
    devices = _devices(osdi)
    _check_commands(commands)
    program = str(find_ngspice()) if ngspice is None else os.fspath(ngspice)
    with temporary_folder("synfab") as temporary:
        folder = temporary if keep is None else checks.path("keep", keep)
        _check_keep(folder, netlist, devices)
        make_folder(folder, "keep")
        names = ["deck.cir", ".spiceinit", "out.raw", *map(_device, range(len(devices)))]
        with nullcontext() if keep is None else own_files(folder, names, "keep"):
            loaded = [_place(device, folder, i) for i, device in enumerate(devices)]
            end = transient_end(text)
            with ProgressBar("ngspice", end, show=progress and end is not None, vanish=True) as bar:

                def show(now: float) -> None:
                    bar.update(completed=now)

                execute(program, text, folder, loaded, commands, time_limit, show, origin)
            return read_raw(folder / "out.raw")


def check_run(
    time_limit: object, progress: object, ngspice: PathLike | None, keep: object
) -> float:
    """Check the arguments of a run before any work begins; return the time limit, s."""
    seconds = checks.number("time_limit", time_limit, above=0.0, maximum=threading.TIMEOUT_MAX)
    checks.flag("progress", progress)
    if ngspice is not None:
        checks.path("ngspice", ngspice)
        # As it was given: ./ngspice is not the ngspice of the search path.
        program = os.fspath(ngspice)
        if shutil.which(program) is None:
            raise InvalidValueError(f"ngspice: there is no program {program}")
    if keep is not None:
        checks.path("keep", keep)
    return seconds


def _devices(osdi: object) -> list[Path]:
    """Return the compiled devices, which exist."""
    given = [osdi] if isinstance(osdi, (str, os.PathLike)) else osdi
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise InvalidTypeError(
            f"osdi: expected a path or a list of paths, found {checks.kind_of(osdi)}"
        )
    # Resolved: it may be the link of an earlier run.
    paths = [checks.path("osdi", path).resolve() for path in given]
    for path in paths:
        if not path.is_file():
            raise InvalidValueError(f"osdi: there is no file {path}")
    return paths


def _check_commands(commands: object) -> None:
    if isinstance(commands, (str, bytes)) or not isinstance(commands, Sequence):
        raise InvalidTypeError(
            f"commands: expected a list of texts, found {checks.kind_of(commands)}"
        )
    for command in commands:
        _check_writable("commands", checks.text("commands", command))


def _check_writable(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(f"{name}: has characters that UTF-8 cannot hold") from None


def read_netlist(netlist: PathLike) -> tuple[str, Path]:
    """Text of a netlist and the folder that its relative paths mean, with what is refused said."""
    origin = Path.cwd()
    if isinstance(netlist, str) and "\n" in netlist:
        text = netlist
        _check_writable("netlist", text)
    else:
        path = checks.path("netlist", netlist)
        try:
            text = read_large(path, 4).decode()
        except (OSError, ValueError) as error:
            pass_on(error)
            raise InvalidValueError(f"netlist: cannot read {path}: {error}") from None
        origin = path.absolute().parent
    if re.search(r"^\s*\.control", text, re.IGNORECASE | re.MULTILINE):
        raise InvalidValueError(
            "netlist: expected analyses as lines (.op, .tran …), found a .control section; give "
            "further commands in `commands`"
        )
    if not ANALYSIS.search(text):
        raise InvalidValueError("netlist: expected an analysis (.op, .dc, .ac, .tran or .noise)")
    return END.sub("", text), origin


def _check_keep(folder: Path, netlist: PathLike, devices: Sequence[object]) -> None:
    """Refuse a folder where the files of the run would replace what it reads."""
    links = [_device(i) for i in range(len(devices))]
    # Links of an earlier run are removed without what they lead to.
    for name in (*FILES, *(name for name in links if not (folder / name).is_symlink())):
        refuse_overwrite("keep", folder / name, netlist=netlist, osdi=list(devices))


def _device(index: int) -> str:
    return f"device{index}.osdi"


def _place(source: Path, folder: Path, index: int) -> str:
    """Put a device into the folder of the run: ngspice lowers and splits other paths."""
    name = _device(index)
    (folder / name).unlink(missing_ok=True)
    try:
        (folder / name).symlink_to(source)
    except OSError as error:  # Windows asks for a privilege
        pass_on(error)
        shutil.copyfile(source, folder / name)
    return name


def seconds(text: str) -> float | None:
    """Read a time as SPICE does, 200n or 0.2us; None for an expression."""
    found = re.fullmatch(r"([-+.\d]+(?:e[-+]?\d+)?)([fpnum]?)s?", text, re.IGNORECASE)
    if found is None:
        return None
    try:
        return float(found[1] + EXPONENTS[found[2].lower()])
    except ValueError:
        return None


def transient_end(text: str) -> float | None:
    """End time (s) of the first transient of a netlist; None: there is none, or an expression."""
    match = re.search(r"^\s*\.tran\s+\S+\s+(\S+)", text, re.IGNORECASE | re.MULTILINE)
    return None if match is None else seconds(match[1])
