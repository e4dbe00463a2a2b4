"""Figures that notebooks show when a cell returns them, without pyplot."""

from __future__ import annotations

from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class InlineFigure(Figure):
    """Figure that pyplot does not know: it opens no window, and nothing keeps it in memory.

    Notebooks show figures of pyplot only; of this one they call ``_repr_png_``.
    """

    def __init__(self, size: tuple[float, float]) -> None:
        super().__init__(figsize=size, layout="constrained")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        held = BytesIO()
        self.savefig(held, format="png")
        return held.getvalue()
