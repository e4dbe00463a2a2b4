"""Run netlists in ngspice and read their waveforms."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from synfab.circuit.deck import (
    RESULTS,
    Deck,
    automatic_vectors,
    read_deck,
    resolve_devices,
    runnable,
)
from synfab.circuit.instances import Instances, instances_of
from synfab.circuit.ngspice_process import execute
from synfab.circuit.ngspice_search import find_ngspice
from synfab.circuit.states import CellStates, commands_that_write, read_states
from synfab.circuit.waveforms import Waveforms, read_raw
from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.types import PathLike
from synfab.io.files import make_folder, refuse_overwrite, temporary_folder
from synfab.io.limits import read_large
from synfab.io.own_files import own_files
from synfab.io.progress import ProgressBar

EXPONENTS = {"": "", "m": "e-3", "u": "e-6", "n": "e-9", "p": "e-12", "f": "e-15"}
STATE_FILE = "state.raw"
FILES = ("deck.cir", RESULTS, ".spiceinit")  # written by a run, besides device links


def run_ngspice(
    netlist: PathLike,
    *,
    osdi: PathLike | Sequence[PathLike] = (),
    time_limit: float = 600.0,
    progress: bool = False,
    ngspice: PathLike | None = None,
    commands: Sequence[str] = (),
    keep: PathLike | None = None,
    restore: CellStates | PathLike | None = None,
    save_states: PathLike | None = None,
) -> list[Waveforms]:
    """Run the analyses of a netlist and return their waveforms.

    Parameters
    ----------
    netlist
        Text of a netlist (with line breaks), or its path. Analyses (``.op``, ``.dc``, ``.ac``,
        ``.tran``, ``.noise``, ``.sens``, ``.tf``, ``.pz``, ``.disto``, ``.sp``) run in the order
        written, or as a ``.control`` section says. ``.save`` limits the vectors that are returned;
        without it they include ``@n1[i]`` (A) and ``@n1[r]`` of each compiled device ``N1`` that
        is not in a subcircuit.
    osdi
        Compiled device, or a list of them, to load, besides those of ``pre_osdi`` lines.
    time_limit
        Time after which the simulator is stopped, s.
    progress
        Show a progress bar of the simulated time: on standard error, or in a notebook.
    ngspice
        Path of the program; None searches for it, see ``find_ngspice``.
    commands
        ngspice commands to run after the analyses.
    keep
        Folder for the files of the run; None uses a temporary one. Files of an earlier run are
        overwritten; a ``.spiceinit`` or ``deck.cir`` of other origin raises an error.
    restore
        State in which cells start, or the path of a file with it, see ``CellStates``. It replaces
        the parameters of the cells in the netlist.
    save_states
        File to write with the state of all cells after the run. Cells in included files are left
        out.

    Returns
    -------
    list of Waveforms
        One per analysis, in the order in which they ran; two for ``.noise`` (integrated noise,
        then spectral densities) and ``.disto`` (third, then second harmonic).

    Raises
    ------
    SolverError
        The simulator did not converge, or the circuit has no unique solution.
    ToolError
        An analysis failed, or the simulator, a model or a file is missing, or the simulator was
        killed or timed out.
    InvalidValueError
        An argument, or a parameter in the netlist, is not allowed.
    """
    deck, origin = read_netlist(netlist)
    time_limit = check_run(time_limit, progress, ngspice, keep)
    devices = [*_devices(osdi), *resolve_devices(deck, origin)]
    _check_commands(commands)
    if restore is not None:
        deck = dataclasses.replace(deck, commands=[*_restoring(restore), *deck.commands])
    after, cells = list(commands), dict[str, bool]()
    if save_states is not None:
        refuse_overwrite("save_states", checks.path("save_states", save_states), netlist=netlist,
                         osdi=devices)  # fmt: skip
        found = _instances(deck, devices)
        cells = found.cells
        after += [f"altermod {name} dc_switching = 0" for name in found.models]
        after += commands_that_write(STATE_FILE, cells)
    text = runnable(deck, after, automatic_vectors(deck) if devices else ())
    program = str(find_ngspice()) if ngspice is None else os.fspath(ngspice)
    with temporary_folder("synfab") as temporary:
        folder = temporary if keep is None else checks.path("keep", keep)
        _check_keep(folder, netlist, devices)
        make_folder(folder, "keep")
        names = [*FILES, *map(_device, range(len(devices)))]
        names += [] if save_states is None else [STATE_FILE]
        with nullcontext() if keep is None else own_files(folder, names, "keep"):
            loaded = [_place(device, folder, i) for i, device in enumerate(devices)]
            if save_states is not None:
                (folder / STATE_FILE).unlink(missing_ok=True)
            end = transient_end(deck.analyses)
            with ProgressBar("ngspice", end, show=progress and end is not None, vanish=True) as bar:

                def show(now: float) -> None:
                    bar.update(completed=now)

                execute(program, text, folder, loaded, time_limit, show, origin)
            if save_states is not None:
                read_states(folder / STATE_FILE, cells).save(save_states)
            return read_raw(folder / RESULTS)


def check_run(
    time_limit: object, progress: object, ngspice: PathLike | None, keep: object
) -> float:
    """Return the time limit (s) after checking all arguments of a run."""
    seconds = checks.number("time_limit", time_limit, above=0.0, maximum=threading.TIMEOUT_MAX)
    checks.flag("progress", progress)
    if ngspice is not None:
        checks.path("ngspice", ngspice)
        # Passed unchanged: ./ngspice differs from the ngspice found on PATH.
        program = os.fspath(ngspice)
        if shutil.which(program) is None:
            raise InvalidValueError(f"ngspice: there is no program {program}")
    if keep is not None:
        checks.path("keep", keep)
    return seconds


def _devices(osdi: object) -> list[Path]:
    """Return the paths of the compiled devices after checking that they exist."""
    given = [osdi] if isinstance(osdi, (str, os.PathLike)) else osdi
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise InvalidTypeError(
            f"osdi: expected a path or a list of paths, found {checks.kind_of(osdi)}"
        )
    # Resolved, as it may be a link created by an earlier run.
    paths = [checks.path("osdi", path).resolve() for path in given]
    for path in paths:
        if not path.is_file():
            raise InvalidValueError(f"osdi: there is no file {path}")
    return paths


def _restoring(restore: CellStates | PathLike) -> list[str]:
    """Return the commands that put cells into the state that ``restore`` is or its file holds."""
    if isinstance(restore, CellStates):
        return list(restore.commands())
    return list(CellStates.load(checks.path("restore", restore)).commands())


def _instances(deck: Deck, devices: Sequence[Path]) -> Instances:
    found = instances_of(deck, devices)
    if not found.cells:
        raise InvalidValueError("save_states: there are no cells in the netlist")
    return found


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


def read_netlist(netlist: PathLike) -> tuple[Deck, Path]:
    """Return a netlist and the folder to which its paths are relative."""
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
            reason = getattr(error, "strerror", None) or error
            raise InvalidValueError(f"netlist: cannot read {path}: {reason}") from None
        origin = path.absolute().parent
    return read_deck(text), origin


def _check_keep(folder: Path, netlist: PathLike, devices: Sequence[object]) -> None:
    """Raise if files of the run would overwrite its inputs."""
    links = [_device(i) for i in range(len(devices))]
    # Only the links of an earlier run are removed, not their targets.
    for name in (*FILES, *(name for name in links if not (folder / name).is_symlink())):
        refuse_overwrite("keep", folder / name, netlist=netlist, osdi=list(devices))


def _device(index: int) -> str:
    return f"device{index}.osdi"


def _place(source: Path, folder: Path, index: int) -> str:
    """Link a device into the run's folder, as ngspice lowercases and splits other paths."""
    name = _device(index)
    (folder / name).unlink(missing_ok=True)
    try:
        (folder / name).symlink_to(source)
    except OSError as error:  # on Windows, links require a privilege
        pass_on(error)
        shutil.copyfile(source, folder / name)
    return name


def seconds(text: str) -> float | None:
    """Return a SPICE time such as 200n or 0.2us in s; None for an expression."""
    found = re.fullmatch(r"([-+.\d]+(?:e[-+]?\d+)?)([fpnum]?)s?", text, re.IGNORECASE)
    if found is None:
        return None
    try:
        return float(found[1] + EXPONENTS[found[2].lower()])
    except ValueError:
        return None


def transient_end(analyses: Sequence[str]) -> float | None:
    """Return the end time (s) of the first transient; None if absent or an expression."""
    for analysis in analyses:
        words = analysis.split()
        if words[0].lower() == "tran" and len(words) > 2:
            return seconds(words[2])
    return None
