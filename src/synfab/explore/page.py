"""The explorer: a local page for exploring a model interactively."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable, Mapping, Sequence

from synfab.common import checks, extras
from synfab.model.cell_model import CellModel


def require_packages() -> None:
    """Raise ``ToolError`` with the install command if a package is missing."""
    extras.check("bokeh", "pandas", "pyarrow", "sklearn", extra="explore")


def serve(
    model: CellModel,
    port: int = 0,
    *,
    measurement: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    source: str | None = None,
    show: bool = True,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve the explorer on this machine until it is interrupted.

    The address of the page holds its settings. Requests to other host names than 127.0.0.1 and
    localhost, and those of other pages, are refused with status 403.

    Parameters
    ----------
    model
        Model to explore.
    port
        Port on 127.0.0.1; 0: any free one.
    measurement
        I-V loops or features to show with the model: a file or folder, as in
        ``learn.read_sweeps``.
    columns
        Columns of the measurement, as in ``learn.read_sweeps``.
    source
        Where the model was loaded from, for the scripts that the page shows; default: the
        published parameters, or a file that the script names.
    show
        Open the page in a browser.
    started
        Called with the address of the page.

    Raises
    ------
    InvalidValueError
        The port is in use or not valid, or ``source`` holds another model.
    FileFormatError
        The measurement cannot be read.
    ToolError
        Bokeh or another package of the extra is not installed.
    """
    checks.instance("model", model, CellModel)
    show = checks.flag("show", show)
    if started is not None:
        checks.function("started", started)
    port = checks.integer("--port", port, 0, 65535)
    place = None if source is None else checks.text("source", source)
    path = None if measurement is None else checks.path("measurement", measurement)
    require_packages()
    from synfab.explore.measurement import measure
    from synfab.explore.script import origin_of
    from synfab.explore.server import Explorer, serve_forever

    origin = origin_of(model, place)
    measured = None
    if path is not None:
        measured = measure(path, str(path), str(path), columns)._replace(name=path.name)
    serve_forever(Explorer(model, origin, measured), port, _opened(show, started))


def _opened(show: bool, started: Callable[[str], None] | None) -> Callable[[str], None]:
    def report(address: str) -> None:
        if started is not None:
            started(address)
        if show:
            webbrowser.open(address)

    return report
