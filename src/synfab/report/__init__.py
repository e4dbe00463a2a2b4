"""Interactive reports: an HTML page that compares a model with a measurement."""

from typing import TYPE_CHECKING

from synfab.common.lazy import attach

if TYPE_CHECKING:
    from synfab.report.page import save_report

__all__ = ["save_report"]

# Earlier names, which work for one more release.
FORMER = ("Verdict", "headline", "verdicts")
# Imported on first use, because the page needs further packages.
__getattr__, __dir__ = attach(
    __name__,
    {"save_report": "synfab.report.page", **dict.fromkeys(FORMER, "synfab.report.verdict")},
)
