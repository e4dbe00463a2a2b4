"""Readers of measurement files, one module per format."""
