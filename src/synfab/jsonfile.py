"""JSON documents from strangers: one object, of bounded size, without NaN or doubled fields."""

from __future__ import annotations

import json
from typing import Any

from synfab.errors import FileFormatError
from synfab.limits import DOCUMENT_BYTES, require_size


def read_object(data: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object that bytes in UTF-8 hold; ``where`` names the file in errors.

    Raises
    ------
    FileFormatError
        They are too many, or no such object; one line that says what is wrong.
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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a field stands there twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"found {name}; allowed: finite numbers")
