"""Recipes of reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synfab import report

from .core import fresh
from .harness import RECIPES
from .learn import comparison, measured


@RECIPES.add("synfab.report.save_report")
def _(folder: Path) -> Any:
    return report.save_report, {
        "found": comparison(), "path": fresh(folder, ".html"), "sweeps": None,
        "diagnostics": None, "files": {"measurement": measured(folder)},
    }  # fmt: skip


RECIPES.add("synfab.report.verdicts")(lambda _: (report.verdicts, {"found": comparison()}))
RECIPES.add("synfab.report.headline")(
    lambda _: (report.headline, {"judged": report.verdicts(comparison())})
)
RECIPES.leave("only verdicts makes them", "synfab.report.Verdict")
