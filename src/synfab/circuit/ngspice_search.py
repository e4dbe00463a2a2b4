"""Search for an ngspice that can load compiled devices."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from synfab.circuit.deck import RESULTS, read_deck, runnable
from synfab.circuit.ngspice_process import execute
from synfab.circuit.osdi import build_osdi
from synfab.circuit.waveforms import read_raw
from synfab.common.errors import InvalidValueError, SolverError, ToolError
from synfab.io.files import temporary_folder

VARIABLE = "SYNFAB_NGSPICE"
HOW_TO_FIX = "`synfab doctor` says how to get one"


def find_ngspice() -> Path:
    """Return the path of an ngspice with OSDI: ``$SYNFAB_NGSPICE``, the cache, or the system's.

    Each candidate must load a compiled device, as the version does not show whether it has OSDI.

    Raises
    ------
    ToolError
        No candidate loads the device; the message lists what was found.
    """
    found = []
    for candidate in candidates():
        if loads_osdi(str(candidate)):
            return candidate
        found.append(str(candidate))
    if found:
        raise ToolError(
            f"ngspice: {', '.join(found)} cannot load compiled devices (OSDI); {HOW_TO_FIX}"
        )
    raise ToolError(f"ngspice is not installed; {HOW_TO_FIX}")


def candidates() -> list[Path]:
    """Return the programs to try, in order of preference."""
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
    """Return the folder of downloaded tools: ``$SYNFAB_CACHE``, or a user cache folder."""
    given = os.environ.get("SYNFAB_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("synfab", appauthor=False)


@cache
def loads_osdi(program: str) -> bool:
    """Return whether this ngspice loads a compiled device; tested once per process."""
    with temporary_folder("synfab") as folder:
        build_osdi("published", folder / "device0.osdi", order=1, name="probe")
        deck = read_deck("probe\nn1 a 0 probe1\nv1 a 0 0.2\n.model probe1 probe seed=1\n.op\n")
        try:
            execute(program, runnable(deck, (), ()), folder, ["device0.osdi"], 60.0, None)
            return bool(read_raw(folder / RESULTS))
        except (ToolError, SolverError, InvalidValueError):
            return False
