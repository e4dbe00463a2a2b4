"""Registry of measurement formats: the reader of a file by its suffix or its content."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from synfab.common import checks, extras, plugins
from synfab.common.errors import FileFormatError, InvalidValueError, ToolError
from synfab.io.compressed import PACKED

if TYPE_CHECKING:
    from synfab.learn.features import FeatureTable
    from synfab.learn.readers.tables import Table
    from synfab.learn.sweeps import Sweeps

# Quantity to the name of its column, or the names of all columns in order, as a caller specifies.
Columns: TypeAlias = Mapping[str, str] | Sequence[str] | None
Contents: TypeAlias = "Table | Sweeps | FeatureTable"
Reader: TypeAlias = Callable[[Path, Columns], Contents]

# Suffixes of text files, which can also be compressed.
TEXT = (".csv", ".tsv", ".txt", ".dat", ".lvm", ".asc", ".prn")
SUFFIX = re.compile(r"\.[^\s./\\]+")


@dataclass(frozen=True)
class MeasurementFormat:
    """A registered file format of measurements; see ``register_format`` for the fields."""

    name: str
    suffixes: tuple[str, ...]
    read: Reader
    recognises: Callable[[Path], bool] | None = None
    packages: tuple[str, ...] = ()
    runs_code: bool = False

    def load(self, path: Path, columns: Columns) -> Contents:
        """Read a file after checking that the packages needed for it are installed."""
        for package in self.packages:
            if package in extras.PACKAGES:
                extras.check(package)
            elif not extras.installed(package):
                raise ToolError(f"{package} is not installed; {self.name} files need it")
        return self.read(path, columns)


# Formats by name, in the order of their registration.
FORMATS: dict[str, MeasurementFormat] = {}


def register_format(
    name: str,
    read: Reader,
    *,
    suffixes: Sequence[str],
    recognises: Callable[[Path], bool] | None = None,
    packages: Sequence[str] = (),
    runs_code: bool = False,
) -> None:
    """Make a measurement format readable by ``read_any``, ``synfab fit`` and ``synfab compare``.

    Call it once, when the module that defines the reader is imported. A package announces such a
    module with an entry point of the group ``synfab.measurement_formats``; synfab imports it before
    it reads the first file.

    Parameters
    ----------
    name
        Name of the format in messages.
    read
        Called as ``read(path, columns)``, where ``columns`` is what the caller passed: a mapping of
        quantities to columns, all names in order, or None. Returns ``Sweeps``, a ``FeatureTable``,
        or a table (pandas, Polars, Arrow) with one row per point, loop or read-out; its columns are
        found by names and converted to SI units. What it raises ends in one line that starts with
        the file's name.
    suffixes
        File name suffixes in lower case, such as ``(".dat",)``.
    recognises
        Returns True if a file with one of the suffixes has this format. Required if another format
        has the same suffix; it is asked before formats that have only suffixes.
    packages
        Packages that must be installed to read a file.
    runs_code
        Opening a file can execute code in it; only read with ``allow_pickle=True``.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        An argument is not valid, or the name or a suffix is already registered.
    """
    checks.text("name", name)
    if name in FORMATS:
        raise InvalidValueError(f"name: a format {name!r} is already registered; choose another")
    checks.function("read", read)
    endings = _suffixes(suffixes)
    if recognises is not None:
        checks.function("recognises", recognises)
    else:
        for known in FORMATS.values():
            shared = [ending for ending in endings if ending in known.suffixes]
            if shared and known.recognises is None:
                raise InvalidValueError(
                    f"suffixes: {shared[0]} is already registered for {known.name}; choose another "
                    "suffix, or pass recognises= to tell the two formats apart"
                )
    needed = checks.texts("packages", packages)
    code = checks.flag("runs_code", runs_code)
    FORMATS[name] = MeasurementFormat(name, endings, read, recognises, needed, code)


def suffix_of(path: Path) -> str:
    """Return the suffix of a file in lower case; of compressed text both, such as ".csv.gz"."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() + suffix if suffix in PACKED else suffix


def readable_suffixes(*, trusted: bool = True) -> tuple[str, ...]:
    """Return the suffixes of all formats; ``trusted``: including those that can run code."""
    plugins.load(plugins.FORMATS)
    found = (form.suffixes for form in FORMATS.values() if trusted or not form.runs_code)
    plain = dict.fromkeys(suffix for suffixes in found for suffix in suffixes)
    # Only text is read at once; other formats are compressed in themselves.
    packed = [text + ending for text in TEXT if text in plain for ending in PACKED]
    return (*plain, *packed)


def find_format(path: Path) -> MeasurementFormat:
    """Return the format of an existing file.

    Raises
    ------
    FileFormatError
        No registered format has its suffix, or recognises it.
    """
    suffix = suffix_of(path)
    if suffix not in (allowed := readable_suffixes()):
        plain = [one for one in allowed if not one.endswith(tuple(PACKED))]
        raise FileFormatError(
            f"{path}: expected a file that ends in {', '.join(plain)}, text also with "
            f"{', '.join(PACKED)}, or a folder of such files"
        )
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file")
    fitting = [form for form in FORMATS.values() if suffix in form.suffixes]
    for form in fitting:
        if form.recognises is not None and form.recognises(path):
            return form
    for form in fitting:
        if form.recognises is None:
            return form
    raise FileFormatError(f"{path}: not recognised as {' or '.join(form.name for form in fitting)}")


def _suffixes(given: Sequence[str]) -> tuple[str, ...]:
    found = checks.texts("suffixes", given)
    for suffix in found:
        if not SUFFIX.fullmatch(suffix) or suffix != suffix.lower():
            raise InvalidValueError(
                f'suffixes: expected lower case, such as ".dat", found {checks.shown(suffix)}'
            )
    if not found:
        raise InvalidValueError("suffixes: expected one or more, found none")
    return found
