"""The explorer answers its own page on this machine, and computes nothing beyond its limits."""

import functools
import http.client
import os
import re
import subprocess
import sys

import pytest
from browser import chromium

import synfab as sf
from synfab.explore.experiment import COUNTS, Settings, settings, voltage_limits

pytest.importorskip("panel")

EVERY_ROUTE = ["/", "/ws", "/autoload.js", "/metadata", "/static/js/bokeh.min.js", "/favicon.ico",
               "/static/extensions/panel/panel.min.js", "/nothing"]  # fmt: skip


@pytest.fixture(scope="module")
def port():
    """Port of a running explorer."""
    code = "from synfab.cli.app import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "explore", "--no-show"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"BOKEH_ALLOW_WS_ORIGIN": "*"},  # must open no door
    )
    try:
        line = server.stdout.readline()
        yield int(re.match(r"http://127\.0\.0\.1:(\d+)/", line).group(1))
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


def answer(port, path="/", method="GET", **headers):
    """Status, headers and text of an answer; the Host header is the right one unless given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    names = {"Host": f"127.0.0.1:{port}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in names.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode(errors="replace")
    finally:
        connection.close()


# ---- who is answered ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY_ROUTE)
@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "[::1]", "0.0.0.0", ""])
def test_another_host_is_refused_on_every_route(port, path, host):
    status, _, text = answer(port, path, Host=f"{host}:{port}")
    assert status == 403
    assert text.startswith("Host: expected 127.0.0.1")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_another_host_is_refused_with_every_method(port, method):
    assert answer(port, method=method, Host=f"evil.test:{port}")[0] == 403


def test_both_names_of_this_machine_are_answered(port):
    for name in ("127.0.0.1", "localhost", "LocalHost"):
        status, _, text = answer(port, Host=f"{name}:{port}")
        assert status == 200
        assert "Explorer:" in text
    assert answer(port, Host="127.0.0.1:1")[0] == 403  # another server's page


def test_a_request_without_a_host_is_refused(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("GET", "/", skip_host=True)
    connection.endheaders()
    assert connection.getresponse().status in {400, 403}
    connection.close()


def test_requests_of_other_pages_are_refused_and_links_followed(port):
    assert answer(port, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert answer(port, Sec_Fetch_Site="same-site", Sec_Fetch_Mode="cors")[0] == 403
    assert answer(port, Origin="http://evil.test")[0] == 403
    framed = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}
    assert answer(port, Sec_Fetch_Site="cross-site", **framed)[0] == 403
    link = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert answer(port, Sec_Fetch_Site="cross-site", **link)[0] == 200


@pytest.mark.parametrize("path", ["/", "/static/js/bokeh.min.js", "/favicon.ico", "/nothing"])
def test_no_answer_may_be_framed(port, path):
    _, headers, _ = answer(port, path)
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_the_page_cannot_be_embedded(port):
    assert answer(port, "/autoload.js?bokeh-autoload-element=a")[0] == 403


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec_WebSocket_Protocol": "bokeh, token",
}


@pytest.mark.parametrize("origin", [None, "http://evil.test", "http://127.0.0.1:1", "null",
                                    "https://127.0.0.1:{port}", "file://"])  # fmt: skip
def test_a_websocket_of_another_page_is_refused(port, origin):
    sender = {} if origin is None else {"Origin": origin.format(port=port)}
    status, _, text = answer(port, "/ws", **HANDSHAKE, **sender)
    assert status == 403
    assert text.startswith("Origin: ")


def test_the_page_s_own_websocket_is_accepted(port):
    assert answer(port, "/ws", **HANDSHAKE, Origin=f"http://localhost:{port}")[0] == 101


def test_another_name_for_this_machine_shows_a_browser_nothing(port, tmp_path):
    """DNS rebinding: a foreign name that points to 127.0.0.1."""
    with chromium(tmp_path, "--host-resolver-rules=MAP evil.test 127.0.0.1") as page:
        page.open(f"http://evil.test:{port}/")
        text = page.run("return document.body.textContent")
        assert text.startswith("Host: expected")
        assert page.run("return typeof Bokeh") == "undefined"


# ---- what is computed ---------------------------------------------------------------------------

DEFAULTS = {"u_min": -1.5, "u_max": 1.5, "cycles": 8, "cells": 16, "order": 10, "seed": 0,
            "rows": 32, "wire_resistance": 1.0}  # fmt: skip


def test_values_within_the_limits_stay_as_they_are(published):
    assert settings(published, DEFAULTS) == Settings(**DEFAULTS)


@pytest.mark.parametrize("name", list(COUNTS))
def test_counts_out_of_range_become_the_nearest_limit(published, name):
    low, high = COUNTS[name]
    assert getattr(settings(published, DEFAULTS | {name: 10**30}), name) == high
    assert getattr(settings(published, DEFAULTS | {name: -5.0}), name) == low


def test_voltages_out_of_range_become_the_nearest_limit(published):
    lowest, highest = voltage_limits(published)
    far = settings(published, DEFAULTS | {"u_min": -1e300, "u_max": 1e300})
    assert (far.u_min, far.u_max) == (lowest, highest)
    near = settings(published, DEFAULTS | {"u_min": 3.0, "u_max": -3.0})
    assert (near.u_min, near.u_max) == (0.0, 0.0)


@pytest.mark.parametrize("name", list(DEFAULTS))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "5", None, [1], {}, True, 1j, b"1"])
def test_values_of_another_kind_are_refused(published, name, value):
    with pytest.raises(sf.SynfabError, match=f"^{name}: "):
        settings(published, DEFAULTS | {name: value})


@pytest.mark.parametrize(("name", "value"), [("order", 11), ("wire_resistance", 1e-9),
                                             ("cycles", 2.5)])  # fmt: skip
def test_values_between_those_of_a_list_are_refused(published, name, value):
    with pytest.raises(sf.SynfabError, match=f"^{name}: "):
        settings(published, DEFAULTS | {name: value})


def test_open_pages_are_limited():
    from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
    from tornado.web import Application, RequestHandler

    from synfab.explore.guard import MAX_SESSIONS, guard

    class Page(RequestHandler):
        pass

    headers = HTTPHeaders({"Host": "127.0.0.1:5"})
    for count, answers in ((MAX_SESSIONS - 1, True), (MAX_SESSIONS, False)):
        application = Application([("/", Page), ("/static", Page)])
        guard(application, 5, functools.partial(int, count))
        for path, found in (("/", answers), ("/static", True)):
            line = RequestStartLine("GET", path, "HTTP/1.1")
            request = HTTPServerRequest(start_line=line, headers=headers)
            handler = application.find_handler(request).handler_class
            assert (handler is Page) is found
