"""Compute backends: each implements ``synfab.physics`` for one kind of hardware."""
