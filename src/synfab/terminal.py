"""What commands print: results to standard output, what goes on meanwhile to standard error."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

out = Console()
progress = Console(stderr=True)


def say(text: str) -> None:
    """Print a line as it is: never folded or coloured, names of files to the byte."""
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        typer.echo(text.encode("utf-8", "surrogateescape"))
    else:  # redirected within this process
        sys.stdout.write(f"{text}\n")


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait for the end of a step; at the second one it waits for nothing.

    Yields
    ------
    callable
        To be called between steps: raises ``KeyboardInterrupt`` if one has come.
    """
    come = False

    def note(_number: int, _frame: Any) -> None:
        nonlocal come
        if come:
            raise KeyboardInterrupt
        come = True

    def check() -> None:
        if come:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
