"""Output of commands: results to standard output, progress to standard error."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from synfab.common.errors import EditedFileWarning
from synfab.io.progress import ProgressBar

# C0 except the tab, DEL, C1, and marks that reverse the direction of text.
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

out = Console()
progress = Console(stderr=True)


def say(text: str) -> None:
    """Print a line unchanged: not wrapped or coloured, with the exact bytes of file names.

    Control characters are escaped, also in a pipe, so that one line stays one line; use ``--json``
    for exact names.
    """
    text = shown(text)
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        typer.echo(text.encode("utf-8", "surrogateescape"))
    else:  # replaced by a stream without bytes
        sys.stdout.write(f"{text}\n")


def say_sentences(text: str) -> None:
    """Print lines, wrapped to the width of the terminal; indented ones stay indented."""
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        for part in textwrap.wrap(shown(line), max(out.width, 40), subsequent_indent=indent + "  ",
                                  break_long_words=False, break_on_hyphens=False):  # fmt: skip
            say(part)


def progress_bar(text: str, total: float | None = None) -> ProgressBar:
    """Return a progress bar that is shown on terminals only; without ``total`` it vanishes."""
    return ProgressBar(text, total, show=sys.stderr.isatty(), vanish=total is None)


class _Lines(logging.Handler):
    """Prints messages of the package as lines of progress."""

    def emit(self, record: logging.LogRecord) -> None:
        progress.print(record.getMessage(), highlight=False, markup=False, soft_wrap=True)


def show_compilation() -> None:
    """Print one line before kernels are compiled, on terminals only."""
    logger = logging.getLogger("synfab.engines.numba.compile")
    if sys.stderr.isatty() and not logger.handlers:
        logger.addHandler(_Lines())
        logger.setLevel(logging.INFO)


def counted(number: int, what: str) -> str:
    """Return a number with its noun, such as ``1 pulse`` or ``2 pulses``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def print_json(value: object) -> None:
    """Print a value as JSON, with null in place of NaN."""
    sys.stdout.write(json.dumps(_without_nan(value), indent=2, allow_nan=False) + "\n")


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_warnings_in_one_line() -> None:
    """Print warnings about files like errors, without the line of the source."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, EditedFileWarning):
            sys.stderr.write(f"synfab: warning: {shown(str(message))}\n")
        else:
            before(message, category, *place, **more)

    warnings.showwarning = show


def exit_on_signals() -> None:
    """Raise ``SystemExit`` on signals that end a process, so that temporary files are removed.

    The exit status is that of a process ended by the signal. Signals that are ignored, as under
    ``nohup``, stay ignored; further signals are ignored after the first.
    """
    names = ("SIGTERM", "SIGHUP", "SIGBREAK")  # the last one is for Windows
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]

    def end(number: int, _frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in numbers:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


@contextmanager
def interrupts_between_steps(step: str) -> Iterator[Callable[[], None]]:
    """Delay Ctrl-C to the end of a step and print a note; a second one stops at once.

    Parameters
    ----------
    step
        Name of a step, such as "pulse".

    Yields
    ------
    callable
        Call it between steps; it raises ``KeyboardInterrupt`` after Ctrl-C.
    """
    interrupted = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        # Written to the descriptor, because a stream cannot be used while it is being written.
        with suppress(OSError):
            os.write(2, f"\nstopping after this {step} … (Ctrl-C again: at once)\n".encode())

    def check() -> None:
        if interrupted:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def shown(text: str) -> str:
    """Return text with control characters escaped, so that none reaches the terminal.

    Names of files and devices can contain sequences that move the cursor, set the window title or
    overwrite other lines. Tabs are kept.
    """
    return CONTROL.sub(lambda found: _escaped(found[0]), text)


def plain(text: str) -> str:
    """Return text for Rich without markup and control characters."""
    return escape(shown(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
