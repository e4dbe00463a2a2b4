"""Recipes of reports."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from unittest import mock

from synfab import report
from synfab.report import page

from .core import fresh
from .harness import RECIPES
from .learn import comparison, measured

render = page.render


@functools.cache
def rendered(*files: tuple[str, Path]) -> str:
    return render(comparison(), None, {}, dict(files))


def drawn_once(
    found: Any, sweeps: Any, diagnostics: Any, files: Any, relaxation: Any = None
) -> str:
    """Page of a comparison; that of the valid arguments is kept, as drawing takes seconds."""
    if found is not comparison() or sweeps is not None or diagnostics or relaxation is not None:
        return render(found, sweeps, diagnostics, files, relaxation)
    return rendered(*files.items())


@functools.wraps(report.save_report)
def save_report(*given: Any, **options: Any) -> None:
    with mock.patch.object(page, "render", drawn_once):
        report.save_report(*given, **options)


@RECIPES.add("synfab.report.save_report")
def _(folder: Path) -> Any:
    return save_report, {
        "found": comparison(), "path": fresh(folder, ".html"), "sweeps": None,
        "diagnostics": None, "files": {"measurement": measured(folder)},
    }  # fmt: skip
