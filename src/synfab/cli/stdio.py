"""Standard output that is full, closed or limited to ASCII: an exit status, no traceback."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

HANDLER = "synfab.plain"
# Characters of messages and tables on a terminal that lacks them; any other becomes "?".
PLAIN = {
    "…": "...", "\u00b5": "u", "\u03bc": "u", "\u03a9": "Ohm", "\u2126": "Ohm", "\u00d7": "x",
    "±": "+-", "²": "2",
    "³": "3", "·": ".", "•": "*", "\u2013": "-", "\u2014": "-", "\u2212": "-", "≤": "<=",
    "≥": ">=", "→": "->",
    "\u2018": "'", "\u2019": "'",
}  # fmt: skip
CANNOT_WRITE = 1
# What a shell reports of a program that a closed pipe ended (128 + SIGPIPE), as `| head` does.
CLOSED_PIPE = 141


class OutputError(Exception):
    """Standard output cannot be written; not an ``OSError``, which readers of files catch."""


def run(command: Callable[[], object]) -> int:
    """Call a command that prints, and return its exit status.

    If standard output cannot be written, the status is 1 with one line on standard error, or 141
    without a line where its reader has ended (``| head``).
    """
    codecs.register_error(HANDLER, _plain)
    _guard("stdout", strict=True)
    _guard("stderr", strict=False)
    status = 0
    try:
        try:
            command()
        except SystemExit as end:
            status = _status(end.code)
        sys.stdout.flush()
    except OutputError as error:
        reason = error.args[0]
        if reason.errno in (errno.EPIPE, errno.ESHUTDOWN):
            return status or CLOSED_PIPE
        text = "it is closed" if reason.errno == errno.EBADF else reason.strerror
        sys.stderr.write(f"synfab: cannot write to standard output: {text}\n")
        return status or CANNOT_WRITE
    return status


def _status(code: Any) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


class _Guarded(io.RawIOBase):
    """A stream that fails once, with ``OutputError`` if strict, and swallows what follows."""

    def __init__(self, raw: Any, strict: bool) -> None:
        self.stream, self.strict, self.broken = raw, strict, False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self.stream.fileno())

    def isatty(self) -> bool:
        return bool(self.stream.isatty())

    def write(self, data: Any) -> int | None:
        if self.broken:
            return len(data)
        try:
            written: int | None = self.stream.write(data)
        except OSError as error:
            self.broken = True
            if self.strict:
                raise OutputError(error) from None
            return len(data)  # there is nowhere to say it
        return written


def _guard(name: str, *, strict: bool) -> None:
    """Replace a standard stream, unless something in this process has replaced it already."""
    stream = getattr(sys, name)
    if stream is None:  # closed; a file that is opened later must not take its number
        handle = os.open(os.devnull, os.O_RDONLY if strict else os.O_WRONLY)
        raw: Any = io.FileIO(handle, "w")  # writing to what is open for reading says EBADF
        encoding = "utf-8"
    elif stream is getattr(sys, f"__{name}__") and hasattr(stream, "buffer"):
        raw, encoding = getattr(stream.buffer, "raw", stream.buffer), stream.encoding
        _flush(stream)
    else:
        return
    buffer = io.BufferedWriter(_Guarded(raw, strict))
    lines = not strict or raw.isatty()
    setattr(sys, name, io.TextIOWrapper(buffer, encoding, HANDLER, line_buffering=lines))


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except OSError:  # the new stream will meet it too
        return


def _plain(error: UnicodeError) -> tuple[bytes, int]:
    """Encode what a terminal lacks; parts of file names that are no text pass as they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    encoded = (
        bytes([ord(character) - 0xDC00])
        if "\udc80" <= character <= "\udcff"
        else PLAIN.get(character, "?").encode("ascii")
        for character in text
    )
    return b"".join(encoded), error.end
