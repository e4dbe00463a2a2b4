"""What commands print: results to standard output, what goes on meanwhile to standard error."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.markup import escape

from synfab.common.errors import EditedFileWarning
from synfab.io.progress import ProgressBar

# C0 but the tab, DEL, C1, and the marks that reverse the direction of text.
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

out = Console()
progress = Console(stderr=True)


def say(text: str) -> None:
    """Print a line as it is: never folded or coloured, names of files to the byte.

    Control characters are escaped, in a pipe too, so that one line stays one line; programs that
    need exact names use ``--json``.
    """
    text = shown(text)
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        typer.echo(text.encode("utf-8", "surrogateescape"))
    else:  # redirected within this process
        sys.stdout.write(f"{text}\n")


def progress_bar(text: str, total: float | None = None) -> ProgressBar:
    """Return a progress bar that is shown on terminals only; without ``total`` it vanishes."""
    return ProgressBar(text, total, show=sys.stderr.isatty(), vanish=total is None)


def counted(number: int, what: str) -> str:
    """Return a number with its noun, such as ``1 pulse`` or ``2 pulses``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def print_json(value: Any) -> None:
    """Print for a program to read; JSON has no NaN: what could not be had is null."""
    sys.stdout.write(json.dumps(_without_nan(value), indent=2, allow_nan=False) + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def warn_in_one_line() -> None:
    """Print warnings about files as errors are printed, without the place in the program."""
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, EditedFileWarning):
            sys.stderr.write(f"synfab: warning: {shown(str(message))}\n")
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def end_in_order() -> None:
    """Let the signals that end a process raise ``SystemExit``, so that temporary files go too.

    The exit status is that of a process which the signal has ended. Signals that are ignored, as
    under ``nohup``, stay so; after the first, further ones wait for the end.
    """
    names = ("SIGTERM", "SIGHUP", "SIGBREAK")  # the last is Windows'
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]

    def end(number: int, _frame: Any) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in numbers:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


@contextmanager
def interrupts_between_steps(step: str) -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait for the end of a step, and say so; a second one does not wait.

    Parameters
    ----------
    step
        What is being waited for, such as "pulse".

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
        # Straight to the descriptor: a stream that is being written to cannot be entered again.
        with suppress(OSError):
            os.write(2, f"\nstopping after this {step} … (Ctrl-C again: at once)\n".encode())

    def check() -> None:
        if come:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def shown(text: str) -> str:
    """Return text whose control characters are escaped, so that none reaches the terminal.

    Names of files and devices may hold sequences that move the cursor, set the window's title or
    rewrite what stands above. Tabs stay.
    """
    return CONTROL.sub(lambda found: _escaped(found[0]), text)


def plain(text: str) -> str:
    """Return text for Rich that holds neither markup nor control characters."""
    return escape(shown(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
