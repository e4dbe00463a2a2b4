"""What the code blocks of a page print, shown below them in blocks `text title="output"`.

`...` in a shown output stands for any text. Numbers agree within 1 %, because processors round
differently; those of an output with the title `output (numbers vary)` are not compared.
"""

from __future__ import annotations

import difflib
import math
import re
import textwrap
from typing import NamedTuple

OUTPUT = re.compile(
    r"\n\n?(?P<indent> *)```text title=\"(?P<title>output[^\"]*)\"\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
VARY = "numbers vary"
ELIDED = "..."
NUMBER = r"(?>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)"
TOKEN = re.compile(rf"({NUMBER})|(\s+|[─━]+)|({re.escape(ELIDED)})")
TOLERANCE = 0.01


class Printed(NamedTuple):
    """What the block that ends at the offset ``end`` of a page printed."""

    end: int
    indent: str
    line: int
    text: str


def agrees(shown: str, printed: str, *, vary: bool = False) -> bool:
    """Return whether a shown output is what was printed."""
    pattern, numbers, place = "", [], 0
    shown = shown.strip()
    for token in TOKEN.finditer(shown):
        number, space, _ = token.groups()
        pattern += re.escape(shown[place : token.start()])
        pattern += f"({NUMBER})" if number else r"[\s─━]++" if space else ".*?"
        numbers += [float(number)] if number else []
        place = token.end()
    pattern += re.escape(shown[place:])
    found = re.fullmatch(pattern, printed.strip(), re.DOTALL)
    return found is not None and (
        vary
        or all(
            math.isclose(float(new), old, rel_tol=TOLERANCE)
            for new, old in zip(found.groups(), numbers, strict=True)
        )
    )


def differences(page: str, printed: list[Printed]) -> str:
    """Return the differences between what a page shows and what was printed, or an empty string."""
    found = []
    for block in printed:
        title, shown = _shown(page, block)
        if not agrees(shown, block.text, vary=VARY in title):
            lines = difflib.unified_diff(
                shown.splitlines(), block.text.splitlines(), "shown", "printed", lineterm=""
            )
            found.append("\n".join([f"the output of the block at line {block.line}", *lines]))
    return "\n".join(found)


def replace_outputs(page: str, printed: list[Printed]) -> str:
    """Return a page that shows what was printed. Outputs that agree stay as they are."""
    for block in reversed(printed):
        title, shown = _shown(page, block)
        if agrees(shown, block.text, vary=VARY in title):
            continue
        old = OUTPUT.match(page, block.end)
        lines = [line.rstrip() for line in block.text.strip("\n").splitlines()]
        text = "\n".join(_elide(lines, shown.splitlines()))
        fence = f'\n\n```text title="{title}"\n{text}\n```'
        new = textwrap.indent(fence, block.indent) if text else ""
        page = page[: block.end] + new + page[old.end() if old else block.end :]
    return page


def _elide(lines: list[str], shown: list[str]) -> list[str]:
    """Leave out lines between as many first and last lines as were shown so far."""
    if shown.count(ELIDED) != 1:
        return lines
    first = shown.index(ELIDED)
    last = len(shown) - first - 1
    return [*lines[:first], ELIDED, *lines[len(lines) - last :]]


def _shown(page: str, block: Printed) -> tuple[str, str]:
    """Return the title and the text of the output that is shown below a block."""
    found = OUTPUT.match(page, block.end)
    return ("output", "") if found is None else (found["title"], textwrap.dedent(found["text"]))
