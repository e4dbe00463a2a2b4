"""Files of fixed names in a folder of the user: only those that synfab wrote are replaced."""

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
    """Allow the block to write files of these names, replacing those that synfab wrote earlier.

    Parameters
    ----------
    folder
        Existing folder.
    names
        Files that the block may write, replace or remove.
    argument
        Name of the argument that specified the folder, for messages.

    Raises
    ------
    InvalidValueError
        A file of one of the names was not written by synfab, or was changed since. Nothing is
        written.
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
    """Return the record of written files; an unreadable one counts as empty."""
    try:
        with (folder / RECORD).open("rb") as file:
            found = json.loads(file.read(MAX_RECORD))
    except (OSError, ValueError, RecursionError) as error:
        pass_on(error)
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of the path in a symbolic link; None if it is missing."""
    try:
        if path.is_symlink():
            return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        pass_on(error)
        return None
