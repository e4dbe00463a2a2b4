"""Engines: the rules of ``synfab.rules`` on one kind of hardware each."""
