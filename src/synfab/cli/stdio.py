"""Exit status without a traceback if standard output is full, closed or limited to ASCII."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

HANDLER = "synfab.plain"
# Replacements of characters that a terminal cannot show; any other becomes "?".
PLAIN = {
    "…": "...", "\u00b5": "u", "\u03bc": "u", "\u03a9": "Ohm", "\u2126": "Ohm", "\u00d7": "x",
    "±": "+-", "²": "2",
    "³": "3", "·": ".", "•": "*", "\u2013": "-", "\u2014": "-", "\u2212": "-", "≤": "<=",
    "≥": ">=", "→": "->",
    "\u2018": "'", "\u2019": "'",
}  # fmt: skip
CANNOT_WRITE = 1
# Exit status of a program ended by a closed pipe such as `| head` (128 + SIGPIPE).
CLOSED_PIPE = 141


class OutputError(Exception):
    """Standard output cannot be written. Not an ``OSError``, which is caught for files."""


def run(command: Callable[[], object]) -> int:
    """Call a command that prints, and return its exit status.

    If standard output cannot be written, the status is 1, with one line on standard error, or 141,
    without a line, if a reader such as ``| head`` closed the pipe.
    """
    codecs.register_error(HANDLER, replace_characters)
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


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


class _Guarded(io.RawIOBase):
    """Stream that raises ``OutputError`` (if strict) at the first error and discards the rest."""

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
            return len(data)  # no stream is left to report it
        return written


def guarded(raw: Any, strict: bool) -> io.RawIOBase:
    """Return a stream whose first error raises ``OutputError`` (if strict) and silences it."""
    return _Guarded(raw, strict)


def _guard(name: str, *, strict: bool) -> None:
    """Replace a standard stream, unless this process has already replaced it."""
    stream = getattr(sys, name)
    if stream is None:  # closed: occupy its descriptor
        handle = os.open(os.devnull, os.O_RDONLY if strict else os.O_WRONLY)
        raw: Any = io.FileIO(handle, "w")  # writing fails with EBADF
        encoding = "utf-8"
    elif stream is getattr(sys, f"__{name}__") and hasattr(stream, "buffer"):
        raw, encoding = getattr(stream.buffer, "raw", stream.buffer), stream.encoding
        _flush(stream)
    else:
        return
    buffer = io.BufferedWriter(guarded(raw, strict))
    lines = not strict or raw.isatty()
    setattr(sys, name, io.TextIOWrapper(buffer, encoding, HANDLER, line_buffering=lines))


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:  # the new stream will report it
        return


def replace_characters(error: UnicodeError) -> tuple[bytes, int]:
    """Replace characters that cannot be encoded; undecodable bytes of file names are kept."""
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
