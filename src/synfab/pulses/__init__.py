"""Pulse programs: expressions, voltages for blocks of cells, and waveforms over time."""
