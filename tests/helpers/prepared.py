"""Programs that start at once, in copies of a process that has made their imports.

Importing PyTorch takes longer than a short training run. Tests that start and kill such programs
many times import once, and run each program in a fork, which can be killed like any process.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

# Each program writes its process id; when it has ended, the server writes its exit status.
SERVER = """
import json, os, sys
{imports}
for line in sys.stdin:
    code, *sys.argv[1:] = json.loads(line)
    if not os.fork():
        print(os.getpid(), flush=True)
        exec(code, {{"__name__": "__main__"}})
        break
    print(os.wait()[1], flush=True)
"""


class Prepared:
    """A context in which programs start after the statements ``imports``."""

    def __init__(self, imports: str = ""):
        self.command = [sys.executable, "-c", SERVER.format(imports=imports)]

    def __enter__(self):
        self.server = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_):
        self.server.communicate()

    def read(self) -> str:
        """Return the next line that a program or the server writes."""
        line = self.server.stdout.readline()
        if not line:
            pytest.fail("the imports of the program failed")
        return line

    def start(self, code: str, *arguments: object) -> None:
        """Start a program, which writes the line "started" before it touches a file."""
        print(json.dumps([code, *map(str, arguments)]), file=self.server.stdin, flush=True)
        self.process = int(self.read())
        assert self.read() == "started\n"

    def run(self, code: str, *arguments: object) -> None:
        """Run a program to its end."""
        self.start(code, *arguments)
        assert self.status() == 0

    def kill(self, reached: Callable[[], bool], delay: float) -> None:
        """Kill the program ``delay`` seconds after ``reached()``, however slow the machine is."""
        while not reached() and self.signal(0):
            time.sleep(0.001)
        time.sleep(delay)
        self.signal(signal.SIGKILL)
        assert self.status() in {0, signal.SIGKILL}

    def signal(self, number: int) -> bool:
        """Send a signal to the program (0: none), and return whether it was still running."""
        try:
            os.kill(self.process, number)
        except ProcessLookupError:
            return False
        return True

    def status(self) -> int:
        """Wait until the program ends, and return its exit status."""
        return int(self.read())
