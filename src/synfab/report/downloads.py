"""Tables of a report as CSV files inside the page."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synfab.learn.comparison.verdicts import Verdict
from synfab.report.sections import Section

if TYPE_CHECKING:
    import pandas as pd

# Text that spreadsheets evaluate as a formula: it starts with a sign, a full-width sign or a break,
# and is not a number.
FORMULA = re.compile(
    "(?![+-]?(\\d+\\.?\\d*|\\.\\d+)(e[+-]?\\d+)?\\Z)\\s*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]",
    re.IGNORECASE,
)


def tables(judged: Sequence[Verdict], sections: Sequence[Section]) -> list[dict[str, str]]:
    """Return the tables to download: name, content in words, and the file as an address."""
    import pandas as pd

    frames = {"verdicts": pd.DataFrame([vars(v) for v in judged])}
    texts = {"verdicts": "verdicts on all properties"}
    for section in sections:
        parts = [pd.DataFrame(p.table).assign(panel=p.title) for p in section.panels if p.table]
        if parts:
            frames[section.id] = pd.concat(parts).set_index("panel").reset_index()
            texts[section.id] = section.table
    return [
        {"name": name, "text": texts[name],
         "address": "data:text/csv;base64," + base64.b64encode(_csv(frame).encode()).decode()}
        for name, frame in frames.items()
    ]  # fmt: skip


def _csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV (RFC 4180) with text that spreadsheets cannot evaluate."""
    safe = frame.rename(columns=lambda name: no_formula(str(name)))
    for column in safe.columns[[kind.kind not in "biuf" for kind in safe.dtypes]]:
        safe[column] = safe[column].map(lambda v: no_formula(v) if isinstance(v, str) else v)
    return str(safe.to_csv(index=False, float_format="%.6g", lineterminator="\r\n"))


def no_formula(text: str) -> str:
    """Return text that spreadsheets do not evaluate; formulas get an apostrophe in front.

    Names of devices and columns come from measurement files, so they must not be executed (OWASP,
    "CSV injection").
    """
    return f"'{text}" if FORMULA.match(text) else text
