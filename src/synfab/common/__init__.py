"""Errors, checks of arguments, optional packages, locks and processors: what every part uses."""
