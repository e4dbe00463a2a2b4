"""Atomic files and folders (written under a temporary name, then renamed) and locked folders."""

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
from typing import TypeGuard

from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.io.temporary import is_temporary, remove, remove_stale, temporary_name

LOCK = ".synfab-lock"
PUBLISHED = "published"  # names the built-in model, not a file
MAX_PATH = 4096
FOLDERS = (".zarr",)  # suffixes of formats that are folders
# Errors of file systems without locks.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
WINDOWS = os.name == "nt"
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)', re.IGNORECASE
)

logger = logging.getLogger(__name__)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``path`` when the block ends without an error.

    After a crash of the process or the machine the old file or the new one exists, never a partial
    one. A symbolic link is followed and its target replaced. Devices and pipes are refused, because
    renaming would replace them by a file.

    Raises
    ------
    InvalidValueError
        ``path`` is a folder, a device or a pipe, or its folder is missing or not writable.
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
        _sync_folder(target.parent)
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(f"path: cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, argument: str) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``path`` when the block ends without an error.

    Raises
    ------
    InvalidValueError
        ``path`` already exists or cannot be written; the message names ``argument``.
    """
    _check_names(path, argument)
    if path.exists():
        raise InvalidValueError(f"{argument}: {path} already exists; choose another path")
    remove_stale(path.parent, path.name)
    temporary = path.with_name(temporary_name(path.name))
    try:
        temporary.mkdir(parents=True)
        yield temporary
        # Left by killed workers, whose work others have done.
        for part in [part for part in temporary.rglob("*") if is_temporary(part.name)]:
            remove(part)
        for part in temporary.rglob("*"):
            if part.is_dir():
                _sync_folder(part)
            else:
                _sync(part)
        temporary.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(
            f"{argument}: cannot write {path}: {error.strerror or error}"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def temporary_folder(name: str, folder: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Yield an empty folder that is removed at the end; None: in the system's temporary folder.

    If the process is killed, the next call with the same ``name`` removes it.
    """
    parent = Path(tempfile.gettempdir() if folder is None else folder)
    remove_stale(parent, name)
    made = parent / temporary_name(name)
    try:
        made.mkdir(mode=0o700)
    except OSError as error:
        pass_on(error)
        reason = error.strerror or error
        raise InvalidValueError(f"temporary folder: cannot create {made}: {reason}") from None
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def refuse_overwrite(argument: str, output: object, /, **inputs: object) -> None:
    """Raise if writing ``output`` would overwrite an input.

    Symbolic and hard links are followed, and a folder given as input stands for all files in it. An
    output that is, or will become, a folder must not contain an input or lie inside one.

    Parameters
    ----------
    argument
        Name of the output in the message.
    output
        Path of a file, or of a folder such as a Zarr group. Other objects are ignored.
    **inputs
        Paths, or lists of paths, by their names in the message. Objects that are not paths, such as
        a ``CellModel``, and text that names no file, such as a pulse program, are ignored. Paths
        that do not exist, such as other outputs, are compared by name.

    Raises
    ------
    InvalidValueError
        The output is, contains, or lies inside an input.
    """
    if not _is_path(output):
        return  # the function that writes it reports the error
    for name, value in inputs.items():
        for found in value if isinstance(value, (list, tuple)) else (value,):
            if _is_path(found) and _overlap(Path(output), Path(found)):
                raise InvalidValueError(
                    f"{argument}: {output} would overwrite {name.replace('_', ' ')} {found}; "
                    f"choose another path"
                )


def _is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    """Return True if a value can be a path; the text of a pulse program often cannot."""
    if not isinstance(value, (str, os.PathLike)):
        return False
    try:
        text = os.fspath(value)
        os.fsencode(text)
    except Exception as error:  # text that cannot be encoded, or objects of other libraries
        pass_on(error)
        return False
    if not isinstance(text, str) or text in ("", PUBLISHED):
        return False
    return len(text) <= MAX_PATH and "\0" not in text


def _overlap(output: Path, given: Path) -> bool:
    """Return True if two paths name the same file, or one is a folder that contains the other."""
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
    except OSError as error:  # a text that is too long for a path, or a folder without permission
        pass_on(error)
        return False
    return False


def _real(path: Path) -> Path:
    return Path(os.path.normcase(os.path.realpath(path)))


def make_folder(folder: Path, argument: str) -> None:
    """Create a folder and its parents if they are missing.

    Raises
    ------
    InvalidValueError
        The folder cannot be created; the message names ``argument``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(f"{argument}: cannot create {folder}: {error.strerror}") from None


@contextmanager
def locked(folder: Path, argument: str) -> Iterator[None]:
    """Lock a folder for this process during the block, creating it if it is missing.

    The lock ends with the process. On a file system without locks a warning is logged instead.

    Raises
    ------
    InvalidValueError
        Another process has locked it, or it cannot be written; the message names ``argument``.
    """
    from filelock import FileLock, Timeout  # takes 80 ms to import

    _check_names(folder, argument)
    try:
        folder.mkdir(parents=False, exist_ok=True)
    except OSError as error:
        pass_on(error)
        raise InvalidValueError(f"{argument}: cannot write {folder}: {error.strerror}") from None
    # filelock closes the file in a forked child, which does not inherit the lock.
    lock = FileLock(folder / LOCK, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InvalidValueError(
            f"{argument}: {folder} is being written by another process; choose another one"
        ) from None
    except OSError as error:
        pass_on(error)
        if error.errno not in NO_LOCKS:
            raise InvalidValueError(
                f"{argument}: cannot write {folder}: {error.strerror or error}"
            ) from None
        logger.warning("%s: cannot be locked: %s; let no other run use it", folder, error)
    try:
        yield
    finally:
        lock.release()


def _check_names(path: Path, argument: str) -> None:
    """Refuse names with another meaning on Windows, such as ``a:b``, a hidden stream of ``a``."""
    if not WINDOWS:
        return
    for name in path.parts[1 if path.anchor else 0 :]:
        if name not in (".", "..") and NOT_ON_WINDOWS.search(name):
            raise InvalidValueError(f"{argument}: {name!r} is not a valid file name on Windows")


def _sync(file: Path) -> None:
    """Flush a file to disk; some file systems report a full disk only now."""
    with file.open("r+b" if WINDOWS else "rb") as written:  # Windows requires write access
        os.fsync(written.fileno())


def sync(files: Iterable[Path], root: Path) -> None:
    """Flush files and all folders above them up to ``root`` to disk.

    Raises
    ------
    OSError
        The disk is full or fails.
    """
    given = list(files)
    for file in given:
        _sync(file)
    sync_folders(given, root)


def sync_folders(files: Iterable[Path], root: Path) -> None:
    """Flush all folders above files, which may be removed ones, up to ``root`` to disk."""
    folders = {
        folder
        for file in files
        for folder in file.parents
        if folder == root or root in folder.parents
    }
    for folder in sorted(folders, reverse=True):  # inner folders first
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk, on systems that support it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:  # a writable folder need not be readable
        pass_on(error)
        return
    try:
        os.fsync(handle)
    except OSError as error:
        pass_on(error)
    finally:
        os.close(handle)


def _new_file(target: Path) -> Path:
    """Create an empty file in the folder of ``target`` that only this user can read."""
    temporary = target.with_name(temporary_name(target.name))
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return temporary


def _mode(target: Path) -> int:
    """Return type and permissions of a file, or those of a new file if it does not exist."""
    try:
        return target.stat().st_mode
    except FileNotFoundError:
        return stat.S_IFREG | (0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
