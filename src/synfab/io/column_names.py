"""Columns of a measurement as one text, as the option ``--columns`` and the explorer take them."""

from __future__ import annotations

from synfab.common.errors import InvalidValueError


def parsed_columns(
    text: str | None, option: str = "--columns"
) -> dict[str, str] | list[str] | None:
    """Return quantity to column from name=column pairs, or names in order."""
    if text is None:
        return None
    items = [item.strip() for item in text.split(",")]
    if all("=" in item for item in items):
        return {k.strip(): v.strip() for k, v in (item.split("=", 1) for item in items)}
    if any("=" in item for item in items):
        raise InvalidValueError(f"{option}: expected name=column pairs, or names in order")
    return items
