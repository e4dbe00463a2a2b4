"""Checks of Python, compiler, simulator and optional packages."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from synfab.common import extras
from synfab.common.errors import InvalidValueError, SynfabError

ALL = "everything"


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    subject: str
    good: bool
    found: str
    fix: str = ""  # command that installs it
    needed_for: str = ALL

    def is_needed(self, asked: Collection[str]) -> bool:
        """Return True if it was asked for or is always required."""
        return self.needed_for == ALL or not names_of(self.subject).isdisjoint(asked)


def examine(asked: Collection[str] = ()) -> list[Finding]:
    """Return checks of Python, the compiler, the simulator and the optional packages.

    Parameters
    ----------
    asked
        Names of the checks, such as ``"ngspice"`` or ``"zarr"``; empty for all.

    Raises
    ------
    InvalidValueError
        There is no such check.
    """
    known: dict[str, Callable[[], Finding]] = {
        "Python": _python,
        "published model": _published_model,
        "C compiler": _compiler,
        "ngspice with OSDI": _ngspice,
        **{f"package {module}": partial(_extra, module) for module in extras.PACKAGES},
    }
    names = [name for subject in known for name in sorted(names_of(subject))]
    unknown = [name for name in asked if name not in names]
    if unknown:
        allowed = ", ".join(dict.fromkeys(names))
        raise InvalidValueError(f"doctor: expected {allowed}; found {unknown[0]!r}")
    wanted = [s for s in known if not asked or not names_of(s).isdisjoint(asked)]
    return [known[subject]() for subject in wanted]


def names_of(subject: str) -> set[str]:
    """Return the names of a subject: its main word, or a package and its extra."""
    if subject.startswith("package "):
        module = subject.removeprefix("package ")
        return {module, extras.PACKAGES[module][0]}
    first = subject.split(maxsplit=1)[0].lower()
    return {{"published": "model", "c": "compiler"}.get(first, first)}


def _python() -> Finding:
    version = platform.python_version()
    return Finding("Python", sys.version_info >= (3, 11), f"{version} at {sys.executable}")


def _published_model() -> Finding:
    from synfab.model.model_file import load_model

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
    from synfab.circuit.ngspice_search import find_ngspice

    purpose = "running netlists with switching cells"
    try:
        return Finding("ngspice with OSDI", True, str(find_ngspice()), needed_for=purpose)
    except SynfabError as error:
        found = str(error).split("; `synfab doctor`", maxsplit=1)[0]  # the user is running it
        return Finding("ngspice with OSDI", False, found, _fix_for_ngspice(), purpose)


def _fix_for_ngspice() -> str:
    release = _release()
    if release.get("ID") == "debian" and release.get("VERSION_ID", "0").isdigit():
        if int(release["VERSION_ID"]) >= 13:
            return _install("ngspice")
        return "synfab doctor --fix"
    return "install ngspice 43 or newer, built with --enable-osdi, or name one in SYNFAB_NGSPICE"


def _extra(module: str) -> Finding:
    found = extras.installed(module)
    return Finding(
        f"package {module}",
        found,
        "installed" if found else "not installed",
        "" if found else extras.command(module),
        extras.PACKAGES[module][1],
    )


def _install(packages: str) -> str:
    prefix = "" if not hasattr(os, "geteuid") or os.geteuid() == 0 else "sudo "
    return f"{prefix}apt install {packages}"


def _release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text("utf-8").splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
