"""Extensions in other packages, which announce them with entry points."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from synfab.common.interrupts import pass_on
from synfab.common.messages import reason_of

logger = logging.getLogger(__name__)

# Groups of entry points, and what a module named there registers when it is imported.
FORMATS, ENGINES, DIALECTS = "synfab.measurement_formats", "synfab.engines", "synfab.dialects"
KINDS = {FORMATS: "measurement format", ENGINES: "engine", DIALECTS: "dialect"}


@cache
def load(group: str) -> None:
    """Import the modules that installed packages name in a group, once per process."""
    import_modules(metadata.entry_points(group=group))


def import_modules(entries: Iterable[metadata.EntryPoint]) -> None:
    """Import the modules of entry points; one that fails is logged and skipped."""
    for entry in entries:
        try:
            entry.load()
        except Exception as error:  # other people's code
            pass_on(error)
            logger.warning("%s %s: cannot load %s: %s", KINDS[entry.group], entry.name, entry.value,
                           reason_of(error))  # fmt: skip
