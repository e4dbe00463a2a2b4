"""Access control of the explorer: only requests of its own page on this machine are answered.

A foreign page can reach a local server in three ways: by a host name that resolves to 127.0.0.1
(DNS rebinding, detected by the Host header), by a websocket (Origin), and by requests whose answers
it cannot read but which take computing time (Sec-Fetch-Site, which all browsers send to 127.0.0.1).
All three are refused before anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application, OutputTransform, RequestHandler

MAX_SESSIONS = 32  # open pages; each holds figures of a few MiB
UNUSED = ("/autoload.js", "/metadata")  # routes of the framework for embedding in other pages
HEADERS = {
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def hosts(port: int) -> tuple[str, ...]:
    """Return the values of the Host header that are accepted."""
    names = ("127.0.0.1", "localhost")
    bare = names if port == 80 else ()
    return (*(f"{name}:{port}" for name in names), *bare)


def objection(request: HTTPServerRequest, allowed: tuple[str, ...]) -> str | None:
    """Return the reason for refusing a request, or None."""
    headers = request.headers
    host = headers.get("Host", "")
    if host.lower() not in allowed:
        return f"Host: expected {allowed[0]} or {allowed[1]}"
    origin = headers.get("Origin")
    socket = "websocket" in headers.get("Upgrade", "").lower() or request.path.endswith("/ws")
    if origin is None and socket:
        return "Origin: expected the explorer's own page, found none"
    if origin is not None and origin.lower() not in {f"http://{name}" for name in allowed}:
        return "Origin: expected the explorer's own page"
    if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and not _is_link(
        headers
    ):
        return "Sec-Fetch-Site: expected the explorer's own page"
    if request.path.endswith(UNUSED):
        return "the explorer cannot be embedded in another page"
    return None


def _is_link(headers: HTTPHeaders) -> bool:
    """Return True if the user followed a link, such as the address shown in a terminal."""
    return (
        headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    )


class _Refused(RequestHandler):
    """Answer any method with the reason in one line."""

    def initialize(self, status: int, reason: str) -> None:
        self.status, self.why = status, reason

    def prepare(self) -> None:
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self.why}\n")


class _Objections(Matcher):
    """Match the requests to refuse, and pass the reason to the handler."""

    def __init__(self, status: int, judge: Callable[[HTTPServerRequest], str | None]) -> None:
        self.status, self.judge = status, judge

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        reason = self.judge(request)
        if reason is None:
            return None
        return {"target_kwargs": {"status": self.status, "reason": reason}}


class _Headers(OutputTransform):
    """Add headers that forbid other pages to embed any answer, including static files."""

    def __init__(self, request: HTTPServerRequest) -> None:
        pass

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the headers."""
        for name, value in HEADERS.items():
            headers[name] = value
        return status_code, headers, chunk


def guard(application: Application, port: int, sessions: Callable[[], int]) -> None:
    """Restrict an application to its own page; ``sessions`` returns the number of open ones."""
    allowed = hosts(port)

    def too_many(request: HTTPServerRequest) -> str | None:
        full = request.path == "/" and sessions() >= MAX_SESSIONS
        return f"{MAX_SESSIONS} explorer pages are open; close one and reload" if full else None

    # Before all routes of the framework, including static files.
    application.default_router.rules[:0] = [
        Rule(_Objections(403, lambda request: objection(request, allowed)), _Refused),
        Rule(_Objections(503, too_many), _Refused),
    ]
    application.add_transform(_Headers)
