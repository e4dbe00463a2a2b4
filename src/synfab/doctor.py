"""What this machine has and lacks, and the command that mends it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from synfab import extras
from synfab.errors import SynfabError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    found: str
    mend: str = ""  # command, where something is missing
    needed_for: str = "everything"


def examine() -> list[Finding]:
    """Look at Python, the compiler, the simulator and the optional packages."""
    return [_python(), _numbers(), _compiler(), _ngspice(), *map(_extra, extras.PACKAGES)]


def _python() -> Finding:
    version = platform.python_version()
    return Finding("Python", sys.version_info >= (3, 11), f"{version} at {sys.executable}")


def _numbers() -> Finding:
    from synfab.modelfile import load_model

    try:
        model = load_model()
    except SynfabError as error:
        return Finding("published model", False, str(error), "pip install 'synaptogen>=0.2,<0.3'")
    return Finding("published model", True, f"fingerprint {model.fingerprint[:12]}")


def _compiler() -> Finding:
    from synfab.circuit.osdi import find_compiler

    purpose = "compiled devices (synfab export osdi)"
    try:
        return Finding("C compiler", True, " ".join(find_compiler()), needed_for=purpose)
    except SynfabError as error:
        return Finding("C compiler", False, str(error), _install("gcc libc6-dev"), purpose)


def _ngspice() -> Finding:
    from synfab.circuit.ngspice import find_ngspice

    purpose = "running netlists with switching cells"
    try:
        return Finding("ngspice with OSDI", True, str(find_ngspice()), needed_for=purpose)
    except SynfabError as error:
        found = str(error).split("; `synfab doctor`", maxsplit=1)[0]  # which is being read
        return Finding("ngspice with OSDI", False, found, _mend_ngspice(), purpose)


def _mend_ngspice() -> str:
    release = _release()
    if release.get("ID") == "debian" and release.get("VERSION_ID", "0").isdigit():
        if int(release["VERSION_ID"]) >= 13:
            return _install("ngspice")
        return "synfab doctor --fix"
    return "install ngspice 43 or newer, built with --enable-osdi, or name one in SYNFAB_NGSPICE"


def _extra(module: str) -> Finding:
    there = extras.installed(module)
    return Finding(
        f"package {module}",
        there,
        "installed" if there else "not installed",
        "" if there else extras.command(module),
        extras.PACKAGES[module][1],
    )


def _install(packages: str) -> str:
    prefix = "" if os.geteuid() == 0 else "sudo "
    return f"{prefix}apt install {packages}"


def _release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
