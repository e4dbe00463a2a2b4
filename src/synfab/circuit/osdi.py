"""Compiled device for ngspice and other simulators with the OSDI interface."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from synfab.circuit.literals import (
    braces,
    check_identifier,
    default_name,
    environment,
    feature_of,
    literal,
    model_numbers,
    noise_densities,
    provenance,
)
from synfab.common import checks
from synfab.common.errors import InvalidValueError, ToolError
from synfab.common.types import PathLike
from synfab.io.files import atomic_path, refuse_overwrite, temporary_folder
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.model_file import load_model

logger = logging.getLogger(__name__)

# No fast-math: the switching rules rely on exact comparisons and on NaN. No fused operations: traps
# move by numbers that are rounded as in Python.
FLAGS = ("-std=gnu11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-fvisibility=hidden")
COMPILERS = ("cc", "gcc", "clang")
# Versions of the interface. ngspice 43 and 44 load 0.3 only, VACASK 0.4 and newer only.
INTERFACES = ("0.3", "0.4")


def to_osdi_source(
    model: CellModel | PathLike,
    *,
    order: int | None = None,
    name: str | None = None,
    interface: str = "0.3",
) -> str:
    """Return C source of the device with the OSDI interface; it depends only on libm.

    Parameters
    ----------
    model
        ``CellModel``, ``"published"``, or the path of a model file.
    order
        Order of the history; None uses the model's maximum.
    name
        Name of the device in ``.model`` lines; None derives it from the model's name.
    interface
        Version of OSDI that the simulator loads: ``"0.3"`` for ngspice, ``"0.4"`` for VACASK.

    Examples
    --------
    >>> type(sf.circuit.to_osdi_source("published"))
    <class 'str'>
    """
    version = checks.choice("interface", interface, INTERFACES)
    loaded = load_model(model)
    numbers = model_numbers(loaded, order)
    arrays = {k: v for k, v in numbers.items() if isinstance(v, np.ndarray)}
    scalars = {k: literal(v) for k, v in numbers.items() if isinstance(v, float)}
    counts: dict[str, Any] = {k: v for k, v in numbers.items() if isinstance(v, int)}
    features = [
        (name, feature_of(scale, f"y[{k}]", "fmin", "fmax"))
        for k, (name, scale) in enumerate(zip(FEATURES, loaded.scales, strict=True))
    ]
    device = default_name(loaded) if name is None else check_identifier("name", name)
    return (
        environment()
        .get_template("osdi_cell.c.j2")
        .render(
            {k: braces(v) for k, v in arrays.items()},
            **scalars,
            **counts,
            bounds="{ " + ", ".join(f"{bound}u" for bound in numbers["bounds"]) + " }",
            features=features,
            stationary_size=numbers["stationary"].size,
            marginal_terms=numbers["marginals"].shape[-1],
            mixed_terms=max(numbers["llrs"].size, numbers["hhrs"].size),
            **noise_densities(),
            name=device,
            interface=version,
            natures=version != "0.3",
            title=f"{device}: a virtual memory cell.",
            provenance=provenance(loaded),
        )
    )


def build_osdi(
    model: CellModel | PathLike,
    path: PathLike,
    *,
    order: int | None = None,
    name: str | None = None,
    interface: str = "0.3",
    compiler: str | None = None,
) -> Path:
    """Compile the device into a shared library for circuit simulators and return its path.

    Parameters
    ----------
    model, order, name, interface
        As for ``to_osdi_source``.
    path
        File to write, usually ``….osdi``.
    compiler
        C compiler command, optionally with flags; None uses ``$CC``, else cc, gcc or clang.

    Returns
    -------
    Path
        Absolute path of the library.

    Raises
    ------
    ToolError
        No C compiler was found, or it failed.
    InvalidValueError
        An argument is not allowed, or the file cannot be written.
    """
    wanted = checks.path("path", path)
    refuse_overwrite("path", wanted, the_model=model)
    command = find_compiler(compiler)
    source = to_osdi_source(model, order=order, name=name, interface=interface)
    with atomic_path(wanted) as target, temporary_folder("synfab") as folder:
        text, library = folder / "cell.c", folder / "cell.so"
        text.write_text(source, "utf-8")
        _compile([*command, *FLAGS, str(text), "-o", str(library), "-lm"])
        shutil.copyfile(library, target)
    return wanted.absolute()


def find_compiler(compiler: str | None = None) -> list[str]:
    """Return the C compiler command: ``compiler``, ``$CC``, or the first of cc, gcc, clang."""
    asked = os.environ.get("CC", "").strip() if compiler is None else compiler
    if compiler is not None or asked:
        return _command(checks.text("compiler", asked))
    for candidate in COMPILERS:
        if shutil.which(candidate) is not None:
            return [candidate]
    raise ToolError(
        "no C compiler found (cc, gcc, clang): sudo apt install gcc, or name one with compiler= "
        "or the variable CC"
    )


def _command(asked: str) -> list[str]:
    """Return a command split into arguments, after checking that its program exists."""
    try:
        command = shlex.split(asked)
    except ValueError as error:
        raise InvalidValueError(f"compiler: {checks.shown(asked)}: {error}") from None
    if not command or any("\0" in word for word in command):
        raise InvalidValueError(f"compiler: expected a command, found {checks.shown(asked)}")
    if shutil.which(str(checks.path("compiler", command[0]))) is None:
        raise InvalidValueError(f"compiler: there is no program {checks.shown(command[0])}")
    return command


def _compile(command: list[str]) -> None:
    logger.info("%s", shlex.join(command))
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode != 0:
        lines = done.stderr.splitlines() or [f"exit status {done.returncode}"]
        # The linker's messages precede the compiler's summary line.
        said = next((line for line in lines if "error" in line or "failed:" in line), lines[-1])
        raise ToolError(f"the C compiler failed: {said}")
