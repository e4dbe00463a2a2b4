"""Checkpoints of long runs: numbered files in a folder, of which the newest ones are kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.io.archive import Archive, is_whole, open_checked, write_archive
from synfab.io.steps import LAST_STEP, StepFolder, check_step, require_settings

FORMAT, VERSION = "synfab-checkpoint", 1
# Arrays are named by their path of keys in the state.
ROOT, SEPARATOR = "state", "/"
VALUES = "values"  # JSON of everything that is not an array
LIST = "[]"  # key that marks a dictionary as a list with arrays
FORBIDDEN = {SEPARATOR, "\0"}
# Settings that earlier versions wrote under another name.
RENAMED = {"most_passes": "max_passes"}
MAX_TEXT = 100_000  # characters of a setting; larger ones are passed as a digest

State = dict[str, Any]
Array = npt.NDArray[Any]


class Checkpoints:
    """Folder in which a long run saves its state at intervals, to resume after an interruption.

    Files are replaced atomically, carry a checksum and hold only numbers and text. A resumed run
    gives the same bits as an uninterrupted one.

    Parameters
    ----------
    folder
        Used for the checkpoints of one run only; created if missing. Locked while a run writes.
    interval
        Seconds between checkpoints; 0: after every step.
    keep
        Number of checkpoints to keep; None: all.
    resume
        Resume from the newest undamaged checkpoint, or start if there is none. False: a folder that
        already holds checkpoints is an error.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        interval: float = 60.0,
        keep: int | None = 2,
        resume: bool = False,
    ) -> None:
        self.folder = checks.path("folder", folder).absolute()
        self.interval = checks.number("interval", interval, minimum=0.0)
        self.keep = None if keep is None else checks.count("keep", keep)
        self.resume = checks.flag("resume", resume)
        self.steps = StepFolder(self.folder, "checkpoints", self.keep, ".npz")

    def __repr__(self) -> str:
        return (
            f"Checkpoints({str(self.folder)!r}, interval={self.interval:g}, keep={self.keep}, "
            f"resume={self.resume})"
        )

    @contextmanager
    def open(self, settings: Mapping[str, object]) -> Iterator[Run]:
        """Lock the folder for the block and return the run with the state to resume from.

        Parameters
        ----------
        settings
            Values of JSON types that identify the run; they must equal those in the checkpoints.

        Raises
        ------
        InvalidValueError
            Another process uses the folder, it cannot be written, it holds checkpoints and
            ``resume`` is False, or they belong to a run with other settings.
        FileFormatError
            All checkpoints are damaged (single damaged ones are skipped with a warning), were
            written by a newer version, or one was renamed to another step.
        """
        given = checks.mapping("settings", settings)
        wanted = {
            checks.text("settings", name): _setting(name, value) for name, value in given.items()
        }
        with self.steps.held():
            if not self.resume:
                self.steps.require_empty("pass resume=True to continue from them")
            if self.steps.steps():
                found = self.steps.newest(lambda path: read_checkpoint(path, wanted))
                yield Run(self, wanted, *found)
            else:
                yield Run(self, wanted, 0, None)


def as_checkpoints(given: Checkpoints | str | os.PathLike[str]) -> Checkpoints:
    """Return ``given``, or for a path the checkpoints of a folder that must not hold any yet."""
    return given if isinstance(given, Checkpoints) else Checkpoints(given)


class Run:
    """A run that saves checkpoints.

    Attributes
    ----------
    step
        Number of completed steps to resume from; 0 for a new run.
    state
        State saved after that step: nested dictionaries of arrays and JSON values; None for a new
        run.
    """

    def __init__(
        self, checkpoints: Checkpoints, settings: State, step: int, state: State | None
    ) -> None:
        self.step, self.state = step, state
        self._checkpoints, self._settings = checkpoints, settings
        self._last = time.monotonic()

    def tick(self, step: int, state: Callable[[], Mapping[str, object]]) -> None:
        """Save the result of ``state()`` if the interval has passed; ``step``: completed steps."""
        step = checks.integer("step", step, 0, LAST_STEP)
        checks.function("state", state)
        if time.monotonic() - self._last >= self._checkpoints.interval:
            self.save(step, state())

    def save(self, step: int, state: Mapping[str, object]) -> None:
        """Write a checkpoint, then remove the oldest ones beyond the number to keep.

        Raises
        ------
        InvalidValueError
            It cannot be written; earlier checkpoints are unchanged.
        """
        step = checks.integer("step", step, 0, LAST_STEP)
        arrays: dict[str, Array] = {}
        text = json.dumps(_split_arrays(checks.mapping("state", state), ROOT, arrays))
        arrays[VALUES] = np.frombuffer(text.encode(), np.uint8)
        manifest = {
            "format": FORMAT, "version": VERSION, "step": step, "settings": self._settings,
        }  # fmt: skip
        try:
            write_archive(self._checkpoints.steps.path(step), manifest, arrays)
        except InvalidValueError as error:
            raise InvalidValueError(
                f"checkpoints: {error}; earlier checkpoints are kept, pass resume=True to continue"
            ) from None
        self._last = time.monotonic()
        self._checkpoints.steps.prune(step)

    def has(self, step: int) -> bool:
        """Return True if the checkpoint of a step exists and is undamaged."""
        return is_whole(self._path(step))

    def load(self, step: int) -> State:
        """Return the state in the checkpoint of a step, for runs that keep all of them."""
        return read_checkpoint(self._path(step), self._settings)

    def _path(self, step: int) -> Path:
        return self._checkpoints.steps.path(checks.integer("step", step, 0, LAST_STEP))


