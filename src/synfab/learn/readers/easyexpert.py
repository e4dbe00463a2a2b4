"""Files of Keysight EasyEXPERT: settings, then blocks of points, each with a line of names."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from synfab.common.errors import FileFormatError
from synfab.io.memory import require_memory
from synfab.io.table_file import MAX_COLUMNS, MAX_LINE, OBJECT_BYTES
from synfab.learn.readers.columns import quantity_of
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.readers.text import MAX_LINES_ABOVE

if TYPE_CHECKING:
    import pandas as pd

TITLE, NAMES, VALUES = "SetupTitle", "DataName", "DataValue"


@dataclass
class _Block:
    """Points of one sweep."""

    names: list[str]
    rows: list[list[float | str]] = field(default_factory=list)


def recognises(path: Path) -> bool:
    """Return whether the first line is that of an EasyEXPERT file, or one of the next has names."""
    with path.open("rb") as file:
        first = file.readline(MAX_LINE).lstrip(b"\xef\xbb\xbf \t")
        lines = islice(iter(lambda: file.readline(MAX_LINE), b""), MAX_LINES_ABOVE)
        return first.startswith((TITLE.encode(), NAMES.encode())) or any(
            line.startswith(NAMES.encode()) for line in lines
        )


def read_easyexpert(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the points of all blocks; several blocks get a column ``cycle``, counted from 1.

    Raises
    ------
    FileFormatError
        There are no points, the blocks have different names, or a line has too many or too few
        values.
    CapacityError
        The table is too large.
    """
    require_memory(OBJECT_BYTES * path.stat().st_size // 8, "table")
    try:
        blocks = _blocks(path, "utf-8-sig")
    except UnicodeDecodeError:
        blocks = _blocks(path, "cp1252")
    blocks = [block for block in blocks if block.rows]
    if not blocks:
        raise FileFormatError(f"expected lines that begin with {NAMES} and {VALUES}, found none")
    names = blocks[0].names
    different = next((block.names for block in blocks if block.names != names), None)
    if different is not None:
        raise FileFormatError(
            f"expected the same {NAMES} in every block, found {', '.join(names)} and "
            f"{', '.join(different)}"
        )
    return _frame(blocks, columns)


def _frame(blocks: list[_Block], columns: Columns) -> pd.DataFrame:
    import pandas as pd

    names = blocks[0].names
    frame = pd.DataFrame([row for block in blocks for row in block.rows], columns=names)
    counted = "cycle" in (columns or {}) or any(
        (role := quantity_of(name)) and role[0] == "cycle" for name in names
    )
    if len(blocks) > 1 and not counted:
        frame["cycle"] = [k for k, block in enumerate(blocks, 1) for _ in block.rows]
    return frame


def _blocks(path: Path, encoding: str) -> list[_Block]:
    blocks: list[_Block] = []
    with path.open(encoding=encoding, newline="") as file:
        for number, fields in enumerate(csv.reader(_lines(file), skipinitialspace=True), 1):
            kind = fields[0].strip() if fields else ""
            values = [text.strip() for text in fields[1:]]
            if kind == NAMES:
                if len(values) > MAX_COLUMNS:
                    raise FileFormatError(f"line {number}: expected up to {MAX_COLUMNS} columns")
                blocks.append(_Block(values))
            elif kind == VALUES:
                if not blocks:
                    raise FileFormatError(f"line {number}: expected a line of {NAMES} before it")
                if (expected := len(blocks[-1].names)) != len(values):
                    raise FileFormatError(
                        f"line {number}: expected {expected} values, found {len(values)}"
                    )
                blocks[-1].rows.append([_number(text) for text in values])
    return blocks


def _lines(file: Iterator[str]) -> Iterator[str]:
    for line in file:
        if len(line) > MAX_LINE:
            raise FileFormatError(f"expected lines of up to {MAX_LINE} characters")
        yield line


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # what converts the column names it


register_format("EasyEXPERT", read_easyexpert, suffixes=(".csv",), recognises=recognises)
