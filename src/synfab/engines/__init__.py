"""Compute backends: each implements ``synfab.physics.rules`` for one kind of hardware."""
