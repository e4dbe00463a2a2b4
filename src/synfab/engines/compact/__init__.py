"""The engine for very many cells: one cycle of history per cell, drawn again where it is needed."""
