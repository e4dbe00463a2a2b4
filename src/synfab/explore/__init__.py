"""The explorer: a local page on which a model is turned over in the hand."""
