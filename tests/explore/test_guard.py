"""The explorer answers its own page on this machine, and nobody else."""

import asyncio
import http.client
import socket
import threading

import pytest
from browser import chromium
from explorer import answer, running

import synfab as sf
from synfab.explore.script import origin_of
from synfab.explore.server import MAX_WAITING, Explorer

EVERY_ROUTE = ["/", "/compute", "/measurement", "/static/bokeh.js", "/favicon.ico", "/nothing"]


@pytest.fixture(scope="module")
def port(published):
    """Port of a running explorer."""
    with running(published) as explorer:
        yield explorer.port


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


@pytest.mark.parametrize("path", ["/", "/static/bokeh.js", "/compute?cells=x", "/nothing"])
def test_no_answer_may_be_framed(port, path):
    _, headers, _ = answer(port, path)
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_another_name_for_this_machine_shows_a_browser_nothing(port, tmp_path):
    """DNS rebinding: a foreign name that points to 127.0.0.1."""
    with chromium(tmp_path, "--host-resolver-rules=MAP evil.test 127.0.0.1") as page:
        page.open(f"http://evil.test:{port}/")
        text = page.run("return document.body.textContent")
        assert text.startswith("Host: expected")
        assert page.run("return typeof Bokeh") == "undefined"


@pytest.mark.parametrize("origin", ["http://evil.test", "http://127.0.0.1:1", "null", "file://",
                                    "https://127.0.0.1:{port}"])  # fmt: skip
def test_a_file_from_another_page_is_refused(port, origin):
    sender = {"Origin": origin.format(port=port)}
    status, _, text = answer(port, "/measurement?name=a.csv", "POST", b"a,b", **sender)
    assert status == 403
    assert text.startswith("Origin: ")


def test_it_listens_on_this_machine_only(port):
    host = socket.gethostbyname(socket.gethostname())
    if host.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, port), timeout=5)


# ---- errors --------------------------------------------------------------------------------------


def test_errors_are_one_line_of_plain_text(port):
    for path, status in (("/nothing", 404), ("/static/page.py", 404), ("/compute?cells=x", 400),
                         ("/compute?%ff=%ff", 400), ("/measurement", 405)):  # fmt: skip
        found, headers, text = answer(port, path)
        assert found == status
        assert headers["Content-Type"].startswith("text/plain")
        assert text.count("\n") == 1
        assert "Traceback" not in text


def test_requests_that_wait_are_limited(published):
    state = Explorer(published, origin_of(published, None))
    go = threading.Event()

    async def many():
        held = [asyncio.ensure_future(state.run(go.wait)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)  # they begin to wait
        with pytest.raises(sf.CapacityError, match="32 requests wait already"):
            await state.run(go.wait)
        go.set()
        await asyncio.gather(*held)
        await state.run(go.wait)

    asyncio.run(many())
    state.close()
