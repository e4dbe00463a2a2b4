"""The command ``synfab``."""
