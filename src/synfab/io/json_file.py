"""JSON documents from untrusted sources: one object, without NaN or repeated fields."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from synfab.common.errors import FileFormatError, SynfabError
from synfab.io.limits import DOCUMENT_BYTES, require_size

Result = TypeVar("Result")


def read_object(data: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object in UTF-8 text; ``where`` names the file in errors.

    Raises
    ------
    FileFormatError
        The text is too long, or is not such an object.
    """

    def fail(text: str) -> FileFormatError:
        return FileFormatError(f"{where}: {' '.join(text.split())}")

    require_size(len(data), DOCUMENT_BYTES, where)
    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except UnicodeDecodeError:
        raise fail("not a text file in UTF-8") from None
    except RecursionError:
        raise fail("nested too deeply") from None
    except ValueError as error:
        raise fail(f"not a valid JSON file: {error}") from None
    if not isinstance(document, dict):
        raise fail(f"expected a JSON object, found {type(document).__name__}")
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a field occurs twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"found {name}; allowed: finite numbers")


def digest(document: object) -> str:
    """Return the SHA-256 of the content of a JSON document.

    It does not depend on white space, the order of fields, or how numbers are written: programs
    that rewrite JSON turn 1.0 into 1.
    """
    return exact_digest(_plain(document))


def exact_digest(content: object) -> str:
    """Return the SHA-256 of a JSON value, which depends on how numbers are written."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return value
        return number if number == value else value
    return value


def newer(found: object, newest: int, where: str = "") -> FileFormatError:
    """Return the error for a file of an unknown version."""
    text = f"version: the file has version {found}; this version of synfab reads up to {newest}"
    return FileFormatError(where + text)


class Fields:
    """Access to the fields of a JSON object with checks that name the field in errors."""

    def __init__(
        self, content: object, name: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> None:
        if not isinstance(content, dict):
            raise FileFormatError(f"{name or 'file'}: expected a JSON object")
        self.content, self.prefix = content, f"{name}." if name else ""
        for key in required:
            if key not in content:
                raise FileFormatError(f"{self.prefix}{key}: missing")
        for key in content:
            if key not in required + optional:
                raise FileFormatError(f"{self.prefix}{key[:40]!r}: unknown field")

    def make(self, build: Callable[[], Result]) -> Result:
        """Return ``build()``; errors are raised with the name of the object in front."""
        try:
            return build()
        except SynfabError as error:
            raise FileFormatError(f"{self.prefix}{error}") from None

    def array(self, key: str, *, depth: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return nested lists of numbers as an array with ``depth`` axes."""
        _require_numbers(self.content[key], self.prefix + key, depth)
        try:
            return np.array(self.content[key], dtype=np.float64)
        except (ValueError, OverflowError):
            raise FileFormatError(f"{self.prefix}{key}: expected rows of equal length") from None

    def text(self, key: str) -> str:
        """Return a text field."""
        value = self.content[key]
        if not isinstance(value, str):
            raise FileFormatError(f"{self.prefix}{key}: expected text, found {_kind(value)}")
        return value

    def items(self, key: str) -> list[Any]:
        """Return a list field that is not empty."""
        value = self.content[key]
        if not isinstance(value, list) or not value:
            raise FileFormatError(f"{self.prefix}{key}: expected a list of one or more items")
        return value


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "text", bool: "a boolean"}.get(
        type(value), "null" if value is None else "a number"
    )


def _require_numbers(value: object, name: str, depth: int) -> None:
    if depth:
        if not isinstance(value, list) or not value:
            raise FileFormatError(f"{name}: expected a list of numbers, found {_kind(value)}")
        for item in value:
            _require_numbers(item, name, depth - 1)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FileFormatError(f"{name}: expected a number, found {_kind(value)}")
    elif not abs(value) <= 1e300:
        raise FileFormatError(f"{name}: expected a finite number")
