"""The progress bar of notebooks: HTML that is updated in place, without widgets."""

from __future__ import annotations

import importlib
import sys
import time
from html import escape
from typing import Any

INTERVAL = 0.1  # s, between updates


def in_notebook() -> bool:
    """Return whether a notebook shows what this process displays: a kernel of IPython runs it."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookBar:
    """A bar in the output of a notebook's cell; its last state stays in the file.

    Parameters
    ----------
    text
        What is in progress.
    total
        Number of steps; None: not known yet.
    """

    def __init__(self, text: str, total: float | None) -> None:
        self.text, self.total, self.completed = text, total, 0.0
        self.hidden = False
        self._begin = time.monotonic()
        self._shown = self._begin
        # ``IPython`` is imported: it runs this process.
        self._handle: Any = importlib.import_module("IPython.display").display(
            self, display_id=True
        )

    def refresh(self, *, now: bool = False) -> None:
        """Show the present state, at most every ``INTERVAL`` seconds unless ``now``."""
        if self._handle is not None and (now or time.monotonic() >= self._shown + INTERVAL):
            self._shown = time.monotonic()
            self._handle.update(self)

    def _words(self) -> str:
        """Return the text with the completed share, the elapsed and the remaining time."""
        seconds = time.monotonic() - self._begin
        if not self.total:
            return f"{self.text} {seconds:.0f} s"
        share = min(self.completed / self.total, 1.0)
        left = f", about {seconds * (1.0 / share - 1.0):.0f} s left" if 0.0 < share < 1.0 else ""
        return f"{self.text} {share:.0%}, {seconds:.0f} s{left}"

    def __repr__(self) -> str:
        return "" if self.hidden else self._words()

    def _repr_html_(self) -> str:
        if self.hidden:
            return ""
        state = f'value="{min(self.completed / self.total, 1.0):.4f}"' if self.total else ""
        return (
            f'<progress max="1" {state} style="width:16em;vertical-align:middle"></progress> '
            f"{escape(self._words())}"
        )
