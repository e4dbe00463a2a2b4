"""Traps from measurements of relaxation, noise and retention."""
