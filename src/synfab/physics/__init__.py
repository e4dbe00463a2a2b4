"""How cells switch and what a read returns: the equations of the model, on whole arrays."""
