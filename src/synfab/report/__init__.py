"""Interactive reports: an HTML page that compares a model with a measurement."""

import importlib
from typing import Any

# Imported on first use, because each needs other packages.
NAMES = {"save_report": "page", "verdicts": "verdict", "headline": "verdict", "Verdict": "verdict"}

__all__ = ["Verdict", "headline", "save_report", "verdicts"]


def __getattr__(name: str) -> Any:
    if name in NAMES:
        return getattr(importlib.import_module(f"synfab.report.{NAMES[name]}"), name)
    raise AttributeError(f"module 'synfab.report' has no attribute {name!r}")
