"""Interactive reports: an HTML page that compares a model with a measurement."""

from typing import TYPE_CHECKING

from synfab.common.lazy import attach

if TYPE_CHECKING:
    from synfab.report.page import save_report
    from synfab.report.verdict import Verdict, headline, verdicts

__all__ = ["Verdict", "headline", "save_report", "verdicts"]

# Imported on first use, because the page needs further packages.
JUDGING = ("Verdict", "headline", "verdicts")
__getattr__, __dir__ = attach(
    __name__,
    {"save_report": "synfab.report.page", **dict.fromkeys(JUDGING, "synfab.report.verdict")},
)
