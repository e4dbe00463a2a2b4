"""Symbols and schematics of cells for the schematic editor xschem."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from string import Template

from synfab.circuit.literals import check_identifier, default_name
from synfab.circuit.osdi import build_osdi
from synfab.common import checks
from synfab.common.types import PathLike
from synfab.io.files import atomic_path, make_folder, refuse_overwrite, temporary_folder
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model

FILES = (
    *("synfab_cell.sym", "synfab_1t1r.sym", "synfab_1t1r.sch", "synfab_testbench.sch"),
    "xschemrc",
)
LIBRARY = "synfab_cell.osdi"


def export_xschem(
    model: CellModel | PathLike,
    folder: PathLike,
    *,
    order: int | None = None,
    name: str | None = None,
) -> Path:
    """Write symbols for xschem and the compiled device into a folder, and return its path.

    The folder then contains symbols of a cell and of a 1T1R cell, the schematic of the latter, a
    test bench, ``xschemrc``, with which xschem finds them if it is started there, and
    ``synfab_cell.osdi``. Existing files of these names are replaced.

    Parameters
    ----------
    model, order, name
        As for ``to_osdi_source``.
    folder
        Folder to write to; it is created if it is missing.

    Raises
    ------
    ToolError
        No C compiler was found, or it failed.
    InvalidValueError
        An argument is not allowed, or a file cannot be written.
    """
    target = checks.path("folder", folder)
    for file in (*FILES, LIBRARY):
        refuse_overwrite("folder", target / file, the_model=model)
    loaded = load_model(model)
    device = default_name(loaded) if name is None else check_identifier("name", name)
    with temporary_folder("synfab") as temporary:
        library = build_osdi(loaded, temporary / LIBRARY, order=order, name=device)
        make_folder(target, "folder")
        with atomic_path(target / LIBRARY) as path:
            shutil.copyfile(library, path)
    for file in FILES:
        text = (files("synfab.circuit") / "symbols" / file).read_text("utf-8")
        if file == "synfab_testbench.sch":
            text = Template(text).substitute(device=device, library=LIBRARY)
        with atomic_path(target / file) as path:
            path.write_text(text, "utf-8", newline="\n")
    return target.absolute()
