"""Figures of cells, crossbars and fits, drawn with Matplotlib."""
