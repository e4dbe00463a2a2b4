"""Equations of the cell model for switching and reading, vectorised over arrays."""
