"""Server of the explorer: the page, its answers to settings, and uploads of measurements."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, stream_request_body

from synfab.common.errors import CapacityError, InvalidValueError, SynfabError
from synfab.common.interrupts import pass_on
from synfab.explore.answer import PANELS, answer, described
from synfab.explore.guard import Guarded, NotFound, hosts
from synfab.explore.html import page_text
from synfab.explore.measurement import UPLOAD_BYTES, Measured, Shelf, measure_upload
from synfab.explore.script import Origin
from synfab.explore.settings import MEASUREMENT, controls, lenient_settings, settings
from synfab.explore.stages import Stages
from synfab.io.column_names import parsed_columns
from synfab.io.limits import require_size
from synfab.model.cell_model import CellModel

ADDRESS = "127.0.0.1"  # not reachable from other machines
MAX_WAITING = 32  # requests that wait for the one that is computed
DRAINED = 2**30  # bytes of a refused upload that are read and dropped, so that its sender can read
MAX_PROBLEMS = 3  # of an address that are named

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Explorer:
    """A model with its computed stages and measurements, shared by all open pages.

    Computations run one after the other in one thread, so that the server can answer meanwhile.
    """

    def __init__(self, model: CellModel, origin: Origin, measured: Measured | None = None) -> None:
        self.model, self.origin = model, origin
        self.controls = controls(model)
        self.stages = Stages(model)
        self.shelf = Shelf(measured)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explorer")
        self._waiting = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the result of a computation after those before it.

        Raises
        ------
        CapacityError
            Too many requests wait.
        """
        if self._waiting >= MAX_WAITING:
            raise CapacityError(f"{MAX_WAITING} requests wait already; try again later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def texts(self, given: dict[str, list[bytes]]) -> dict[str, str]:
        """Return settings as text from a query; the measurement named at the start is shown."""
        found = {name: values[-1].decode("utf-8", "replace") for name, values in given.items()}
        if self.shelf.first is not None:
            found.setdefault(MEASUREMENT, self.shelf.first.key)
        return found

    def close(self) -> None:
        """Stop the thread after the present computation."""
        self._thread.shutdown(cancel_futures=True)


class PageHandler(Guarded):
    """The page with the settings of its address; those that are refused have their defaults."""

    def get(self) -> None:
        """Answer with the page."""
        explorer: Explorer = self.settings["explorer"]
        texts = explorer.texts(self.request.query_arguments)
        now, problems = lenient_settings(explorer.controls, texts)
        try:
            explorer.shelf.get(now.measurement)
        except SynfabError as error:
            problems.append(str(error))
            now = now._replace(measurement="")
        shown = problems[:MAX_PROBLEMS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        notice = f"{'; '.join(shown)}. Defaults are shown instead." if shown else ""
        self.set_header("Cache-Control", "no-store")
        self.finish(page_text(explorer.model, explorer.controls, now, notice, explorer.shelf.first))


class ComputeHandler(Guarded):
    """Columns, numbers and the script for settings, as JSON."""

    async def get(self) -> None:
        """Answer with JSON, or with status 400 and one line."""
        explorer: Explorer = self.settings["explorer"]
        given = dict(self.request.query_arguments)
        wanted = given.pop("panels", [b""])[-1].decode("utf-8", "replace").split(",")
        try:
            now = settings(explorer.controls, explorer.texts(given))
            panels = tuple(panel for panel in PANELS if panel in wanted)
            found = await explorer.run(
                partial(answer, explorer.stages, explorer.origin, explorer.shelf, now, panels)
            )
        except CapacityError as error:
            self.refuse(503, str(error))
        except SynfabError as error:
            self.refuse(400, str(error))
        else:
            self.set_header("Cache-Control", "no-store")
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps(found, allow_nan=False, separators=(",", ":")))


@stream_request_body
class UploadHandler(Guarded):
    """A measurement in the body of a request; its name and columns are in the query."""

    def prepare(self) -> None:
        """Refuse files that are too large before they are read."""
        self.data = bytearray()
        self.request.connection.set_max_body_size(DRAINED)  # type: ignore[union-attr]
        super().prepare()
        if not self._finished:
            stated = self.request.headers.get("Content-Length", "")
            self._check(int(stated) if stated.isdecimal() else 0)

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the file, up to the limit."""
        if not self._finished:
            self.data += chunk
            self._check(len(self.data))

    def _check(self, size: int) -> None:
        try:
            require_size(size, UPLOAD_BYTES, self._name())
        except SynfabError as error:
            self.data = bytearray()
            self.refuse(413, f"{error}; start the explorer with the file: synfab explore FILE")

    def _name(self) -> str:
        return self.get_query_argument("name", "file")

    async def post(self) -> None:
        """Read the file and answer with its facts, or with status 400 and one line."""
        if self._finished:  # it was too large
            return
        explorer: Explorer = self.settings["explorer"]
        try:
            columns = parsed_columns(self.get_query_argument("columns", "") or None, "columns")
            work = partial(measure_upload, bytes(self.data), self._name(), columns)
            found = await explorer.run(work)
        except SynfabError as error:
            self.refuse(503 if isinstance(error, CapacityError) else 400, str(error))
            return
        explorer.shelf.add(found)
        self.finish(described(found))


class StaticHandler(Guarded):
    """Script, styles and the library of the figures."""

    def get(self, name: str) -> None:
        """Answer with a file of the page."""
        files: dict[str, tuple[str, str]] = self.settings["files"]
        if name not in files:
            raise HTTPError(404)
        kind, text = files[name]
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(text)


def listen(explorer: Explorer, port: int) -> tuple[HTTPServer, int]:
    """Start to answer on a port of this machine, 0 for a free one; return server and port.

    Raises
    ------
    InvalidValueError
        The port is in use.
    """
    try:
        # Another address would be reachable from other machines.
        sockets = bind_sockets(port, ADDRESS)
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(
            f"--port: {port} is not free on {ADDRESS}: {error.strerror}; use 0 for a free one"
        ) from None
    port = int(sockets[0].getsockname()[1])
    routes: list[Any] = [
        ("/", PageHandler),
        ("/compute", ComputeHandler),
        ("/measurement", UploadHandler),
        (r"/static/([\w.]+)", StaticHandler),
    ]
    application = Application(
        routes, default_handler_class=NotFound, hosts=hosts(port), explorer=explorer,
        files=_files(), log_function=_log,
    )  # fmt: skip
    server = HTTPServer(application)
    server.add_sockets(sockets)
    return server, port


def serve_forever(explorer: Explorer, port: int, started: Callable[[str], None]) -> None:
    """Answer requests until it is interrupted; ``started`` is called with the address.

    Raises
    ------
    InvalidValueError
        The port is in use.
    """
    try:
        asyncio.run(_serve(explorer, port, started))
    finally:
        explorer.close()


async def _serve(explorer: Explorer, port: int, started: Callable[[str], None]) -> None:
    server, port = listen(explorer, port)
    # Compiles the kernels before the first request.
    now = settings(explorer.controls, {})
    await explorer.run(
        partial(answer, explorer.stages, explorer.origin, explorer.shelf, now, tuple(PANELS))
    )
    started(f"http://{ADDRESS}:{port}/")
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()


def _log(handler: Any) -> None:
    """Log requests at the level of details; Tornado reports each refused one as a warning."""
    logger.debug("%d %s", handler.get_status(), handler.request.path)


def _files() -> dict[str, tuple[str, str]]:
    from bokeh.resources import Resources

    folder = Path(__file__).parent / "templates"
    inline = Resources(mode="inline", minified=True, components=["bokeh"], log_level="warn")
    return {
        "explorer.css": ("text/css", (folder / "explorer.css").read_text("utf-8")),
        "explorer.js": ("text/javascript", (folder / "explorer.js").read_text("utf-8")),
        "figures.js": ("text/javascript", (folder / "figures.js").read_text("utf-8")),
        "bokeh.js": ("text/javascript", "\n".join(inline.js_raw)),
    }
