"""Figures: people look before they read."""
