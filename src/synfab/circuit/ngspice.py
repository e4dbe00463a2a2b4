"""Running ngspice: find one that loads compiled devices, run it, say clearly what went wrong."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any

from synfab.circuit.osdi import build_osdi
from synfab.circuit.waveforms import Waveforms, read_raw
from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError, SolverError, ToolError
from synfab.common.interrupts import pass_on
from synfab.io.files import make_folder, refuse_overwrite, temporary_folder
from synfab.io.limits import read_large
from synfab.io.own_files import own_files
from synfab.io.progress import ProgressBar

logger = logging.getLogger(__name__)

VARIABLE = "SYNFAB_NGSPICE"
MENDING = "`synfab doctor` says how to get one"
# What ngspice says when it fails, and what that means; the first that fits is reported.
FAILURES = (
    (r"timestep too small.*", SolverError, "the transient did not converge"),
    (r".*singular matrix.*", SolverError, "the circuit has no single solution (floating node?)"),
    (r".*iteration limit reached.*", SolverError, "an operating point did not converge"),
    (r".*no such (function|parameter).*", ToolError, "the netlist is wrong"),
    (
        r".*parameter .* is out of bounds.*",
        InvalidValueError,
        "netlist (seed, cell, cycle0: whole, from 0; phase0: 0, 1 or 2; r0: up to that of HRS)",
    ),
    (r".*(definition of model|find model|unknown model type).*", ToolError, "a model is missing"),
    (r".*(error opening osdi|only supports osdi).*", ToolError, "the compiled device"),
    (r".*unknown parameter.*", ToolError, "the netlist is wrong"),
    (r".*(can't open|could not find include|no such file).*", ToolError, "a file is missing"),
    (r"\s*error.*", ToolError, "ngspice"),
)
ANALYSIS = re.compile(r"^[ \t]*\.((op|dc|ac|tran|noise)\b.*)$", re.IGNORECASE | re.MULTILINE)
END = re.compile(r"^[ \t]*\.end[ \t]*$", re.IGNORECASE | re.MULTILINE)
EXPONENTS = {"": "", "m": "e-3", "u": "e-6", "n": "e-9", "p": "e-12", "f": "e-15"}
FILES = ("deck.cir", "out.raw", ".spiceinit")  # that a run writes, besides links to devices
HARMLESS = re.compile(r"spinit|checkvalid|^\s*$", re.IGNORECASE)


def find_ngspice() -> Path:
    """Path of an ngspice that loads OSDI devices: ``$SYNFAB_NGSPICE``, the cache, or the system's.

    Each candidate is tried with a compiled device: a version number does not tell.

    Raises
    ------
    ToolError
        None of them does; the message says what was found.
    """
    found = []
    for candidate in candidates():
        if loads_osdi(str(candidate)):
            return candidate
        found.append(str(candidate))
    if found:
        raise ToolError(
            f"ngspice: {', '.join(found)} cannot load compiled devices (OSDI); {MENDING}"
        )
    raise ToolError(f"ngspice is not installed; {MENDING}")


def candidates() -> list[Path]:
    """Programs that may be an ngspice, most preferred first."""
    given = os.environ.get(VARIABLE)
    if given:
        if not Path(given).is_file():
            raise InvalidValueError(f"{VARIABLE}: there is no file {given}")
        return [Path(given)]
    places = [cache_folder() / "ngspice" / "ngspice"]
    system = shutil.which("ngspice")
    if system is not None:
        places.append(Path(system))
    return [place for place in places if place.is_file()]


def cache_folder() -> Path:
    """Folder of downloaded tools: ``$SYNFAB_CACHE``, or synfab's in the user's cache folder."""
    given = os.environ.get("SYNFAB_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("synfab", appauthor=False)


@cache
def loads_osdi(program: str) -> bool:
    """Whether this ngspice can load a compiled device: built and tried once per process."""
    with temporary_folder("synfab") as folder:
        build_osdi("published", folder / "device0.osdi", order=1, name="probe")
        deck = "probe\nn1 a 0 probe1\nv1 a 0 0.2\n.model probe1 probe seed=1\n.op\n"
        try:
            bar = ProgressBar("ngspice", show=False)
            _execute(program, deck, folder, ["device0.osdi"], [], 60.0, bar)
            return bool(read_raw(folder / "out.raw"))
        except (ToolError, SolverError, InvalidValueError):
            return False


def run_ngspice(
    netlist: str | os.PathLike[str],
    *,
    osdi: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    time_limit: float = 600.0,
    progress: bool = False,
    ngspice: str | os.PathLike[str] | None = None,
    commands: Sequence[str] = (),
    keep: str | os.PathLike[str] | None = None,
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
                _execute(program, text, folder, loaded, commands, time_limit, bar, origin)
            return read_raw(folder / "out.raw")


def check_run(time_limit: object, progress: object, ngspice: Any, keep: object) -> float:
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


def _devices(osdi: Any) -> list[Path]:
    """Return the compiled devices, which exist."""
    one = isinstance(osdi, (str, os.PathLike))
    if not one and (not isinstance(osdi, Sequence) or isinstance(osdi, bytes)):
        raise InvalidTypeError(
            f"osdi: expected a path or a list of paths, found {checks.kind_of(osdi)}"
        )
    # Resolved: it may be the link of an earlier run.
    paths = [checks.path("osdi", path).resolve() for path in ([osdi] if one else osdi)]
    for path in paths:
        if not path.is_file():
            raise InvalidValueError(f"osdi: there is no file {path}")
    return paths


def _check_commands(commands: Any) -> None:
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


def read_netlist(netlist: str | os.PathLike[str]) -> tuple[str, Path]:
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


def _check_keep(folder: Path, netlist: str | os.PathLike[str], devices: Sequence[object]) -> None:
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


def _execute(
    program: str,
    text: str,
    folder: Path,
    devices: Sequence[str],
    commands: Sequence[str],
    time_limit: float,
    bar: ProgressBar,
    origin: Path | None = None,
) -> None:
    control = [".control", "set filetype=binary", "set appendwrite"]
    for command, kind in ANALYSIS.findall(text):
        control += [command, "write out.raw"]
        if kind.lower() == "noise":  # its densities are in the plot before the integrals
            control += ["setplot previous", "write out.raw"]
    control += [*commands, "quit 0", ".endc", ".end"]
    circuit = ANALYSIS.sub("", text).rstrip("\n")
    (folder / "deck.cir").write_text(circuit + "\n" + "\n".join(control) + "\n", "utf-8")
    # Two threads meet at every iteration; beside a busy core they wait a hundred times longer than
    # they work, and for devices as light as these the second brings nothing.
    start = ["set num_threads=1", *(f"osdi {device}" for device in devices)]
    if origin is not None:
        start.append(f"set sourcepath = ( . {origin} )")
    (folder / ".spiceinit").write_text("\n".join(start) + "\n", "utf-8")
    (folder / "out.raw").unlink(missing_ok=True)
    environment = os.environ | {"SPICE_SCRIPTS": str(folder)}
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            [program, "-b", "deck.cir"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        pass_on(error)
        raise ToolError(f"ngspice: cannot start {program}: {error.strerror}") from None
    expired = threading.Event()
    timer = threading.Timer(time_limit, _stop, (process, expired))
    timer.start()
    try:
        said = _listen(process, bar)
    except BaseException:
        _kill(process)
        raise
    finally:
        timer.cancel()
        process.communicate()
    logger.info("ngspice took %.1f s", time.monotonic() - started)
    if expired.is_set():
        raise ToolError(f"ngspice did not end within {time_limit:g} s (time_limit) and was stopped")
    _check(said, folder / "out.raw", process.returncode)


def _stop(process: subprocess.Popen[bytes], expired: threading.Event) -> None:
    expired.set()
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    # The whole group: a wrapper script may have started the simulator itself.
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _listen(process: subprocess.Popen[bytes], bar: ProgressBar) -> list[str]:
    """Collect what ngspice says, and pass the simulated time on."""
    assert process.stdout is not None
    said: list[str] = []
    rest = b""
    while chunk := process.stdout.read1(65536):  # type: ignore[attr-defined]
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        for raw in lines:
            line = raw.decode(errors="replace").strip()
            if line.startswith("Reference value"):
                with suppress(ValueError):
                    bar.update(completed=float(line.rsplit(maxsplit=1)[-1]))
            elif line:
                said.append(line)
    said.append(rest.decode(errors="replace").strip())
    return said


def _check(said: list[str], raw: Path, status: int) -> None:
    """Turn the words of a failed run into an error; a run that succeeded has written results."""
    lines = [line for line in said if not HARMLESS.search(line)]
    for pattern, kind, meaning in FAILURES:
        for place, line in enumerate(lines):
            if re.fullmatch(pattern, line, re.IGNORECASE):
                # "Error on line 2:" is followed by the line and the reason.
                told = " ".join(lines[place : place + (3 if line.endswith(":") else 1)])
                raise kind(f"{meaning}: {told[:300]}")
    tail = " | ".join(lines[-3:])[:300] or f"exit status {status}"
    if status < 0:
        name = signal.Signals(-status).name
        hint = "; some versions crash on an unknown instance parameter" if name == "SIGSEGV" else ""
        raise ToolError(f"ngspice was killed by {name}{hint}; it said: {tail}")
    if status != 0 or not raw.is_file():
        raise ToolError(f"ngspice gave no result: {tail}")


def _seconds(text: str) -> float | None:
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
    return None if match is None else _seconds(match[1])
