"""The explorer: a local page for exploring a model interactively."""
