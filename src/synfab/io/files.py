"""Files that are whole or not there: written aside, then renamed; and folders of one process."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.io.temporary import is_temporary, remove, remove_stale, temporary_name

LOCK = ".synfab-lock"
PUBLISHED = "published"  # a model that is in no file of the user
MAX_PATH = 4096
FOLDERS = (".zarr",)  # endings of what is a folder
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
        remove_stale(target.parent, target.name)
        temporary = _new_file(target)
    except (OSError, ValueError) as error:
        pass_on(error)
        if isinstance(error, InvalidValueError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InvalidValueError(f"path: cannot write {path}: {reason}") from None
    try:
        temporary.chmod(stat.S_IMODE(mode) & 0o777)
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _keep(target.parent)
    except OSError as error:
        pass_on(error)
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
    remove_stale(path.parent, path.name)
    beside = path.with_name(temporary_name(path.name))
    try:
        beside.mkdir(parents=True)
        yield beside
        # Of workers that were killed; others did their work.
        for part in [part for part in beside.rglob("*") if is_temporary(part.name)]:
            remove(part)
        for part in beside.rglob("*"):
            if part.is_dir():
                _keep(part)
            else:
                _sync(part)
        beside.rename(path)
        _keep(path.parent)
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(
            f"{argument}: cannot write {path}: {error.strerror or error}"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def temporary_folder(name: str, folder: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Give an empty folder that is removed when the block ends; None: where the system has them.

    A process that is killed leaves it, and the next folder of this ``name`` removes it.
    """
    parent = Path(tempfile.gettempdir() if folder is None else folder)
    remove_stale(parent, name)
    made = parent / temporary_name(name)
    try:
        made.mkdir(mode=0o700)
    except OSError as error:
        pass_on(error)
        reason = error.strerror or error
        raise InvalidValueError(f"temporary folder: cannot make {made}: {reason}") from None
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def refuse_overwrite(argument: str, output: Any, /, **inputs: Any) -> None:
    """Raise if writing ``output`` would replace or change something that is read.

    Links are followed, hard ones too, and an input that is a folder stands for the files in it. An
    output that is, or will be, a folder must neither hold an input nor be inside one.

    Parameters
    ----------
    argument
        Names the output in the message.
    output
        Path of a file, or of a folder such as a Zarr group.
    **inputs
        Paths by what they are called in the message, or lists of paths. What is no path, such as a
        ``CellModel``, and text that names no file, such as a pulse program, is passed over; of
        another output of the same command, which need not exist, the place is compared.

    Raises
    ------
    InvalidValueError
        It would.
    """
    if not _is_path(output):
        return  # whoever writes it says what is wrong
    for name, value in inputs.items():
        for found in value if isinstance(value, (list, tuple)) else (value,):
            if _is_path(found) and _overlap(Path(output), Path(found)):
                raise InvalidValueError(
                    f"{argument}: {output} would overwrite {name.replace('_', ' ')} {found}; "
                    f"choose another path"
                )


def _is_path(value: Any) -> bool:
    """Tell whether something can be the path of a file, which text of a program need not be."""
    if not isinstance(value, (str, os.PathLike)):
        return False
    try:
        text = os.fspath(value)
        os.fsencode(text)
    except Exception as error:  # text that no file system has, objects that raise what they like
        pass_on(error)
        return False
    return isinstance(text, str) and text not in ("", PUBLISHED) and _is_short(text)


def _is_short(text: str) -> bool:
    return len(text) <= MAX_PATH and "\0" not in text


def _overlap(output: Path, given: Path) -> bool:
    """Tell whether two paths name one thing, or a folder of one holds the other."""
    try:
        mine, other = _real(output), _real(given)
        if mine == other or (output.exists() and given.exists() and output.samefile(given)):
            return True
        as_folder = output.is_dir() or output.suffix.lower() in FOLDERS
        if given.exists() and as_folder:
            return other.is_relative_to(mine) or (given.is_dir() and mine.is_relative_to(other))
        if given.is_dir() and output.exists():
            status = output.stat()
            inside = (part.stat() for part in given.rglob("*") if part.is_file())
            return any(os.path.samestat(status, part) for part in inside)
    except OSError as error:  # a text that is too long for a path, or what cannot be looked at
        pass_on(error)
        return False
    return False


def _real(path: Path) -> Path:
    return Path(os.path.normcase(os.path.realpath(path)))


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
        pass_on(error)
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
        pass_on(error)
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
        pass_on(error)
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


def sync(files: Iterable[Path], root: Path) -> None:
    """Put the content of files on the disk, then their names in all folders up to ``root``.

    Raises
    ------
    OSError
        The disk is full, or fails.
    """
    given = list(files)
    for file in given:
        _sync(file)
    sync_folders(given, root)


def sync_folders(files: Iterable[Path], root: Path) -> None:
    """Put the names of files, there or removed, on the disk, in all folders up to ``root``."""
    folders = {
        folder
        for file in files
        for folder in file.parents
        if folder == root or root in folder.parents
    }
    for folder in sorted(folders, reverse=True):  # those inside first
        _keep(folder)


def _keep(folder: Path) -> None:
    """Put the names in a folder on the disk, where that can be asked for."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:  # a folder may be writable and not readable
        pass_on(error)
        return
    try:
        os.fsync(handle)
    except OSError as error:
        pass_on(error)
    finally:
        os.close(handle)


def _new_file(target: Path) -> Path:
    """Make an empty file beside another one, which only this user can read."""
    temporary = target.with_name(temporary_name(target.name))
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return temporary


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
