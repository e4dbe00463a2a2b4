"""The progress bar of everything that takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from synfab.io.notebook_bar import NotebookBar, in_notebook

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBar:
    """A bar on standard error while it is entered; nothing at all unless ``show``.

    In notebooks, the bar is in the output of the cell.

    Parameters
    ----------
    text
        What is in progress.
    total
        Steps there are; None: not known yet.
    show
        Whether to draw it.
    vanish
        Remove the bar when the work ends.
    """

    def __init__(
        self, text: str, total: float | None = None, *, show: bool, vanish: bool = False
    ) -> None:
        self._text, self._total, self._show, self._vanish = text, total, show, vanish
        self._bar: Progress | None = None
        self._cell: NotebookBar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._show and in_notebook():
            self._cell = NotebookBar(self._text, self._total)
        elif self._show:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=self._vanish)
            self._task = self._bar.add_task(self._text, total=self._total)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._cell is not None:
            self._cell.hidden = self._vanish
            self._cell.refresh(now=True)

    def advance(self, steps: float = 1.0) -> None:
        """Move on by some steps."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, steps)
        if self._cell is not None:
            self._cell.completed += steps
            self._cell.refresh()

    def update(
        self,
        *,
        completed: float | None = None,
        total: float | None = None,
        text: str | None = None,
    ) -> None:
        """Set the steps that are completed, their total, and the text; None: as before."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=completed, total=total, description=text)
        if self._cell is not None:
            cell = self._cell
            cell.completed = cell.completed if completed is None else completed
            cell.total = cell.total if total is None else total
            cell.text = cell.text if text is None else text
            cell.refresh()
