"""Files that are whole or not there: written aside, then renamed; and folders of one process."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synfab.errors import InvalidValueError

LOCK = ".synfab-lock"
# How a file system says that it has no locks.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
WINDOWS = os.name == "nt"
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)', re.IGNORECASE
)

logger = logging.getLogger(__name__)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` when the block ends without an error.

    A crash, of the machine too, leaves the old file or the new one, never a half. A symbolic link
    is followed: the file it names is replaced. Devices and pipes are refused, since renaming would
    put a file in their place.

    Raises
    ------
    InvalidValueError
        ``path`` is a folder, its folder is missing, or cannot be written.
    """
    try:
        target = Path(os.path.realpath(os.fspath(path)))
        _check_names(target, "path")
        mode = _mode(target)
        if stat.S_ISDIR(mode):
            raise InvalidValueError(f"path: {path} is a folder; expected the name of a file")
        if not stat.S_ISREG(mode):
            raise InvalidValueError(f"path: {path} is a device or a pipe; expected a file")
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:32]}.", dir=target.parent)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidValueError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InvalidValueError(f"path: cannot write {path}: {reason}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(stat.S_IMODE(mode) & 0o777)
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _keep(target.parent)
    except OSError as error:
        raise InvalidValueError(f"path: cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, argument: str) -> Iterator[Path]:
    """Give a temporary folder that becomes ``path`` when the block ends without an error.

    Raises
    ------
    InvalidValueError
        ``path`` is there already, or cannot be written; ``argument`` names who asked.
    """
    _check_names(path, argument)
    if path.exists():
        raise InvalidValueError(f"{argument}: {path} is there already")
    beside = path.with_name(f".{path.name[:32]}.{uuid.uuid4().hex}")
    try:
        beside.mkdir(parents=True)
        yield beside
        for part in beside.rglob("*"):
            if part.is_dir():
                _keep(part)
            else:
                _sync(part)
        beside.rename(path)
        _keep(path.parent)
    except OSError as error:
        raise InvalidValueError(
            f"{argument}: cannot write {path}: {error.strerror or error}"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def make_folder(folder: Path, argument: str) -> None:
    """Make a folder and those above it; ``argument`` names who asked.

    Raises
    ------
    InvalidValueError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValueError(f"{argument}: cannot make {folder}: {error.strerror}") from None


@contextmanager
def locked(folder: Path, argument: str) -> Iterator[None]:
    """Hold a folder, made if missing, for this process alone; the lock dies with the process.

    Where a file system knows no locks, there is a warning and none.

    Raises
    ------
    InvalidValueError
        Another process holds it, or it cannot be written; ``argument`` names who asked.
    """
    from filelock import FileLock, Timeout  # 80 ms, which `import synfab` need not take

    _check_names(folder, argument)
    try:
        folder.mkdir(parents=False, exist_ok=True)
    except OSError as error:
        raise InvalidValueError(f"{argument}: cannot write {folder}: {error.strerror}") from None
    # A forked child does not hold it: filelock closes the child's copy of the file.
    lock = FileLock(folder / LOCK, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InvalidValueError(
            f"{argument}: {folder} is being written by another process"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise InvalidValueError(
                f"{argument}: cannot write {folder}: {error.strerror or error}"
            ) from None
        logger.warning("%s: cannot be locked: %s; let no other run write there", folder, error)
    try:
        yield
    finally:
        lock.release()


def _check_names(path: Path, argument: str) -> None:
    """Refuse names that Windows takes for something else: ``a:b`` hides a file inside ``a``."""
    if not WINDOWS:
        return
    for name in path.parts[1 if path.anchor else 0 :]:
        if name not in (".", "..") and NOT_ON_WINDOWS.search(name):
            raise InvalidValueError(f"{argument}: {name!r} cannot be the name of a file on Windows")


def _sync(file: Path) -> None:
    """Put the content of a file on the disk; some file systems say only now that it is full."""
    with file.open("r+b" if WINDOWS else "rb") as written:  # Windows wants the right to write
        os.fsync(written.fileno())


def _keep(folder: Path) -> None:
    """Put the names in a folder on the disk, where that can be asked for."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder may be writable and not readable
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _mode(target: Path) -> int:
    """Kind and permissions of a file, or those that a new one will have."""
    try:
        return target.stat().st_mode
    except FileNotFoundError:
        return stat.S_IFREG | (0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
