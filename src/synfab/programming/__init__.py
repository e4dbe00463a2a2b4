"""Programming cells to conductances: controllers, staircases, weight mapping and tiles."""