def read_checkpoint(path: Path, settings: Mapping[str, object]) -> State:
    """Return the state in a checkpoint of a run with these settings.

    Raises
    ------
    DamagedError
        The file is damaged.
    FileFormatError
        It is not a checkpoint of this version, or its name states another step.
    InvalidValueError
        A run with other settings wrote it; the message names the first difference.
    """
    with open_checked(path, "a checkpoint") as archive:
        archive.check(FORMAT, VERSION)
        step, written = (archive.manifest.get(name) for name in ("step", "settings"))
        if not isinstance(written, dict):
            raise FileFormatError("settings: expected a JSON object")
        written = _present_names(written)
        state = _join_arrays(archive) if written == settings else {}
    check_step(path, step)
    require_settings(path, written, settings)
    return state


def _present_names(settings: State) -> State:
    """Return settings with the names that earlier versions wrote replaced by the present ones."""
    return {
        RENAMED.get(name, name): _present_names(value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }


def _setting(name: str, value: object) -> object:
    """Return a setting in JSON types, converting NumPy numbers."""

    def plain(number: object) -> object:
        if isinstance(number, np.generic):
            return number.item()
        raise TypeError

    try:
        text = json.dumps(value, allow_nan=False, default=plain)
    except TypeError:
        raise InvalidTypeError(
            f"{name}: expected numbers, text or lists of them, found {checks.kind_of(value)}"
        ) from None
    except (ValueError, RecursionError):
        raise InvalidValueError(
            f"{name}: expected finite numbers, found {checks.shown(value)}"
        ) from None
    if len(text) > MAX_TEXT:
        raise InvalidValueError(f"{name}: expected up to {MAX_TEXT} characters, found {len(text)}")
    result: object = json.loads(text)
    return result


def _split_arrays(value: object, name: str, arrays: dict[str, Array]) -> object:
    """Return the JSON values of a nested state; add its arrays to ``arrays`` by their path."""
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray):
            raise InvalidTypeError(f"{name}: masked arrays are not accepted")
        if value.dtype.kind not in "biuf":
            raise InvalidTypeError(f"{name}: expected numbers, found {value.dtype}")
        arrays[name] = value
        return arrays  # marks a value that is not in the JSON
    if isinstance(value, np.generic):
        return _split_arrays(value.item(), name, arrays)
    if isinstance(value, Mapping):
        return _split_mapping(value, name, arrays)
    try:
        json.dumps(value)
    except TypeError:
        if isinstance(value, (list, tuple)):  # a list that holds arrays
            numbered = {str(k): part for k, part in enumerate(value)}
            return {LIST: len(value), **_split_mapping(numbered, name, arrays)}
        raise InvalidTypeError(
            f"{name}: expected arrays, numbers, text or lists of them, found {type(value).__name__}"
        ) from None
    return value


def _split_mapping(
    value: Mapping[str, object], name: str, arrays: dict[str, Array]
) -> dict[str, object]:
    _check_names(value, name)
    parts = {k: _split_arrays(part, f"{name}{SEPARATOR}{k}", arrays) for k, part in value.items()}
    return {key: part for key, part in parts.items() if part is not arrays}


def _check_names(keys: Iterable[object], name: str) -> None:
    for key in keys:
        if not isinstance(key, str) or key == LIST or not set(key).isdisjoint(FORBIDDEN):
            raise InvalidValueError(
                f"{name}: expected names without {SEPARATOR!r} and NUL, found {key!r}"
            )


def _join_arrays(archive: Archive) -> State:
    # Not part of the manifest, because a state may hold NaN.
    result: State = {ROOT: json.loads(archive.array(VALUES).tobytes())}
    for name in archive.names:
        if name == VALUES:
            continue
        *keys, last = name.split(SEPARATOR)
        place: object = result
        for key in keys:
            place = place.get(key) if isinstance(place, dict) else None
        if not isinstance(place, dict) or len(keys) == 0:
            raise FileFormatError(f"{name}: does not belong to any part of the state")
        place[last] = archive.array(name)
    found = _with_lists(result[ROOT])
    if not isinstance(found, dict):
        raise FileFormatError("values: expected a JSON object")
    return found


def _with_lists(value: object) -> object:
    if not isinstance(value, dict):
        return value
    if LIST not in value:
        return {key: _with_lists(part) for key, part in value.items()}
    return [_with_lists(value[str(k)]) for k in range(len(value) - 1)]
