"""Run ngspice as a process, and raise errors from its output when it fails."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from synfab.circuit.deck import MARKER, RESULTS
from synfab.circuit.instances import has_traps
from synfab.common.errors import InvalidValueError, SolverError, ToolError
from synfab.common.interrupts import pass_on

logger = logging.getLogger(__name__)

BOUNDS = (
    "seed, cell, cycle0: whole, from 0; phase0: 0, 1 or 2; r0: up to that of HRS; occupied0, "
    "initial0: bits of the traps; m: above 0; dtemp: above 0 K in total; cpar: from 0"
)
# Failure messages of ngspice and their meaning; the first match is reported.
FAILURES = (
    (
        r"(doanalyses: *)?(tran: *)?timestep too small.*",
        SolverError,
        "the transient did not converge",
    ),
    (r".*singular matrix.*", SolverError, "the circuit has no single solution (floating node?)"),
    (r".*iteration limit reached.*", SolverError, "an operating point did not converge"),
    (r".*no such (function|parameter).*", ToolError, "the netlist is wrong"),
    (
        r".*parameter .* is out of bounds.*",
        InvalidValueError,
        f"netlist ({BOUNDS})",
    ),
    (r".*(definition of model|find model|unknown model type).*", ToolError, "a model is missing"),
    (r".*(error opening osdi|only supports osdi).*", ToolError, "the compiled device"),
    (r".*unknown parameter.*", ToolError, "the netlist is wrong"),
    (r".*(can't open|could not find include|no such file).*", ToolError, "a file is missing"),
    (r"\s*(fatal )?error.*", ToolError, "ngspice"),
)
ABORTED = re.compile(r".*simulation\(s\) aborted.*", re.IGNORECASE)
IGNORED = re.compile(r"unrecognized parameter \((\S+)\) - ignored")
HARMLESS = re.compile(
    r"spinit|checkvalid|fatal error in ngspice, exit|\.cm\b|^\s*$|^note:", re.IGNORECASE
)


def execute(
    program: str,
    text: str,
    folder: Path,
    devices: Sequence[str],
    time_limit: float,
    show: Callable[[float], None] | None,
    origin: Path | None = None,
) -> None:
    """Run ngspice in ``folder``; results are written to ``out.raw`` there.

    Parameters
    ----------
    program, text
        Simulator, and the deck to run, see ``deck.runnable``.
    folder, devices
        Folder of the run, and the compiled devices that it contains.
    time_limit
        Time after which the simulator is stopped, s.
    show
        Called with the simulated time, s.
    origin
        Folder to which paths in the netlist are relative.

    Raises
    ------
    SolverError, ToolError, InvalidValueError
        The simulator failed (see ``FAILURES``) or timed out.
    """
    (folder / "deck.cir").write_text(text, "utf-8")
    # Threads synchronise in every iteration: on a busy machine they wait 100 times longer than they
    # compute, and for such inexpensive devices a second thread gives no speed-up.
    start = ["set num_threads=1", *(f"osdi {device}" for device in devices)]
    if origin is not None:
        start.append(f"set sourcepath = ( . {origin} )")
    (folder / ".spiceinit").write_text("\n".join(start) + "\n", "utf-8")
    (folder / RESULTS).unlink(missing_ok=True)
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            [program, "-b", "deck.cir"],
            cwd=folder,
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
        said = _listen(process, show)
    except BaseException:
        _kill(process)
        raise
    finally:
        timer.cancel()
        process.communicate()
    logger.info("ngspice took %.1f s", time.monotonic() - started)
    if expired.is_set():
        raise ToolError(f"ngspice did not end within {time_limit:g} s (time_limit) and was stopped")
    _check(said, folder / RESULTS, process.returncode)
    _check_models(said, [folder / device for device in devices])


def _stop(process: subprocess.Popen[bytes], expired: threading.Event) -> None:
    expired.set()
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    # Kill the process group: ngspice may be a child of a wrapper script.
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _listen(process: subprocess.Popen[bytes], show: Callable[[float], None] | None) -> list[str]:
    """Return the output of ngspice; report the simulated time to ``show`` as it runs."""
    assert process.stdout is not None
    said: list[str] = []
    rest = b""
    while chunk := process.stdout.read1(65536):  # type: ignore[attr-defined]
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        for raw in lines:
            line = raw.decode(errors="replace").strip()
            if line.startswith("Reference value"):
                if show is not None:
                    show(float(line.rsplit(maxsplit=1)[-1]))
            elif line:
                said.append(line)
    said.append(rest.decode(errors="replace").strip())
    return said


def _check(said: list[str], raw: Path, status: int) -> None:
    """Raise an error from the output of a failed run; a successful run has written results."""
    lines = [line for line in said if not HARMLESS.search(line)]
    for pattern, kind, meaning in FAILURES:
        for place, line in enumerate(lines):
            if re.fullmatch(pattern, line, re.IGNORECASE):
                # "Error on line 2:" is followed by the line and the reason.
                message = " ".join(lines[place : place + (3 if line.endswith(":") else 1)])
                raise kind(f"{meaning}: {message[:300]}")
    _check_analyses(lines)
    tail = " | ".join(lines[-3:])[:300] or f"exit status {status}"
    if status < 0:
        name = signal.Signals(-status).name
        raise ToolError(f"ngspice was killed by {name}; it said: {tail}")
    if status != 0 or not raw.is_file():
        raise ToolError(f"ngspice gave no result: {tail}")


def _check_models(said: list[str], devices: Sequence[Path]) -> None:
    """Raise if ngspice has ignored a parameter of a model of cells, of which it only warns."""
    libraries: list[bytes] | None = None
    name = kind = ""
    for line in said:
        words = line.split()
        ignored = IGNORED.match(line)
        if words[:1] == [".model"] and len(words) > 2:
            name, kind = words[1], words[2].split("(")[0]
        elif ignored:
            if libraries is None:
                libraries = [path.read_bytes() for path in devices]
            if has_traps(kind, libraries) is not None:
                raise InvalidValueError(f"netlist: .model {name} has no parameter {ignored[1]}")


def _check_analyses(lines: list[str]) -> None:
    """Raise an error if an analysis failed for a reason that is not in ``FAILURES``."""
    empty = [line for line in lines if line.startswith(MARKER)]
    aborted = [place for place, line in enumerate(lines) if ABORTED.match(line)]
    if not (empty or aborted):
        return
    what = empty[0].removeprefix(MARKER).strip() if empty else lines[aborted[0]].split()[0]
    end = aborted[0] if aborted else 0
    reason = " | ".join(lines[max(end - 2, 0) : end]) or "ngspice gives no reason"
    raise ToolError(f"the analysis {what!r} failed: {reason[:300]}")
