"""Steps of a long run: numbered files or folders, of which the newest undamaged one is resumed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.io.archive import DamagedError
from synfab.io.files import locked
from synfab.io.temporary import remove

Result = TypeVar("Result")

NAME = re.compile(r"step-([0-9]{12})(|\.npz)")
LAST_STEP = 10**12 - 1
SKIPPED = "%s: damaged; resuming from the checkpoint before it (%s)"

logger = logging.getLogger(__name__)


class StepFolder:
    """Folder of the steps of one run, which are written atomically by their own functions.

    The blocks of ``simulate`` are not such steps: Zarr names their chunks and verifies their
    checksums, and all are kept. They share the lock, the flushing and ``require_settings``.

    Parameters
    ----------
    folder
        Folder of one run; other files in it are not touched.
    argument
        Name of the folder in messages.
    keep
        Number of steps to keep; None: all.
    suffix
        Suffix of steps that are files; empty: steps are folders.
    """

    def __init__(self, folder: Path, argument: str, keep: int | None, suffix: str = "") -> None:
        self.folder, self.argument, self.keep, self.suffix = folder, argument, keep, suffix

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder for the block, and remove incomplete steps of a killed process."""
        # Files of version 0.1 end in eight characters.
        random = "([0-9a-f]{32}|[0-9a-z_]{8})" if self.suffix else "[0-9a-f]{32}"
        incomplete = re.compile(rf"\.step-[0-9]{{12}}{re.escape(self.suffix)}\.{random}")
        with locked(self.folder, self.argument):
            for path in self.folder.iterdir():
                if incomplete.fullmatch(path.name) and path.is_dir() != bool(self.suffix):
                    remove(path)
            yield

    def path(self, step: int) -> Path:
        """Return the path of a step."""
        return self.folder / f"step-{step:012d}{self.suffix}"

    def steps(self) -> list[int]:
        """Return the numbers of the steps in the folder, ascending."""
        if not self.folder.is_dir():
            return []
        found = (NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match and match[2] == self.suffix)

    def require_empty(self, instead: str) -> None:
        """Raise ``InvalidValueError`` if there are steps; ``instead`` states how to resume them."""
        if self.steps():
            raise InvalidValueError(
                f"{self.argument}: {self.folder} already holds checkpoints; {instead}, or choose "
                f"another folder"
            )

    def newest(self, read: Callable[[Path], Result]) -> tuple[int, Result]:
        """Return the newest undamaged step and what ``read`` returns for it.

        A step for which ``read`` raises ``DamagedError`` is skipped with a warning, and renamed if
        an earlier one is undamaged, so that it does not count for ``keep``. Other errors of
        ``read`` are raised.

        Raises
        ------
        FileFormatError
            No step is undamaged.
        """
        damaged: list[Path] = []
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                if self.suffix and not path.is_file():  # reading a pipe would wait forever
                    raise DamagedError(f"{path}: not a file")
                result = read(path)
            except DamagedError as error:
                logger.warning(SKIPPED, path, error)
                damaged.append(path)
                continue
            for other in damaged:
                target = other
                while os.path.lexists(target):  # folders cannot be replaced
                    target = target.with_name(f"{target.name}.damaged")
                other.rename(target)
            return step, result
        text = "all checkpoints are damaged" if damaged else "holds no checkpoint"
        raise FileFormatError(f"{self.folder}: {text}")

    def prune(self, step: int) -> None:
        """Remove the oldest steps up to ``step`` beyond the number to keep."""
        before = [old for old in self.steps() if old <= step]
        for old in [] if self.keep is None else before[: -self.keep]:
            remove(self.path(old))


def check_step(path: Path, step: object) -> None:
    """Raise ``FileFormatError`` if the name of a step states another number than its content."""
    named = NAME.fullmatch(path.name)
    if named and int(named[1]) != step:
        raise FileFormatError(
            f"{path}: step: the file name states {int(named[1])}, the content {step}"
        )


def require_settings(
    path: Path, written: Mapping[str, object], settings: Mapping[str, object]
) -> None:
    """Raise ``InvalidValueError`` for the first setting in which a stored run differs."""
    for name in dict.fromkeys((*settings, *written)):
        found, wanted = written.get(name), settings.get(name)
        if found != wanted:
            raise InvalidValueError(
                f"{name}: {path} was written with {_shown(found)}, found {_shown(wanted)}"
            )


def _shown(value: object) -> str:
    """Return a setting as text for a message; digests are shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:9]}…"
