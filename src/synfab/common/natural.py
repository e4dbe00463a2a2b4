"""Order of names that contain numbers, as people count: dev2 before dev10."""

from __future__ import annotations

import re
from collections.abc import Sequence

DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts numbers within names by their value, before any other text."""
    key = []
    for k, part in enumerate(DIGITS.split(name)):
        if k % 2:  # longer numbers are larger; int() would refuse very long ones
            digits = part.lstrip("0")
            key.append((0, len(digits), digits))
        elif part:
            key.append((1, 0, part))
    return tuple(key)


def natural_order(names: Sequence[str]) -> list[int]:
    """Return the indices that sort names in natural order."""
    return sorted(range(len(names)), key=lambda k: natural_key(names[k]))
