"""Pulse programs: the expression, the voltages of blocks of cells, waveforms over time."""
