"""Checkpoints of long runs: numbered files in a folder, of which the newest few are kept."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidTypeError, InvalidValueError
from synfab.io.archive import Archive, is_whole, open_checked, write_archive
from synfab.io.files import locked

FORMAT, VERSION = "synfab-checkpoint", 1
NAME = re.compile(r"step-(\d{12})\.npz")
HALF = re.compile(r"\.step-\d{12}\.npz\.\w+")  # what a killed writer leaves
LAST_STEP = 10**12 - 1
# Arrays are named by the keys that lead to them.
ROOT, SEPARATOR = "state", "/"
VALUES = "values"  # what is no array
LIST = "[]"  # marks the parts of a list that holds arrays
FORBIDDEN = {SEPARATOR, "\0"}
# Settings that earlier versions wrote under another name.
RENAMED = {"most_passes": "max_passes"}
MOST_TEXT = 100_000  # of a setting; large ones are known by a digest

logger = logging.getLogger(__name__)

State = dict[str, Any]


class Checkpoints:
    """Where a long run leaves its state at intervals, to go on there after whatever stopped it.

    Files are written aside and renamed, carry a checksum, and hold numbers only. A run that goes on
    ends with the same bits as one that was never stopped.

    Parameters
    ----------
    folder
        For these files alone; made if it is missing. One run at a time writes there.
    interval
        Seconds between checkpoints; 0: at every opportunity.
    keep
        How many are kept; None: all.
    resume
        Go on with the newest one that is whole; where there is none, begin. False: refuse a folder
        that holds some.

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

    def __repr__(self) -> str:
        return (
            f"Checkpoints({str(self.folder)!r}, interval={self.interval:g}, keep={self.keep}, "
            f"resume={self.resume})"
        )

    @contextmanager
    def open(self, settings: Mapping[str, Any]) -> Iterator[Run]:
        """Hold the folder and find out where to go on.

        Parameters
        ----------
        settings
            What the run is, in JSON's types; one that was begun with others is not gone on with.

        Raises
        ------
        InvalidValueError
            Another process writes there, the folder cannot be written, it holds checkpoints and
            ``resume`` is False, or they are those of another run.
        FileFormatError
            No checkpoint there is whole (damaged ones are passed over with a warning), a newer
            version wrote them, or one was renamed to another step.
        """
        given = checks.mapping("settings", settings)
        wanted = {
            checks.text("settings", name): _setting(name, value) for name, value in given.items()
        }
        with locked(self.folder, "checkpoints"):
            for path in self.folder.iterdir():
                if HALF.fullmatch(path.name) and path.is_file():
                    path.unlink()
            found = steps(self.folder)
            if found and not self.resume:
                raise InvalidValueError(
                    f"checkpoints: {self.folder} holds some already; resume goes on with them, "
                    f"another folder begins anew"
                )
            yield Run(self, wanted, *self._newest(found, wanted))

    def _newest(self, found: list[int], settings: State) -> tuple[int, State | None]:
        damaged: list[Path] = []
        for step in reversed(found):
            path = self.folder / _file(step)
            if is_whole(path):
                state = read_checkpoint(path, settings)
                for other in damaged:  # out of the way: they count as none of those that are kept
                    other.replace(other.with_name(f"{other.name}.damaged"))
                return step, state
            logger.warning("%s: damaged, going on from the checkpoint before it", path)
            damaged.append(path)
        if found:
            raise FileFormatError(f"{self.folder}: no checkpoint there is whole")
        return 0, None


def as_checkpoints(given: Checkpoints | str | os.PathLike[str]) -> Checkpoints:
    """Return checkpoints as they are, or make those of a folder that must hold none yet."""
    return given if isinstance(given, Checkpoints) else Checkpoints(given)


