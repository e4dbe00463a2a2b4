"""Access control of the explorer: only requests of its own page on this machine are answered.

A foreign page can reach a local server in two ways: by a host name that resolves to 127.0.0.1
(DNS rebinding, detected by the Host header), and by requests whose answers it cannot read but which
take computing time or load files (Origin and Sec-Fetch-Site, which browsers send to 127.0.0.1).
Both are refused before anything is computed.
"""

from __future__ import annotations

import http.client
import logging
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import HTTPError, RequestHandler

from synfab.common.messages import reason_of

HEADERS = {
    "X-Frame-Options": "DENY",
    # Figures are styled by sheets that their library adds.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

logger = logging.getLogger(__name__)


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
    if origin is not None and origin.lower() not in {f"http://{name}" for name in allowed}:
        return "Origin: expected the explorer's own page"
    if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and not _is_link(
        headers
    ):
        return "Sec-Fetch-Site: expected the explorer's own page"
    return None


def _is_link(headers: HTTPHeaders) -> bool:
    """Return True if the user followed a link, such as the address shown in a terminal."""
    return (
        headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    )


class Guarded(RequestHandler):
    """Handler that refuses foreign requests, and whose errors are one line of plain text."""

    def prepare(self) -> None:
        """Refuse requests of other pages and hosts with status 403."""
        reason = objection(self.request, self.settings["hosts"])
        if reason is not None:
            self.refuse(403, reason)

    def set_default_headers(self) -> None:
        """Forbid other pages to embed any answer, including errors."""
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def refuse(self, status: int, reason: str) -> None:
        """End the request with a status and a reason in one line."""
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(" ".join(reason.split()) + "\n")

    def write_error(self, status_code: int, **facts: Any) -> None:
        """Answer an error with one line; Tornado logs its traceback."""
        error = facts.get("exc_info", (None, None))[1]
        reason = http.client.responses.get(status_code, "error")
        if error is not None and not isinstance(error, HTTPError):
            reason = f"internal error: {type(error).__name__}: {reason_of(error)}"
        self.refuse(status_code, reason)


class NotFound(Guarded):
    """Answer to any other address."""

    def prepare(self) -> None:
        """Refuse the request, foreign or not."""
        super().prepare()
        if not self._finished:
            self.refuse(404, f"{self.request.path[:80]}: no such page")
