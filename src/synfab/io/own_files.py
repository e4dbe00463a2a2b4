"""Files of fixed names in folders that a user chose: only our own are replaced."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.io.files import atomic_path

RECORD = ".synfab-files.json"  # names and SHA-256 of what was written into the folder
MAX_RECORD = 2**20  # bytes


@contextmanager
def own_files(folder: Path, names: Sequence[str], argument: str) -> Iterator[None]:
    """Let a block write files of these names into a folder, which may hold earlier ones of its own.

    Parameters
    ----------
    folder
        It exists.
    names
        Files that the block may write, replace or remove.
    argument
        The one that named the folder, for the message.

    Raises
    ------
    InvalidValueError
        A file of that name was not written by synfab, or was changed since; nothing was written.
    """
    before = _read(folder)
    for name in names:
        if os.path.lexists(folder / name) and before.get(name) != _digest(folder / name):
            raise InvalidValueError(
                f"{argument}: {folder / name} already exists and was not written by synfab, or was "
                "changed since; move it away or choose another folder"
            )
    try:
        yield
    finally:
        written = {name: _digest(folder / name) for name in names}
        record = {**_read(folder), **written}
        text = json.dumps({name: digest for name, digest in record.items() if digest}, indent=1)
        with atomic_path(folder / RECORD) as path:
            path.write_text(text, "utf-8")


def _read(folder: Path) -> dict[str, str]:
    """Return what the record says; one that cannot be read vouches for nothing."""
    try:
        with (folder / RECORD).open("rb") as file:
            found = json.loads(file.read(MAX_RECORD))
    except (OSError, ValueError, RecursionError) as error:
        pass_on(error)
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, or of the target's name of a symbolic link; None: there is none."""
    try:
        if path.is_symlink():
            return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        pass_on(error)
        return None