class Run:
    """A run with checkpoints.

    Attributes
    ----------
    step
        Number of steps that were done when it goes on; 0 at the beginning.
    state
        What was saved then: nested dictionaries of arrays and of JSON's values; None at the
        beginning.
    """

    def __init__(
        self, checkpoints: Checkpoints, settings: State, step: int, state: State | None
    ) -> None:
        self.step, self.state = step, state
        self._checkpoints, self._settings = checkpoints, settings
        self._last = time.monotonic()

    def tick(self, step: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """Save what ``state`` gives if the interval is over; ``step``: how many are done."""
        step = checks.integer("step", step, 0, LAST_STEP)
        checks.function("state", state)
        if time.monotonic() - self._last >= self._checkpoints.interval:
            self.save(step, state())

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write a checkpoint, then remove those that are one too many.

        Raises
        ------
        InvalidValueError
            It cannot be written; those before it are as they were.
        """
        step = checks.integer("step", step, 0, LAST_STEP)
        arrays: dict[str, Any] = {}
        text = json.dumps(_take_apart(checks.mapping("state", state), ROOT, arrays))
        arrays[VALUES] = np.frombuffer(text.encode(), np.uint8)
        manifest = {
            "format": FORMAT, "version": VERSION, "step": step, "settings": self._settings,
        }  # fmt: skip
        folder, keep = self._checkpoints.folder, self._checkpoints.keep
        try:
            write_archive(folder / _file(step), manifest, arrays)
        except InvalidValueError as error:
            raise InvalidValueError(
                f"checkpoints: {error}; earlier ones are kept, resume goes on from the newest"
            ) from None
        self._last = time.monotonic()
        before = [old for old in steps(folder) if old <= step]
        for old in [] if keep is None else before[:-keep]:
            (folder / _file(old)).unlink(missing_ok=True)

    def has(self, step: int) -> bool:
        """Tell whether the checkpoint of one step is there and whole."""
        return is_whole(self._path(step))

    def load(self, step: int) -> State:
        """Read the checkpoint of one step, for runs that keep all of them."""
        return read_checkpoint(self._path(step), self._settings)

    def _path(self, step: int) -> Path:
        return self._checkpoints.folder / _file(checks.integer("step", step, 0, LAST_STEP))


def steps(folder: Path) -> list[int]:
    """Steps of which a folder holds checkpoints, in order."""
    found = (NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def read_checkpoint(path: Path, settings: Mapping[str, Any]) -> State:
    """Read the state in a checkpoint of a run with these settings.

    Raises
    ------
    FileFormatError
        The file is damaged, no checkpoint of this version, or has the name of another step.
    InvalidValueError
        It was written by a run with other settings; names the first that differs.
    """
    with open_checked(path, "a checkpoint") as archive:
        archive.check(FORMAT, VERSION)
        named, step = NAME.fullmatch(path.name), archive.manifest.get("step")
        if named and int(named[1]) != step:
            raise FileFormatError(f"step: its name says {int(named[1])}, its content {step}")
        begun = archive.manifest.get("settings")
        if not isinstance(begun, dict):
            raise FileFormatError("settings: expected a JSON object")
        begun = _present_names(begun)
        state = _put_together(archive) if begun == settings else {}
    for name in dict.fromkeys((*settings, *begun)):
        if begun.get(name) != settings.get(name):
            raise InvalidValueError(
                f"{name}: {path} was begun with {_shown(begun.get(name))}, found "
                f"{_shown(settings.get(name))}"
            )
    return state


def _present_names(settings: State) -> State:
    """Return settings with the names that earlier versions wrote replaced by the present ones."""
    return {
        RENAMED.get(name, name): _present_names(value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }


def _file(step: int) -> str:
    return f"step-{step:012d}.npz"


def _shown(value: Any) -> str:
    """Return a setting for a message; of a digest, its beginning is enough."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:9]}…"


def _setting(name: str, value: Any) -> Any:
    """Return a setting in JSON's types; NumPy's numbers become those."""

    def plain(number: Any) -> Any:
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
    if len(text) > MOST_TEXT:
        raise InvalidValueError(f"{name}: expected up to {MOST_TEXT} characters, found {len(text)}")
    return json.loads(text)


def _take_apart(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """JSON values of a nested state; its arrays go to ``arrays``, by the way that leads to them."""
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray):
            raise InvalidTypeError(f"{name}: masked arrays are not accepted")
        if value.dtype.kind not in "biuf":
            raise InvalidTypeError(f"{name}: expected numbers, found {value.dtype}")
        arrays[name] = value
        return arrays  # stands for: not among the values
    if isinstance(value, np.generic):
        return _take_apart(value.item(), name, arrays)
    if isinstance(value, Mapping):
        _check_names(value, name)
        parts = {
            key: _take_apart(part, f"{name}{SEPARATOR}{key}", arrays) for key, part in value.items()
        }
        return {key: part for key, part in parts.items() if part is not arrays}
    try:
        json.dumps(value)
    except TypeError:
        if isinstance(value, (list, tuple)):  # of arrays, somewhere
            numbered = {str(k): part for k, part in enumerate(value)}
            return {LIST: len(value), **_take_apart(numbered, name, arrays)}
        raise InvalidTypeError(
            f"{name}: expected arrays, numbers, text or lists of them, found {type(value).__name__}"
        ) from None
    return value


def _check_names(state: Mapping[Any, Any], name: str) -> None:
    for key in state:
        if not isinstance(key, str) or key == LIST or not set(key).isdisjoint(FORBIDDEN):
            raise InvalidValueError(
                f"{name}: expected names without {SEPARATOR!r} and NUL, found {key!r}"
            )


def _put_together(archive: Archive) -> State:
    # Among a state's values may be NaN, which a manifest does not have.
    result: State = {ROOT: json.loads(archive.array(VALUES).tobytes())}
    for name in archive.names:
        if name == VALUES:
            continue
        *way, last = name.split(SEPARATOR)
        place: Any = result
        for key in way:
            place = place.get(key) if isinstance(place, dict) else None
        if not isinstance(place, dict) or len(way) == 0:
            raise FileFormatError(f"{name}: belongs nowhere")
        place[last] = archive.array(name)
    found = _with_lists(result[ROOT])
    if not isinstance(found, dict):
        raise FileFormatError("values: expected a JSON object")
    return found


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if LIST not in value:
        return {key: _with_lists(part) for key, part in value.items()}
    return [_with_lists(value[str(k)]) for k in range(len(value) - 1)]
