"""Names of temporary files that identify their process, so that leftovers can be removed.

A temporary file or folder of ``model.json`` is called ``.model.json.`` and 32 hexadecimal digits:
the machine (8), the process (8), when it was started (8), a running number (4), and a check (4) of
all that, which excludes files of the user. The temporary files of a killed process are removed by
the next writer of the same file.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from synfab.common.interrupts import pass_on

TOKEN = re.compile(r"\.(.+)\.([0-9a-f]{32})", re.DOTALL)
MAX_NAME = 32  # characters of the file name that the temporary name repeats
# A process on another machine cannot be checked. It is considered dead if its file has not changed
# for this long.
FOREIGN_SECONDS = 7 * 24 * 3600.0

LINUX = sys.platform == "linux"

_numbers = itertools.count()


class Writer(NamedTuple):
    """Process that writes a temporary file."""

    host: int
    process: int
    started: int


def temporary_name(name: str) -> str:
    """Return a unique temporary name for a file that will be renamed to ``name``."""
    start = name[:MAX_NAME]
    host, process, started = this_writer(os.getpid())
    body = f"{host:08x}{process:08x}{started:08x}{next(_numbers) & 0xFFFF:04x}"
    return f".{start}.{body}{_check(start, body)}"


def is_temporary(name: str) -> bool:
    """Return True if a name was created by ``temporary_name``."""
    return _parse(name) is not None


def remove_stale(folder: Path, name: str) -> None:
    """Remove temporary files and folders of ``name`` whose processes have ended.

    Files that cannot be removed are left; files of running processes are not touched.
    """
    start = f".{name[:MAX_NAME]}."
    for entry in _entries(folder):
        if entry.startswith(start) and is_stale(folder / entry):
            remove(folder / entry)


def is_stale(path: Path) -> bool:
    """Return True if a path is temporary and its process has ended."""
    writer = _parse(path.name)
    if writer is None:
        return False
    if writer.host != _host():
        return _age(path) > FOREIGN_SECONDS
    return not _is_alive(writer)


def remove(path: Path) -> None:
    """Remove a file or a folder; do nothing if that is not possible."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:  # another process removed it, or no permission
        pass_on(error)
        return


def _entries(folder: Path) -> Iterator[str]:
    try:
        yield from sorted(path.name for path in folder.iterdir())
    except OSError as error:  # a writable folder need not be readable
        pass_on(error)
        return


def _parse(name: str) -> Writer | None:
    match = TOKEN.fullmatch(name)
    if match is None or _check(match[1], match[2][:28]) != match[2][28:]:
        return None
    return Writer(*(int(match[2][k : k + 8], 16) for k in (0, 8, 16)))


def _check(start: str, body: str) -> str:
    data = f"{start}\0{body}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(data).hexdigest()[:4]


def _age(path: Path) -> float:
    """Return the seconds since the last change of a file, or of anything in a folder."""
    try:
        inside = path.rglob("*") if path.is_dir() else ()
        newest = max((part.lstat().st_mtime for part in inside), default=0.0)
        return time.time() - max(newest, path.lstat().st_mtime)
    except OSError as error:  # it is being changed
        pass_on(error)
        return 0.0


@cache
def _host() -> int:
    """Return a number for this machine and its process name space (container)."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError as error:
        pass_on(error)
        space = ""
    return int(hashlib.sha256(f"{platform.node()}\0{space}".encode()).hexdigest()[:8], 16)


@cache
def this_writer(process: int) -> Writer:
    """Return this process, whose number is ``process``, which differs in forked children."""
    return Writer(_host(), process & 0xFFFFFFFF, start_time(process) or 0)


def _is_alive(writer: Writer) -> bool:
    import psutil

    if not psutil.pid_exists(writer.process):
        return False
    try:
        started = start_time(writer.process)
    except (OSError, psutil.Error) as error:  # a process of another user
        pass_on(error)
        return True
    return started is not None and started == writer.started


def start_time(process: int) -> int | None:
    """Return the start time of a process, unaffected by clock changes; None if it has ended."""
    if LINUX:
        # Clock ticks since boot. The time of psutil changes when the clock is set.
        text = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19]) & 0xFFFFFFFF
    import psutil

    return int(psutil.Process(process).create_time()) & 0xFFFFFFFF
