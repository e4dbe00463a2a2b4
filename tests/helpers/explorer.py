"""An explorer that runs in a thread of the tests, and requests to it."""

import asyncio
import http.client
import queue
import threading
from contextlib import contextmanager
from types import SimpleNamespace

from synfab.explore.script import origin_of
from synfab.explore.server import Explorer, listen


@contextmanager
def running(model, *, source=None, measured=None):
    """Yield the port, the address and the state of a running explorer."""
    explorer = Explorer(model, origin_of(model, source), measured)
    begun = queue.Queue()

    async def main():
        end = asyncio.Event()
        server, port = listen(explorer, 0)
        begun.put((asyncio.get_running_loop(), end, port))
        await end.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    loop, end, port = begun.get(timeout=60)
    try:
        yield SimpleNamespace(port=port, address=f"http://127.0.0.1:{port}/", state=explorer)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(120)  # a busy machine may take longer; the thread does not keep Python alive
        explorer.close()


def answer(port, path="/", method="GET", body=None, **headers):
    """Status, headers and text of an answer; the Host header is the right one unless given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    names = {"Host": f"127.0.0.1:{port}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if body is not None and "Transfer-Encoding" not in names:
        names.setdefault("Content-Length", str(len(body)))
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in names.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body:
            connection.send(body)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode(errors="replace")
    finally:
        connection.close()
