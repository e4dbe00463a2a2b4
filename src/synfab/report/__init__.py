"""Reports: people look before they read. Figures, and the page that shows a comparison."""

import importlib
from typing import Any

# Imported when first used: other rooms take `report.figures` and need no more.
NAMES = {"save_report": "page", "verdicts": "verdict", "headline": "verdict", "Verdict": "verdict"}

__all__ = ["Verdict", "headline", "save_report", "verdicts"]


def __getattr__(name: str) -> Any:
    if name in NAMES:
        return getattr(importlib.import_module(f"synfab.report.{NAMES[name]}"), name)
    raise AttributeError(f"module 'synfab.report' has no attribute {name!r}")
