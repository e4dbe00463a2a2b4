"""Comparison of a model with a measurement: one module per subject."""
