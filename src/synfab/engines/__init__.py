"""Engines: the rules of ``synfab.physics.rules`` on one kind of hardware each."""
